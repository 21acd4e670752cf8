"""Each protocol's own ways: forms, XML, HTTP bindings, CBOR, event streams, routing, redaction."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import cbor2
import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from casemate import wire
from casemate.errors import AwsError
from casemate.wire import timestamps
from casemate.wire.constraints import MAX_VIOLATIONS
from casemate.wire.eventstream import encode_message
from casemate.wire.xml_reader import load


def parse(
    service: str,
    operation: str,
    protocol: str,
    body: bytes = b"",
    path: bytes = b"/",
    query: bytes = b"",
    **headers: str,
) -> dict[str, Any]:
    named = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    return wire.codec(service, operation, protocol).parse("POST", path, query, named, body)


def refusal(*arguments: Any, **named: Any) -> AwsError:
    with pytest.raises(AwsError) as caught:
        parse(*arguments, **named)
    return caught.value


# ---- query ----


def test_query_by_get() -> None:
    assert parse("sts", "GetSessionToken", "query", query=b"Action=GetSessionToken&DurationSeconds=900") == {
        "DurationSeconds": 900
    }


def test_query_lists_close_gaps_and_keep_their_order() -> None:
    form = (
        b"InstanceProfileName=p&Tags.member.10.Key=c&Tags.member.10.Value="
        b"&Tags.member.2.Key=a+b&Tags.member.2.Value=%3D"
    )
    assert parse("iam", "CreateInstanceProfile", "query", form)["Tags"] == [
        {"Key": "a b", "Value": "="},
        {"Key": "c", "Value": ""},
    ]


def test_query_constraints() -> None:
    error = refusal("iam", "CreateUser", "query", b"UserName=a%20b")
    assert (error.code, error.status) == ("ValidationError", 400)
    assert error.message == (
        "1 validation error detected: Value 'a b' at 'userName' failed to satisfy constraint: "
        r"Member must satisfy regular expression pattern: [\w+=,.@-]+"
    )


@pytest.mark.parametrize(
    "form",
    [
        b"DurationSeconds=abc", b"DurationSeconds=", b"DurationSeconds=99999999999", b"DurationSeconds.1=5", b"x=%ff",
        b"a." * 100 + b"a=1", b"RoleArn.member.x=1",
    ],
)  # fmt: skip
def test_malformed_forms(form: bytes) -> None:
    assert refusal("sts", "AssumeRole", "query", form).code == "MalformedInput"


def test_query_error_document() -> None:
    reply = wire.codec("sts", "AssumeRole", "query").error(AwsError("AccessDenied", "<no>", 403), "id-1")
    assert reply.status == 403
    assert reply.body == (
        b'<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>'
        b"<Code>AccessDenied</Code><Message>&lt;no&gt;</Message></Error><RequestId>id-1</RequestId></ErrorResponse>"
    )


# ---- ec2 ----


def test_ec2_errors() -> None:
    error = refusal("ec2", "CreateVolume", "ec2", b"Size=x")
    assert error.code == "MalformedInput"
    error = refusal("ec2", "DeleteVolume", "ec2", b"")
    assert (error.code, error.message) == (
        "MissingParameter",
        "The request must contain the parameter VolumeId",
    )
    error = refusal("ec2", "CreateVolume", "ec2", b"VolumeType=floppy&AvailabilityZone=a")
    assert error.code == "InvalidParameterValue"
    assert error.message.startswith("Value (floppy) for parameter volumeType is invalid. ")
    reply = wire.error_reply("ec2", "ec2", error, "id-1")
    assert reply.body.startswith(
        b'<?xml version="1.0" encoding="UTF-8"?>\n<Response><Errors><Error><Code>InvalidP'
    )
    assert reply.body.endswith(b"</Error></Errors><RequestID>id-1</RequestID></Response>")


# ---- rest-xml ----


def test_s3_bindings() -> None:
    parsed = parse(
        "s3", "PutObject", "rest-xml", b"ignored", b"/bucket/a%2Fb//..%2f/%C3%BC+", b"x-id=PutObject",
        x_amz_meta_colour="blue", content_length="7", x_amz_storage_class="STANDARD",
    )  # fmt: skip
    assert parsed == {
        "Bucket": "bucket",
        "Key": "a/b//..//ü+",
        "Metadata": {"colour": "blue"},
        "ContentLength": 7,
        "StorageClass": "STANDARD",
    }
    assert wire.codec("s3", "PutObject", "rest-xml").streaming_input == "Body"
    assert wire.codec("s3", "GetObject", "rest-xml").streaming_output == "Body"
    assert wire.codec("kms", "Encrypt", "json").streaming_input is None


DELETE = b"""<?xml version="1.0" encoding="UTF-8"?>
<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Quiet>true</Quiet>
<Object><Key>a &amp; b</Key></Object><Object><Key>c</Key><VersionId>1</VersionId></Object><Other/></Delete>"""


def test_s3_documents() -> None:
    parsed = parse("s3", "DeleteObjects", "rest-xml", DELETE, b"/bucket")
    assert parsed["Delete"] == {"Quiet": True, "Objects": [{"Key": "a & b"}, {"Key": "c", "VersionId": "1"}]}


def test_texts_of_elements() -> None:
    """Text between elements means nothing in AWS's documents, and is not kept: there may be much of it."""
    root = load(b"<a>b&amp;<![CDATA[<c>]]><!-- d -->e<f>g</f>h<i/>j</a>")
    assert root.text == "b&<c>e"
    assert [(each.name, each.text) for each in root.children] == [("f", "g"), ("i", "")]


