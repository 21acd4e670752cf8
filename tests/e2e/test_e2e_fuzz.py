"""A running server and whatever comes over the wire: AWS's refusals, never a 500, never a hang."""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import Iterator, Mapping
from http.client import HTTPException, HTTPResponse
from typing import Any
from urllib.parse import urlsplit

import pytest
from e2e_support import ACCOUNT, ADMIN, CLERK, KEY_ID, ROOT_MAY_ALL, Reply, Wire
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from server_support import Server

from casemate.api import kms as kms_api

SERVED = [operation.name for operation in kms_api.API.operations]
MEMBERS = (
    "KeyId", "Plaintext", "CiphertextBlob", "EncryptionContext", "Policy", "PolicyName", "AliasName", "TargetKeyId",
    "Tags", "TagKeys", "NumberOfBytes", "KeySpec", "Limit", "Marker", "PendingWindowInDays", "Description",
    "GrantTokens", "DryRun", "DryRunModifiers", "Recipient", "SourceKeyId", "DestinationKeyId", "Origin", "KeyUsage",
    "MultiRegion", "CustomerMasterKeySpec", "BypassPolicyLockoutSafetyCheck", "EncryptionAlgorithm",
)  # fmt: skip
NAMES = (
    KEY_ID,
    f"arn:aws:kms:us-east-1:{ACCOUNT}:key/{KEY_ID}",
    "alias/seeded",
    f"arn:aws:kms:us-east-1:{ACCOUNT}:alias/seeded",
    "alias/aws/s3",
    "arn:aws:kms:eu-central-1:444455556666:key/*",
    "mrk-" + "0" * 32,
)

fuzz = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.fixture(scope="module")
def wire(seeded: Server) -> Iterator[Wire]:
    made = Wire(seeded, ADMIN)
    yield made
    made.close()


@pytest.fixture(autouse=True)
def _unharmed(seeded: Server) -> Iterator[None]:
    """After every test the server still serves, and has met no defect."""
    yield
    check = Wire(seeded, ADMIN)
    assert check.kms("Encrypt", KeyId=KEY_ID, Plaintext="eA==").status == 200
    check.close()
    assert "Traceback" not in seeded.log, seeded.log
    assert " failed" not in seeded.log, seeded.log


def right(reply: Reply) -> Reply:
    assert reply.status < 500 or reply.status == 501, reply
    assert reply.request_id, reply
    return reply


def cut(text: str) -> st.SearchStrategy[str]:
    """The text with something put in, taken out or replaced."""
    return st.builds(
        lambda at, length, put: text[:at] + put + text[at + length :],
        st.integers(0, len(text)),
        st.integers(0, 6),
        st.text(max_size=6) | st.sampled_from((":", "/", "*", "%2F", "\x00", "é", "..", "${aws:username}")),
    )


names = st.one_of(*[cut(name) for name in NAMES], st.sampled_from(NAMES), st.text(max_size=40))
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | names
    | st.binary(max_size=30).map(lambda raw: base64.b64encode(raw).decode()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
parameters = st.dictionaries(st.sampled_from(MEMBERS) | st.text(max_size=5), values, max_size=5)


@fuzz
@given(operation=st.sampled_from(SERVED), parameters=parameters)
def test_parameters(wire: Wire, operation: str, parameters: dict[str, Any]) -> None:
    if operation in ("PutKeyPolicy", "ScheduleKeyDeletion", "DisableKey", "DeleteAlias", "UpdateAlias"):
        parameters = {**parameters, "KeyId": "alias/nothing", "AliasName": "alias/nothing"}
    right(wire.kms(operation, **parameters))


@fuzz
@given(
    operation=st.sampled_from(SERVED),
    body=st.binary(max_size=80)
    | parameters.map(lambda found: json.dumps(found).encode()[:-1])
    | parameters.map(lambda found: json.dumps(found).encode() + b"}")
    | st.sampled_from(
        [b"[" * 20000, b'{"KeyId":' * 20000, b'{"KeyId": "\\ud800"}', b'{"KeyId": 1e999}', b"\xef\xbb\xbf{}"]
    ),
)
def test_signed_garbage(wire: Wire, operation: str, body: bytes) -> None:
    headers = {"X-Amz-Target": f"TrentService.{operation}", "Content-Type": "application/x-amz-json-1.1"}
    right(wire.send(body, headers))


@fuzz
@given(name=names, blob=st.binary(max_size=200))
def test_names_and_blobs(wire: Wire, name: str, blob: bytes) -> None:
    for operation in ("DescribeKey", "Encrypt", "GetKeyPolicy", "ListResourceTags", "GenerateDataKey"):
        right(wire.kms(operation, KeyId=name, Plaintext="eA==", KeySpec="AES_256"))
    right(wire.kms("Decrypt", KeyId=name, CiphertextBlob=base64.b64encode(blob).decode()))
    right(wire.kms("CreateAlias", AliasName=name, TargetKeyId="alias/nothing"))


@pytest.fixture(scope="module")
def sealed(wire: Wire) -> bytes:
    return base64.b64decode(wire.kms("Encrypt", KeyId=KEY_ID, Plaintext="eA==").json["CiphertextBlob"])


@fuzz
@given(data=st.data())
def test_a_changed_ciphertext_is_refused(wire: Wire, sealed: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(sealed)))
    end = data.draw(st.integers(at, min(len(sealed), at + 8)))
    changed = sealed[:at] + data.draw(st.binary(max_size=8)) + sealed[end:]
    reply = right(wire.kms("Decrypt", CiphertextBlob=base64.b64encode(changed).decode()))
    if changed == sealed:
        assert reply.status == 200
    else:
        assert reply.status == 400, reply
        assert reply.code in ("InvalidCiphertextException", "AccessDeniedException", "ValidationException"), (
            reply
        )


