"""AWS JSON: what is read, what is refused, in AWS's words."""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wire_support import CannotMake, Maker, operations

from casemate import wire
from casemate.errors import AwsError
from casemate.wire.json_protocol import compile_fast
from casemate.wire.models import service as lean
from casemate.wire.replies import checks

KEY_PATTERN_TAGS = r"[\p{L}\p{Z}\p{N}_.:/=+\-@]*"


def parse(service: str, operation: str, body: object) -> dict[str, Any]:
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    return wire.codec(service, operation, "json").parse("POST", b"/", b"", {}, raw)


def refusal(service: str, operation: str, body: object) -> AwsError:
    with pytest.raises(AwsError) as caught:
        parse(service, operation, body)
    return caught.value


def test_encrypt_is_read() -> None:
    assert parse("kms", "Encrypt", {"KeyId": "a", "Plaintext": "aGVsbG8=", "Unknown": 1, "DryRun": None}) == {
        "KeyId": "a",
        "Plaintext": b"hello",
    }


def test_times_and_numbers() -> None:
    parsed = parse("kms", "ImportKeyMaterial", {
        "KeyId": "a", "ImportToken": "YQ==", "EncryptedKeyMaterial": "YQ==", "ValidTo": 1700000000.25,
    })  # fmt: skip
    assert parsed["ValidTo"] == datetime(2023, 11, 14, 22, 13, 20, 250000, UTC)
    assert parse("kms", "GenerateRandom", {"NumberOfBytes": 32.0}) == {"NumberOfBytes": 32}