@pytest.mark.parametrize(
    "document",
    [
        b"<Delete>", b"", b"x", b"<!DOCTYPE a [<!ENTITY b 'c'>]><Delete><Object><Key>&b;</Key></Object></Delete>",
        b"<!DOCTYPE Delete SYSTEM 'file:///etc/passwd'><Delete><Object><Key>a</Key></Object></Delete>",
        b"<Delete><Object><Key>&undefined;</Key></Object></Delete>", b"<a>" * 200 + b"</a>" * 200,
        b"<Delete><Quiet>perhaps</Quiet></Delete>", b"<Delete><Object><Key><b/></Key></Object></Delete>",
        b"<Delete><Object><Key>\xff</Key></Object></Delete>", b"<Delete/>", b"<Delete><Object/></Delete>",
        b'<?xml version="1.0" encoding="utf-7"?><Delete>',
    ],
)  # fmt: skip
def test_malformed_xml(document: bytes) -> None:
    error = refusal("s3", "DeleteObjects", "rest-xml", document, b"/bucket")
    assert (error.code, error.status) == ("MalformedXML" if document else "MissingRequestBodyError", 400)


@pytest.mark.parametrize(
    ("named", "code"),
    [
        ({"x_amz_storage_class": "TAPE"}, "InvalidStorageClass"),
        ({"x_amz_server_side_encryption": "ROT13"}, "InvalidEncryptionAlgorithmError"),
        ({"x_amz_acl": "everyone"}, "InvalidArgument"),
        ({"content_length": "many"}, "InvalidArgument"),
        ({"path": b"/bucket/%ff"}, "InvalidURI"),
    ],
)
def test_s3_parameters(named: dict[str, Any], code: str) -> None:
    error = refusal("s3", "PutObject", "rest-xml", **{"path": b"/bucket/key", **named})
    assert (error.code, error.status) == (code, 400)


def test_s3_error_document() -> None:
    codec = wire.codec("s3", "GetObject", "rest-xml")
    reply = codec.error(AwsError("NoSuchKey", "The specified key does not exist.", 404, Key="a&b"), "R1")
    assert reply.status == 404
    assert reply.body.startswith(
        b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>NoSuchKey</Code>'
        b"<Message>The specified key does not exist.</Message><Key>a&amp;b</Key><RequestId>R1</RequestId><HostId>"
    )
    assert b"x-amz-request-id: R1\r\nx-amz-id-2: " in reply.head
    assert wire.codec("s3", "HeadObject", "rest-xml").error(AwsError("NoSuchKey", "x", 404), "R1").body == b""
    assert codec.error(AwsError("NotModified", "Not Modified", 304), "R1").body == b""