OPERATORS = (
    "StringEquals", "StringLike", "ArnLike", "NumericLessThan", "DateGreaterThan", "Bool", "BinaryEquals",
    "IpAddress", "Null", "ForAnyValue:StringLike", "ForAllValues:StringEqualsIfExists", "StringNotEqualsIgnoreCase",
)  # fmt: skip
KEYS = (
    "kms:EncryptionContext:a",
    "aws:SourceIp",
    "aws:CurrentTime",
    "aws:username",
    "aws:SecureTransport",
    "x:y",
)
texts = st.sampled_from(
    ("*", "kms:*", "?", "${aws:username}", "${a,'b'}", "${", "2026-11-23", "1", "10.0.0.0/8")
) | (st.text(max_size=10))
several = texts | st.lists(texts, max_size=3) | values
statements = st.fixed_dictionaries(
    {"Effect": st.sampled_from(("Allow", "Deny", "Deny", 1))},
    optional={
        "Sid": texts,
        "Principal": st.just({"AWS": "*"}) | st.just("*") | st.dictionaries(texts, several, max_size=2),
        "NotPrincipal": st.just({"AWS": f"arn:aws:iam::{ACCOUNT}:root"}),
        "Action": st.just("kms:*") | several,
        "NotAction": several,
        "Resource": st.just("*") | several,
        "NotResource": several,
        "Condition": st.dictionaries(
            st.sampled_from(OPERATORS) | texts,
            st.dictionaries(st.sampled_from(KEYS) | texts, several, max_size=2),
        ),
        "Extra": values,
    },
)
policies = st.fixed_dictionaries(
    {"Version": st.sampled_from(("2012-10-17", "2008-10-17", "2012-10-17", "x"))},
    optional={"Statement": st.lists(statements, max_size=3) | statements, "Id": values},
)


@pytest.fixture(scope="module")
def victim(wire: Wire) -> str:
    """A key whose policy may become anything."""
    return str(wire.kms("CreateKey").json["KeyMetadata"]["KeyId"])


@fuzz
@given(policy=policies, broken=st.booleans(), context=st.dictionaries(st.just("a"), st.text(max_size=5)))
def test_policies(
    seeded: Server, victim: str, policy: dict[str, Any], broken: bool, context: dict[str, str]
) -> None:
    admin, clerk = Wire(seeded, ADMIN), Wire(seeded, CLERK)
    reset = {"Version": "2012-10-17", "Statement": [ROOT_MAY_ALL]}
    try:
        text = json.dumps(policy)
        # The key may have been locked by the example before, in which case its policy is what it is.
        for document in (reset, None):
            right(
                admin.kms(
                    "PutKeyPolicy",
                    KeyId=victim,
                    PolicyName="default",
                    Policy=json.dumps(document) if document else text[:-1] if broken else text,
                    BypassPolicyLockoutSafetyCheck=True,
                )
            )
        right(admin.kms("CreateKey", Policy=text))
        for wire in (admin, clerk):
            right(wire.kms("Encrypt", KeyId=victim, Plaintext="eA==", EncryptionContext=context))
    finally:
        admin.close()
        clerk.close()


FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@fuzz
@given(
    body=st.binary(max_size=60)
    | st.builds(
        lambda action, rest: f"Action={action}&Version=2011-06-15&{rest}".encode("utf-8", "replace"),
        st.sampled_from(("GetCallerIdentity", "AssumeRole", "x")) | st.text(max_size=5),
        st.text(alphabet="abc.=&%0123456789member[]<>\u00e9", max_size=40),
    )
)
def test_queries(wire: Wire, body: bytes) -> None:
    right(wire.send(body, FORM, service="sts"))