NULL = "failed to satisfy constraint: Member must not be null"
SATISFY = "failed to satisfy constraint: Member must"
ONE = "1 validation error detected: "
CONSTRAINTS = [
    ("kms", "DescribeKey", {}, f"{ONE}Value null at 'keyId' {NULL}"),
    (
        "kms", "Encrypt", {},
        f"2 validation errors detected: Value null at 'keyId' {NULL}; Value null at 'plaintext' {NULL}",
    ),
    (
        "kms", "DescribeKey", {"KeyId": "x" * 2049},
        f"{ONE}Value '{'x' * 2049}' at 'keyId' {SATISFY} have length less than or equal to 2048",
    ),
    (
        "kms", "DescribeKey", {"KeyId": ""},
        f"{ONE}Value '' at 'keyId' {SATISFY} have length greater than or equal to 1",
    ),
    (
        "kms", "Encrypt", {"KeyId": "a", "Plaintext": "QUJD" * 1366},
        f"{ONE}Value at 'plaintext' {SATISFY} have length less than or equal to 4096",
    ),
    (
        "kms", "Decrypt", {"CiphertextBlob": ""},
        "1 validation error detected: Value 'java.nio.HeapByteBuffer[pos=0 lim=0 cap=0]' at 'ciphertextBlob' "
        f"{SATISFY} have length greater than or equal to 1",
    ),
    (
        "kms", "GenerateRandom", {"NumberOfBytes": 1025},
        f"{ONE}Value '1025' at 'numberOfBytes' {SATISFY} have value less than or equal to 1024",
    ),
    (
        "kms", "GenerateRandom", {"NumberOfBytes": 0},
        f"{ONE}Value '0' at 'numberOfBytes' {SATISFY} have value greater than or equal to 1",
    ),
    (
        "kms", "Encrypt", {"KeyId": "a", "Plaintext": "YQ==", "EncryptionAlgorithm": "ROT13"},
        f"{ONE}Value 'ROT13' at 'encryptionAlgorithm' {SATISFY} satisfy enum value set: "
        "[SYMMETRIC_DEFAULT, RSAES_OAEP_SHA_1, RSAES_OAEP_SHA_256, SM2PKE]",
    ),
    (
        "kms", "CreateAlias", {"AliasName": "alias/ä", "TargetKeyId": "a"},
        f"{ONE}Value 'alias/ä' at 'aliasName' {SATISFY} satisfy regular expression pattern: "
        "^[a-zA-Z0-9:/_-]+$",
    ),
    (
        "kms", "CreateAlias", {"AliasName": "", "TargetKeyId": "a"},
        f"2 validation errors detected: Value '' at 'aliasName' {SATISFY} satisfy regular expression pattern: "
        f"^[a-zA-Z0-9:/_-]+$; Value '' at 'aliasName' {SATISFY} have length greater than or equal to 1",
    ),
    (
        "kms", "TagResource", {"KeyId": "a", "Tags": [{"TagKey": "", "TagValue": "v"}]},
        f"{ONE}Value '' at 'tags.1.member.tagKey' {SATISFY} have length greater than or equal to 1",
    ),
    (
        "kms", "TagResource", {"KeyId": "a", "Tags": [None, {"TagKey": "k"}]},
        f"2 validation errors detected: Value null at 'tags.1.member' {NULL}; "
        f"Value null at 'tags.2.member.tagValue' {NULL}",
    ),
    (
        "kms", "Encrypt", {"KeyId": "a", "Plaintext": "YQ==", "GrantTokens": ["t", ""]},
        f"{ONE}Value '[t, ]' at 'grantTokens' {SATISFY} satisfy constraint: "
        "[Member must have length less than or equal to 8192, Member must have length greater than or equal to 1, "
        "Member must not be null]",
    ),
    (
        "kms", "Encrypt", {"KeyId": "a", "Plaintext": "YQ==", "EncryptionContext": {"k": None}},
        "1 validation error detected: Value '{k=null}' at 'encryptionContext' failed to satisfy constraint: "
        "Map value must satisfy constraint: [Member must not be null]",
    ),
    (
        "secretsmanager", "PutSecretValue", {"SecretId": "a", "SecretString": ""},
        f"{ONE}Value at 'secretString' {SATISFY} have length greater than or equal to 1",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("service", "operation", "body", "message"), CONSTRAINTS)
def test_constraints(service: str, operation: str, body: object, message: str) -> None:
    error = refusal(service, operation, body)
    assert (error.code, error.status) == ("ValidationException", 400)
    assert error.message == message


@pytest.mark.parametrize(
    ("service", "operation", "body", "code"),
    [
        ("logs", "CreateLogGroup", {}, "InvalidParameterException"),
        ("sqs", "CreateQueue", {}, "MissingParameter"),
        ("events", "PutRule", {}, "ValidationException"),
        ("ssm", "GetParameter", {}, "ValidationException"),
        ("organizations", "DescribeAccount", {}, "InvalidInputException"),
    ],
)
def test_codes_by_service(service: str, operation: str, body: object, code: str) -> None:
    assert refusal(service, operation, body).code == code


@pytest.mark.parametrize(
    "body",
    [
        b"{", b"[]", b"1", b'"x"', b"null", b"\xff", b'{"KeyId": NaN}', b'{"KeyId": "\\ud800"}', b'{"KeyId": 1e999}',
        b'{"KeyId": 5}', b'{"KeyId": []}', b'{"KeyId": {}}', b'{"KeyId": true}', b'{"GrantTokens": "x"}',
        b'{"GrantTokens": {"a": 1}}', b"{}{}", b"[" * 5000, b'{"a":' * 2000 + b"1" + b"}" * 2000,
    ],
)  # fmt: skip
def test_malformed_documents(body: bytes) -> None:
    error = refusal("kms", "DescribeKey", body)
    assert (error.code, error.status) == ("SerializationException", 400)


@pytest.mark.parametrize(
    ("operation", "body", "message"),
    [
        ("DescribeKey", {"KeyId": 5}, "NUMBER_VALUE can not be converted to a String"),
        ("DescribeKey", {"KeyId": True}, "TRUE_VALUE can not be converted to a String"),
        ("DescribeKey", {"KeyId": {}}, "Start of structure or map found where not expected."),
        ("GenerateRandom", {"NumberOfBytes": "5"}, "STRING_VALUE can not be converted to an Integer"),
        ("GenerateRandom", {"NumberOfBytes": 1.5}, "NUMBER_VALUE can not be converted to an Integer"),
        ("GenerateRandom", {"NumberOfBytes": 2**31}, "NUMBER_VALUE can not be converted to an Integer"),
        ("Encrypt", {"KeyId": "a", "Plaintext": "not base64"}, "Unable to decode base64"),
        ("Encrypt", {"KeyId": "a", "Plaintext": "YQ"}, "Unable to decode base64"),
        ("Encrypt", {"KeyId": "a", "Plaintext": "YQ==\n"}, "Unable to decode base64"),
    ],
)
def test_wrong_types(operation: str, body: object, message: str) -> None:
    error = refusal("kms", operation, body)
    assert (error.code, error.message) == ("SerializationException", message)


def test_recursive_inputs_are_bounded() -> None:
    statement = '{"NotStatement":{"Statement":' * 400 + "{}" + "}}" * 400
    body = f'{{"Scope":"REGIONAL","Rules":[{{"Name":"r","Priority":1,"Statement":{statement}}}]}}'
    error = refusal("wafv2", "CheckCapacity", body.encode())
    assert error.code == "SerializationException"


def test_the_last_of_equal_names_counts() -> None:
    assert parse("kms", "DescribeKey", b'{"KeyId": "a", "KeyId": "b"}') == {"KeyId": "b"}


def test_secrets_are_not_in_messages() -> None:
    error = refusal("secretsmanager", "CreateSecret", {"SecretString": "hunter2" * 10000, "Name": ""})
    assert "hunter2" not in error.message
    assert "Value at 'secretString'" in error.message


def test_tokens_are_filled_in() -> None:
    parsed = parse("secretsmanager", "CreateSecret", {"Name": "a"})
    assert len(parsed["ClientRequestToken"]) == 36
    given_token = "x" * 40
    assert parse("secretsmanager", "CreateSecret", {"Name": "a", "ClientRequestToken": given_token})[
        "ClientRequestToken"
    ] == given_token  # fmt: skip


def test_answer() -> None:
    reply = wire.codec("kms", "Encrypt", "json").reply(
        {"CiphertextBlob": b"\x00\xff", "KeyId": "arn", "EncryptionAlgorithm": None}, "id-1"
    )
    assert reply == wire.Reply(
        200,
        b"Content-Type: application/x-amz-json-1.1\r\nx-amzn-RequestId: id-1\r\n",
        b'{"CiphertextBlob":"AP8=","KeyId":"arn"}',
    )


@pytest.mark.parametrize(
    "result", [{"Nonsense": 1}, {"KeyId": 5}, {"KeyId": b"x"}, {"CiphertextBlob": "text"}, {"Bad": None}]
)
def test_defective_results_are_seen(result: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        wire.codec("kms", "Encrypt", "json").reply(result, "id-1")


def test_naive_times_are_a_defect() -> None:
    with pytest.raises(TypeError):
        wire.codec("kms", "ScheduleKeyDeletion", "json").reply({"DeletionDate": datetime(2026, 1, 1)}, "id-1")


def test_empty_answers() -> None:
    assert wire.codec("kms", "EnableKey", "json").reply({}, "id-1").body == b""
    with pytest.raises(TypeError):
        wire.codec("kms", "EnableKey", "json").reply({"KeyId": "a"}, "id-1")


def test_errors() -> None:
    reply = wire.codec("kms", "Encrypt", "json").error(AwsError("NotFoundException", "No."), "id-1")
    assert reply.status == 400
    assert orjson.loads(reply.body) == {"__type": "NotFoundException", "message": "No."}
    fault = wire.codec("kms", "Encrypt", "json").error(AwsError("KMSInternalException", "Oh."), "id-1")
    assert fault.status == 500, "the model calls it a fault of the server"


def test_error_status() -> None:
    """The model's status stands in for the default one; a status that was asked for is kept."""
    assert wire.error_reply("iam", "query", AwsError("NoSuchEntity", "x"), "i").status == 404
    assert wire.error_reply("iam", "query", AwsError("NoSuchEntityException", "x"), "i").status == 404
    assert wire.error_reply("iam", "query", AwsError("NoSuchEntity", "x", 410), "i").status == 410
    assert wire.error_reply("iam", "query", AwsError("Strange", "x"), "i").status == 400
    assert wire.error_reply(None, "json", AwsError("Strange", "x", 501), "i").status == 501


def test_query_compatible_errors_carry_the_old_code() -> None:
    reply = wire.error_reply("cloudwatch", "json", AwsError("ResourceNotFound", "No."), "i")
    assert b"x-amzn-query-error: ResourceNotFound;Sender\r\n" in reply.head


@pytest.mark.parametrize("service", ["kms", "secretsmanager", "sqs", "logs", "wafv2", "events"])
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**32), data=st.data())
def test_the_straight_way_is_of_the_same_opinion(service: str, seed: int, data: st.DataObject) -> None:
    """Right documents and documents with one thing changed: the generated function and the general way agree."""
    random = Random(seed)
    for operation in random.sample(operations(service, "json", random), 12):
        model = lean(service).operation(operation.name)
        fast = compile_fast(model)
        if fast is None or operation.input_shape is None or model.input is None:
            continue
        try:
            params = Maker(random, "json").make(operation.input_shape)
        except CannotMake:
            continue
        document = orjson.loads(orjson.dumps(params, default=lambda _: "AAAA"))
        if document and random.random() < 0.7:
            name = random.choice(list(document))
            document[name] = random.choice(
                [None, "", "x" * 3000, 5, -1, 1.5, True, [], {}, ["", None], {"": None}, {"a": 1}]
            )
        codec = wire.codec(service, operation.name, "json")
        body = orjson.dumps(document)
        check = checks(service).compile(model.input)
        try:
            general: dict[str, Any] | None = codec._read("POST", b"/", b"", {}, body)
            assert general is not None
            if check is not None and not check(general):
                general = None
        except ValueError:
            general = None
        try:
            straight = fast(body)
        except ValueError:
            straight = None
        assert straight == general, f"{operation.name}: {document}"