def test_s3_answers() -> None:
    reply = wire.codec("s3", "GetBucketLocation", "rest-xml").reply({"LocationConstraint": "eu-west-1"}, "R1")
    assert reply.body.endswith(
        b'<LocationConstraint xmlns="http://s3.amazonaws.com/doc/2006-03-01/">eu-west-1</LocationConstraint>'
    )
    listing = wire.codec("s3", "ListBuckets", "rest-xml").reply({"Buckets": []}, "R1")
    assert b"<ListAllMyBucketsResult xmlns=" in listing.body
    assert wire.codec("s3", "DeleteObject", "rest-xml").reply({}, "R1").status == 204
    acl = wire.codec("s3", "GetBucketAcl", "rest-xml").reply(
        {"Grants": [{"Grantee": {"Type": "CanonicalUser", "ID": "x"}, "Permission": "READ"}]}, "R1"
    )
    assert (
        b'<Grant><Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser">'
        in acl.body
    )


@pytest.mark.parametrize("metadata", [{"a": "b\r\nSet-Cookie: c"}, {"a\r\nb": "c"}, {"a: b": "c"}])
def test_answers_cannot_grow_headers(metadata: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="headers cannot carry"):
        wire.codec("s3", "HeadObject", "rest-xml").reply({"Metadata": metadata}, "R1")


def test_host_labels() -> None:
    path = b"/v20180820/jobs"
    assert parse(
        "s3control", "ListJobs", "rest-xml", path=path, host="123456789012.s3-control.us-east-1.x.com"
    ) == {"AccountId": "123456789012"}
    assert parse(
        "s3control", "ListJobs", "rest-xml", path=path, host="127.0.0.1:4566", x_amz_account_id="1" * 12
    ) == {"AccountId": "1" * 12}
    error = refusal("s3control", "ListJobs", "rest-xml", path=path, host="127.0.0.1:4566")
    assert "Value null at 'accountId'" in error.message


# ---- rest-json ----


def test_lambda_errors() -> None:
    path = b"/2015-03-31/functions/f/invocations"
    error = refusal("lambda", "CreateFunction", "rest-json", b"{", b"/2015-03-31/functions")
    assert error.code == "InvalidRequestContentException"
    reply = wire.codec("lambda", "Invoke", "rest-json").error(
        AwsError(
            "TooManyRequestsException", "Slow down.", retryAfterSeconds="5", Reason="CallerRateLimitExceeded"
        ),
        "R1",
    )
    assert reply.status == 429
    assert b"x-amzn-ErrorType: TooManyRequestsException\r\n" in reply.head
    assert b"Retry-After: 5\r\n" in reply.head
    assert b'"Reason":"CallerRateLimitExceeded"' in reply.body
    assert parse("lambda", "Invoke", "rest-json", b"raw bytes", path)["Payload"] == b"raw bytes"


# ---- CBOR ----


def test_cbor_compressed_metrics() -> None:
    document = cbor2.dumps({"Namespace": "n", "MetricData": [{"MetricName": "m", "Value": 1.5}]})
    expected = {"Namespace": "n", "MetricData": [{"MetricName": "m", "Value": 1.5}]}
    assert parse("cloudwatch", "PutMetricData", "smithy-rpc-v2-cbor", document) == expected
    squeezed = gzip.compress(document)
    assert (
        parse("cloudwatch", "PutMetricData", "smithy-rpc-v2-cbor", squeezed, content_encoding="gzip")
        == expected
    )
    bomb = gzip.compress(b"\0" * (17 * 1024 * 1024))
    for bad in (bomb, squeezed[:-4], squeezed + b"x", b"no gzip"):
        error = refusal("cloudwatch", "PutMetricData", "smithy-rpc-v2-cbor", bad, content_encoding="gzip")
        assert error.code == "SerializationException"


