"""botocore writes requests and reads answers; what it wrote is what we read, what it reads is what we wrote."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from botocore.model import StructureShape
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from wire_support import PAIRS, CannotMake, Maker, error_shapes, operations, request, response, same

from casemate import wire
from casemate.errors import AwsError

FEW = settings(
    max_examples=2, deadline=None, phases=(Phase.explicit, Phase.generate), report_multiple_bugs=False
)
"""Without shrinking: a smaller seed is no simpler case."""
SEEDS = st.integers(0, 2**32)


def without_empty(read: dict[str, Any], expected: dict[str, Any]) -> dict[str, Any]:
    """What was read, without the empty bodies and header maps that stand for a member that is not there."""
    return {name: value for name, value in read.items() if name in expected or value not in ({}, b"", "")}


@pytest.mark.parametrize(("service", "protocol"), PAIRS)
@FEW
@given(seed=SEEDS)
def test_requests(service: str, protocol: str, seed: int) -> None:
    random = Random(seed)
    made = skipped = 0
    for operation in operations(service, protocol, random):
        shape = operation.input_shape
        codec = wire.codec(service, operation.name, protocol)
        try:
            params = Maker(random, protocol).make(shape) if shape is not None else {}
        except CannotMake:
            skipped += 1
            continue
        if codec.streaming_input is not None:
            params.pop(codec.streaming_input, None)
        method, path, query, headers, body = request(operation, protocol, params)
        try:
            parsed = codec.parse(method, path, query, headers, body)
        except AwsError as error:
            raise AssertionError(
                f"{operation.name}: {error} for {params} as {path!r} {query!r} {body!r}"
            ) from error
        tokens = {
            name
            for name, member in (shape.members.items() if shape is not None else ())
            if member.metadata.get("idempotencyToken") and name not in params
        }
        assert tokens <= parsed.keys(), f"{operation.name}: tokens are filled in"
        expected = {**params, **{name: parsed[name] for name in tokens}}
        assert without_empty(parsed, expected) == expected, operation.name
        assert isinstance(codec.redact(parsed), dict)
        if protocol.startswith("rest"):
            assert wire.route_rest(service, method, path, query, headers) in (
                operation.name,
                *SAME.get(operation.name, ()),
            )
        made += 1
    assert made > 4 * skipped, (
        f"{skipped} of {made + skipped} operations had no input within the model's constraints"
    )


# Deprecated twins that share everything but the name, and what goes to other endpoints in AWS.
SAME = {
    "GetBucketLifecycle": ("GetBucketLifecycleConfiguration",),
    "PutBucketLifecycle": ("PutBucketLifecycleConfiguration",),
    "GetBucketNotification": ("GetBucketNotificationConfiguration",),
    "PutBucketNotification": ("PutBucketNotificationConfiguration",),
    "ListDirectoryBuckets": ("ListBuckets",),
}


@pytest.mark.parametrize(("service", "protocol"), PAIRS)
@FEW
@given(seed=SEEDS)
def test_answers(service: str, protocol: str, seed: int) -> None:
    random = Random(seed)
    made = skipped = 0
    for operation in operations(service, protocol, random):
        shape = operation.output_shape
        codec = wire.codec(service, operation.name, protocol)
        if codec.event_stream_output is not None:
            continue
        maker = Maker(random, protocol)
        try:
            result = maker.make(shape) if shape is not None else {}
        except CannotMake:
            skipped += 1
            continue
        if isinstance(shape, StructureShape):
            for name, member in shape.members.items():
                if member.serialization.get("location") == "statusCode":
                    result[name] = 202
        if codec.streaming_output is not None:
            result.pop(codec.streaming_output, None)
        if operation.name == "GetBucketLocation":
            continue
        reply = codec.reply({**result}, "the-request-id")
        read = response(reply, protocol, shape)
        metadata = read.pop("ResponseMetadata")
        if protocol != "smithy-rpc-v2-cbor" or shape is not None:
            assert metadata["RequestId"] == "the-request-id", operation.name
        if codec.streaming_output is not None:
            read.pop(codec.streaming_output)
        expected = {name: value for name, value in result.items() if value is not None}
        assert same(without_empty(read, expected)) == same(expected), f"{operation.name}: {reply}"
        made += 1
    assert made > 4 * skipped


@pytest.mark.parametrize(("service", "protocol"), PAIRS)
@FEW
@given(seed=SEEDS)
def test_modelled_errors(service: str, protocol: str, seed: int) -> None:
    random = Random(seed)
    for shape in error_shapes(service):
        try:
            fields = Maker(random, protocol).make(shape)
        except CannotMake:
            continue
        for name in ("message", "Message"):
            fields.pop(name, None)
        error = AwsError(shape.name, "What went wrong <&>", **fields)
        reply = wire.error_reply(service, protocol, error, "the-request-id")
        read = response(reply, protocol, None)
        assert read["ResponseMetadata"]["RequestId"] == "the-request-id", shape.name
        assert read["Error"]["Message"] == "What went wrong <&>", shape.name
        assert read["Error"]["Code"] == (
            shape.error_code
            if protocol in ("query", "ec2", "rest-xml") or wire.model(service).is_query_compatible
            else shape.name
        )
        assert reply.status >= 400
        again = response(reply, protocol, shape)
        again = {
            name: value
            for name, value in again.items()
            if name not in ("message", "Message", "ResponseMetadata")
        }
        assert same(again) == same(fields), f"{shape.name}: {reply}"