@fuzz
@given(
    changes=st.dictionaries(
        st.sampled_from(
            (
                "Authorization",
                "X-Amz-Date",
                "X-Amz-Target",
                "Content-Type",
                "X-Amz-Security-Token",
                "X-Amz-Content-SHA256",
                "X-Amz-Decoded-Content-Length",
                "Content-Encoding",
                "Origin",
                "smithy-protocol",
            )
        ),
        st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=60)
        | st.sampled_from(
            (
                "AWS4-HMAC-SHA256 Credential=a/20261123/us-east-1/kms/aws4_request",
                "gzip",
                "aws-chunked",
                "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
                "UNSIGNED-PAYLOAD",
                "rpc-v2-cbor",
            )
        ),
        max_size=3,
    ),
    data=st.data(),
)
def test_headers(wire: Wire, changes: dict[str, str], data: st.DataObject) -> None:
    headers = wire.signed(
        b"{}", {"X-Amz-Target": "TrentService.ListKeys", "Content-Type": "application/x-amz-json-1.1"}
    )
    authorization = headers["Authorization"]
    headers |= {name: value.strip() for name, value in changes.items()}
    if "Authorization" not in changes and data.draw(st.booleans()):
        headers["Authorization"] = (
            data.draw(cut(authorization))
            .encode("latin-1", "replace")
            .decode("latin-1")
            .replace("\n", "")
            .replace("\r", "")
        )
    try:
        reply = wire.send_as_is("POST", "/", b"{}", headers)
    except ValueError:
        return  # Python's own client will not send it
    assert reply.status < 500 or reply.status == 501, reply


def answers(raw: bytes, endpoint: str) -> list[int]:
    """The statuses of what the server answers to these bytes, after which the client has nothing more to say."""
    parts = urlsplit(endpoint)
    found: list[int] = []
    with socket.create_connection((parts.hostname, parts.port), timeout=20) as client:
        try:
            client.sendall(raw)
            client.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # refused before all of it was sent
        file = client.makefile("rb")
        while True:
            try:
                if not file.peek(1):
                    return found
                response = HTTPResponse(_Kept(file))  # type: ignore[arg-type]
                response.begin()
                found.append(response.status)
                response.read()
            except (ConnectionError, HTTPException):
                return found


class _Kept:
    """A socket to HTTPResponse, which must not close what the next response is read from."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def makefile(self, *_: Any) -> Any:
        return _Unclosed(self._file)


class _Unclosed:
    def __init__(self, file: Any) -> None:
        self._file = file

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def close(self) -> None:
        pass


def raw_request(headers: Mapping[str, str], body: bytes) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST / HTTP/1.1\r\n{lines}\r\n".encode("latin-1") + body


PIECES = (
    b"\r\n", b"\n", b"\r", b" ", b":", b"\x00", b"\xff", b"%", b"//", b"0\r\n\r\n", b"5;x=y\r\n", b"\x16\x03\x01",
    b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Host: x\r\n", b"Expect: 100-continue\r\n",
    b"Connection: close\r\n", b"HTTP/1.0", b"HTTP/9.9", b"PRI * HTTP/2.0",
)  # fmt: skip


@fuzz
@given(data=st.data())
def test_raw_bytes(seeded: Server, wire: Wire, data: st.DataObject) -> None:
    body = b'{"NumberOfBytes": 1}'
    headers = wire.signed(
        body, {"X-Amz-Target": "TrentService.GenerateRandom", "Content-Type": "application/x-amz-json-1.1"}
    )
    netloc = urlsplit(seeded.endpoint).netloc
    raw = raw_request({"Host": netloc, "Content-Length": str(len(body)), **headers}, body)
    raw *= data.draw(st.integers(1, 2))
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, len(raw)))
        taken = data.draw(st.integers(0, 5))
        raw = raw[:at] + data.draw(st.sampled_from(PIECES) | st.binary(max_size=4)) + raw[at + taken :]
    found = answers(raw, seeded.endpoint)
    assert all(status < 500 or status in (501, 505) for status in found), (found, raw)


def test_raw_bytes_are_read_as_meant(seeded: Server, wire: Wire) -> None:
    """What the test above changes is answered when it is not changed."""
    body = b'{"NumberOfBytes": 1}'
    headers = wire.signed(
        body, {"X-Amz-Target": "TrentService.GenerateRandom", "Content-Type": "application/x-amz-json-1.1"}
    )
    netloc = urlsplit(seeded.endpoint).netloc
    raw = raw_request({"Host": netloc, "Content-Length": str(len(body)), **headers}, body)
    assert answers(raw * 3, seeded.endpoint) == [200, 200, 200]