@pytest.mark.parametrize(
    "document",
    [
        b"", b"\xa1", b"\x80", b"\xff", b"\xa1\x01\x02", b"\xbf", b"\x9f" * 500, b"\xd8\x23a.", b"\xc2\x41\x01",
        b"\xa0\xa0",
        cbor2.dumps({"names": "x"}), cbor2.dumps({"names": [1]}), b"\xa1enames\x9a\xff\xff\xff\xff", b"\xfc", b"\x1c",
        b"\xa1enames\x7f\x41a\xff", b"\xa1enames\x61\xff", b"\x81" * 300 + b"\x00",
    ],
)  # fmt: skip
def test_malformed_cbor(document: bytes) -> None:
    error = refusal("codebuild", "BatchGetProjects", "smithy-rpc-v2-cbor", document)
    assert error.code in ("SerializationException", "InvalidInputException")


def test_cbor_of_indefinite_length() -> None:
    document = b"\xbfenames\x9f\x7f\x62aa\x61b\xff\x61c\xff\xff"
    assert parse("codebuild", "BatchGetProjects", "smithy-rpc-v2-cbor", document) == {"names": ["aab", "c"]}


# ---- event streams ----


@given(
    st.dictionaries(
        st.text(min_size=1, max_size=20),
        st.one_of(
            st.booleans(),
            st.integers(-(2**63), 2**63 - 1),
            st.binary(max_size=100),
            st.text(max_size=100),
            st.uuids(),
        ),
        max_size=6,
    ),
    st.binary(max_size=300),
)
def test_event_messages_are_read_by_botocore(
    headers: dict[str, bool | int | bytes | str | UUID], payload: bytes
) -> None:
    buffer: Any = EventStreamBuffer()
    buffer.add_data(encode_message(headers, payload))
    message = buffer.next()
    expected = {name: value.bytes if isinstance(value, UUID) else value for name, value in headers.items()}
    assert dict(message.headers) == expected
    assert message.payload == payload


@pytest.mark.parametrize(
    ("headers", "payload"),
    [({"": "x"}, b""), ({"n" * 256: "x"}, b""), ({"n": "x" * 40000}, b""), ({}, bytes(25 * 2**20))],
)
def test_event_messages_are_bounded(headers: dict[str, str], payload: bytes) -> None:
    with pytest.raises(ValueError):
        encode_message({**headers}, payload)


def test_operations_with_event_streams() -> None:
    codec = wire.codec("logs", "StartLiveTail", "json")
    assert codec.event_stream_output == "responseStream"
    reply = codec.reply({}, "id")
    assert reply.head == b"Content-Type: application/vnd.amazon.eventstream\r\nx-amzn-RequestId: id\r\n"
    sent = reply.body + codec.event("sessionUpdate", {"sessionMetadata": {"sampled": True}})
    sent += codec.event("SessionTimeoutException", {"message": "over"})
    buffer: Any = EventStreamBuffer()
    buffer.add_data(sent)
    found: list[Any] = [
        (event.headers[":message-type"], event.headers, json.loads(event.payload)) for event in buffer
    ]
    assert [(kind, payload) for kind, _, payload in found] == [
        ("event", {}),
        ("event", {"sessionMetadata": {"sampled": True}}),
        ("exception", {"message": "over"}),
    ]
    assert found[0][1][":event-type"] == "initial-response"
    assert found[2][1][":exception-type"] == "SessionTimeoutException"
    with pytest.raises(KeyError):
        codec.event("other", {})


@pytest.mark.parametrize(
    ("service", "operation"), [("lambda", "InvokeWithResponseStream"), ("logs", "PutLogEvents")]
)
def test_operations_whose_events_are_not_written(service: str, operation: str) -> None:
    protocol = "json" if service == "logs" else "rest-json"
    codec = wire.codec(service, operation, protocol)
    with pytest.raises(AwsError) as caught:
        codec.event("any", {})
    assert (caught.value.code, caught.value.status) == ("NotImplemented", 501)


# ---- routing ----


