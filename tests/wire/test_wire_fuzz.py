"""Whatever the bytes are, ``parse`` answers with members or with an AwsError."""

from __future__ import annotations

from random import Random
from typing import Any

import cbor2
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wire_support import PAIRS, CannotMake, Maker, operations, request

from casemate import wire
from casemate.errors import AwsError

TARGETS = [
    ("kms", "Encrypt", "json"),
    ("wafv2", "CreateWebACL", "json"),
    ("ssm", "PutParameter", "json"),
    ("lambda", "CreateFunction", "rest-json"),
    ("guardduty", "CreateFilter", "rest-json"),
    ("cloudwatch", "PutMetricData", "smithy-rpc-v2-cbor"),
    ("codebuild", "CreateProject", "smithy-rpc-v2-cbor"),
    ("iam", "CreateRole", "query"),
    ("cloudformation", "CreateStack", "query"),
    ("ec2", "RunInstances", "ec2"),
    ("s3", "PutBucketLifecycleConfiguration", "rest-xml"),
    ("s3", "PutObject", "rest-xml"),
    ("s3control", "CreateJob", "rest-xml"),
]

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def tolerated(service: str, operation: str, protocol: str, body: bytes, **parts: Any) -> None:
    """Parse, and render what comes of it."""
    codec = wire.codec(service, operation, protocol)
    try:
        params = codec.parse(
            "POST", parts.get("path", b"/"), parts.get("query", b""), parts.get("headers", {}), body
        )
    except AwsError as error:
        refused: AwsError | None = error
    else:
        refused = None
        codec.redact(params)
    if refused is not None:
        assert refused.status == 400, refused
        assert codec.error(refused, "id").status == 400


@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=30, deadline=None)
@given(
    body=st.binary(max_size=200),
    path=st.binary(max_size=30).map(lambda tail: b"/" + tail),
    query=st.binary(max_size=60),
    headers=st.dictionaries(
        st.sampled_from([b"x-amz-acl", b"host", b"content-length", b"expires", b"x-amz-meta-a"]),
        st.binary(max_size=20),
    ),
)  # fmt: skip
def test_bytes(
    target: tuple[str, str, str], body: bytes, path: bytes, query: bytes, headers: dict[bytes, bytes]
) -> None:
    tolerated(*target, body, path=path, query=query, headers=headers)
    if target[2].startswith("rest"):
        wire.route_rest(target[0], "GET", path, query, headers)


def members(target: tuple[str, str, str]) -> list[str]:
    shape = wire.model(target[0]).operation_model(target[1]).input_shape
    return list(getattr(shape, "members", {}))


@pytest.mark.parametrize(
    "target", [target for target in TARGETS if "json" in target[2] or "cbor" in target[2]]
)
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_documents_of_the_wrong_shape(target: tuple[str, str, str], data: st.DataObject) -> None:
    document = data.draw(st.dictionaries(st.sampled_from(members(target)), JSON, max_size=5))
    if target[2] == "smithy-rpc-v2-cbor":
        tolerated(*target, cbor2.dumps(document))
    else:
        try:
            body = orjson.dumps(document)
        except TypeError:  # an integer of more than 64 bits
            return
        tolerated(*target, body, path=b"/x")


XML = st.recursive(
    st.text(alphabet="ab<>&; 0\u00fc", max_size=6),
    lambda inner: st.tuples(
        st.sampled_from(["LifecycleConfiguration", "Rule", "ID", "Filter", "And", "Tag", "Days", "Date", "member"]),
        st.lists(inner, max_size=4),
    ).map(lambda pair: f"<{pair[0]}>{''.join(pair[1])}</{pair[0]}>"),
    max_leaves=15,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(XML)
def test_xml_of_the_wrong_shape(document: str) -> None:
    body = f"<LifecycleConfiguration>{document}</LifecycleConfiguration>".encode()
    tolerated("s3", "PutBucketLifecycleConfiguration", "rest-xml", body, path=b"/bucket")


NAMES = [
    "Tags",
    "member",
    "1",
    "2",
    "Key",
    "RoleName",
    "",
    "entry",
    "MaxSessionDuration",
    "-1",
    "99999999999",
]
FORM = st.lists(
    st.tuples(
        st.lists(st.sampled_from(NAMES), max_size=5).map(".".join),
        st.text(max_size=6),
    ),
    max_size=6,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(FORM)
def test_forms_of_the_wrong_shape(fields: list[tuple[str, str]]) -> None:
    body = "&".join(f"{name}={value}" for name, value in fields).encode()
    tolerated("iam", "CreateRole", "query", body)
    tolerated("ec2", "RunInstances", "ec2", body)


@pytest.mark.parametrize(("service", "protocol"), [pair for pair in PAIRS if pair[0] != "ec2"])
@settings(max_examples=2, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_right_requests_with_damage(service: str, protocol: str, seed: int) -> None:
    random = Random(seed)
    for operation in random.sample(operations(service, protocol, random), 5):
        if operation.input_shape is None:
            continue
        try:
            params = Maker(random, protocol).make(operation.input_shape)
        except CannotMake:
            continue
        codec = wire.codec(service, operation.name, protocol)
        if codec.streaming_input is not None:
            params.pop(codec.streaming_input, None)
        _, path, query, headers, body = request(operation, protocol, params)
        damaged = bytearray(body)
        for _ in range(random.randint(1, 4)):
            if damaged:
                damaged[random.randrange(len(damaged))] = random.randrange(256)
        tolerated(service, operation.name, protocol, bytes(damaged), path=path, query=query, headers=headers)
        tolerated(
            service, operation.name, protocol, body[: random.randint(0, len(body))], path=path, query=query
        )