@pytest.mark.parametrize(
    ("method", "path", "query", "headers", "operation"),
    [
        ("GET", b"/", b"", (), "ListBuckets"),
        ("PUT", b"/b", b"", (), "CreateBucket"),
        ("PUT", b"/b/", b"", (), "CreateBucket"),
        ("PUT", b"/b/k", b"", (), "PutObject"),
        ("PUT", b"/b//", b"", (), "PutObject"),
        ("PUT", b"/b/k", b"partNumber=1&uploadId=u", (), "UploadPart"),
        ("PUT", b"/b/k", b"partNumber=1&uploadId=u", (b"x-amz-copy-source",), "UploadPartCopy"),
        ("PUT", b"/b/k", b"", (b"x-amz-copy-source",), "CopyObject"),
        ("PUT", b"/b/k", b"acl", (), "PutObjectAcl"),
        ("PUT", b"/b/k", b"acl=", (), "PutObjectAcl"),
        ("PUT", b"/b", b"acl", (), "PutBucketAcl"),
        ("GET", b"/b/a/../c", b"", (), "GetObject"),
        ("GET", b"/b/k", b"versionId=1&response-content-type=x", (), "GetObject"),
        ("GET", b"/b/k", b"uploadId=u", (), "ListParts"),
        ("GET", b"/b/k", b"attributes", (), "GetObjectAttributes"),
        ("GET", b"/b", b"list-type=2&prefix=a", (), "ListObjectsV2"),
        ("GET", b"/b", b"list-type=1", (), "ListObjects"),
        ("GET", b"/b", b"lifecycle", (), "GetBucketLifecycleConfiguration"),
        ("GET", b"/b", b"analytics", (), "ListBucketAnalyticsConfigurations"),
        ("GET", b"/b", b"analytics&id=1", (), "GetBucketAnalyticsConfiguration"),
        ("POST", b"/b", b"delete", (), "DeleteObjects"),
        ("POST", b"/b/k", b"uploads", (), "CreateMultipartUpload"),
        ("POST", b"/b/k", b"uploadId=u", (), "CompleteMultipartUpload"),
        ("HEAD", b"/b/k", b"", (), "HeadObject"),
        ("PATCH", b"/b", b"", (), None),
        ("GET", b"/b", b"%ff", (), None),
    ],
)
def test_s3_routes(
    method: str, path: bytes, query: bytes, headers: tuple[bytes, ...], operation: str | None
) -> None:
    assert wire.route_rest("s3", method, path, query, dict.fromkeys(headers, b"x")) == operation


def test_rest_json_routes() -> None:
    assert wire.route_rest("lambda", "GET", b"/2015-03-31/functions/", b"") == "ListFunctions"
    assert wire.route_rest("lambda", "GET", b"/2015-03-31/functions", b"") == "ListFunctions"
    assert wire.route_rest("lambda", "GET", b"/2015-03-31/functions/arn%3Aaws%3Alambda", b"") == "GetFunction"
    assert wire.route_rest("lambda", "GET", b"/nowhere", b"") is None


# ---- redaction ----


def test_codes_of_devices_are_not_shown() -> None:
    shown = wire.codec("s3", "DeleteObject", "rest-xml").redact(
        {"Bucket": "b", "Key": "k", "MFA": "arn 123456"}
    )
    assert shown == {"bucketName": "b", "key": "k", "mFA": "HIDDEN_DUE_TO_SECURITY_REASONS"}


def test_redaction() -> None:
    codec = wire.codec("secretsmanager", "CreateSecret", "json")
    shown = codec.redact(
        {"Name": "n", "SecretString": "hunter2", "SecretBinary": b"x", "Tags": [{"Key": "a"}]}
    )
    assert shown == {"name": "n", "secretString": "HIDDEN_DUE_TO_SECURITY_REASONS", "tags": [{"key": "a"}]}
    kms = wire.codec("kms", "Encrypt", "json")
    assert kms.redact({"KeyId": "k", "Plaintext": b"x", "EncryptionContext": {"A": "b"}}) == {
        "keyId": "k",
        "encryptionContext": {"A": "b"},
    }
    moment = datetime(2026, 1, 31, 0, 5, 9, tzinfo=UTC)
    shown = wire.codec("cloudtrail", "LookupEvents", "json").redact({"StartTime": moment, "MaxResults": 5})
    assert shown == {"startTime": "Jan 31, 2026, 12:05:09 AM", "maxResults": 5}
    assert wire.codec("lambda", "CreateFunction", "rest-json").redact(
        {"FunctionName": "f", "Environment": {"Variables": {"PASSWORD": "hunter2"}}, "Unknown": "hunter2"}
    ) == {"functionName": "f", "environment": {"variables": "HIDDEN_DUE_TO_SECURITY_REASONS"}}


@pytest.mark.parametrize(
    ("service", "operation", "protocol", "request_"),
    [
        ("events", "PutTargets", "json", {"Targets": [{"InputTransformer": {"InputTemplate": "hunter2"}}]}),
        ("events", "TestEventPattern", "json", {"Event": "hunter2"}),
        ("lambda", "Invoke", "rest-json", {"ClientContext": "hunter2"}),
        ("logs", "PutLogEvents", "json", {"logEvents": [{"message": "hunter2"}]}),
    ],
)
def test_what_the_models_do_not_call_sensitive_is_hidden_too(
    service: str, operation: str, protocol: str, request_: Any
) -> None:
    shown = str(wire.codec(service, operation, protocol).redact(request_))
    assert "hunter2" not in shown
    assert "HIDDEN_DUE_TO_SECURITY_REASONS" in shown


# ---- times ----


@given(st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)))
def test_times_survive(moment: datetime) -> None:
    moment -= timedelta(microseconds=moment.microsecond % 1000)
    assert timestamps.from_iso8601(timestamps.to_iso8601(moment)) == moment
    assert timestamps.from_iso8601(timestamps.to_iso8601_millis(moment)) == moment
    whole = moment.replace(microsecond=0)
    assert timestamps.from_http_date(timestamps.to_http_date(whole)) == whole
    assert timestamps.from_epoch(timestamps.to_epoch(moment)) == moment
    for form in timestamps.TO_TEXT.values():
        assert timestamps.from_text(form(whole)) == whole


@pytest.mark.parametrize(
    "text",
    ["", "x", "2026", "2026-13-01", "2026-01-01T25:00:00Z", "Mon, 99 Jan 2026 00:00:00 GMT", "1e5",
     "Xyz, 01 Foo 2026 00:00:00 GMT",
     "2026-01-01T00:00:00+99:00", "٢026-01-01"],
)  # fmt: skip
def test_texts_that_are_no_times(text: str) -> None:
    if text == "2026":
        assert timestamps.from_text(text) == datetime(1970, 1, 1, 0, 33, 46, tzinfo=UTC)
        return
    with pytest.raises(ValueError):
        timestamps.from_text(text)


# ---- the models ----


def test_protocols() -> None:
    assert wire.protocols("kms") == ("json",)
    assert wire.protocols("codebuild") == ("smithy-rpc-v2-cbor", "json")
    assert wire.protocols("macie2") == ("rest-json",)


@pytest.mark.parametrize(
    "arguments",
    [
        ("kms", "Nope", "json"),
        ("kms", "Encrypt", "query"),
        ("nope", "X", "json"),
        ("../kms", "Encrypt", "json"),
        ("", "X", "json"),
    ],
)
def test_unknown_names(arguments: tuple[str, str, str]) -> None:
    with pytest.raises(KeyError):
        wire.codec(*arguments)


def test_codecs_are_kept() -> None:
    assert wire.codec("kms", "Encrypt", "json") is wire.codec("kms", "Encrypt", "json")
    assert wire.model("kms") is wire.model("kms")


def test_violations_are_bounded() -> None:
    tags = b"".join(b"&Tags.member.%d.Key=" % number for number in range(1, 400))
    error = refusal("iam", "CreateUser", "query", b"UserName=a" + tags)
    assert error.message.startswith(f"{MAX_VIOLATIONS} validation errors detected: ")
