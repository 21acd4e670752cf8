"""Whatever is sent, signed or not: a well-formed answer, at most 501, and one record of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import quote_from_bytes
from xml.etree import ElementTree

import cbor2
import pytest
from gate_support import ALICE, BOB, Answer, FakeExchange, Rig, User, request, rig_in
from hypothesis import given, settings
from hypothesis import strategies as st

NAMES = (
    "SecretId",
    "SecretString",
    "Name",
    "Value",
    "Type",
    "KeyId",
    "Plaintext",
    "CiphertextBlob",
    "Policy",
)
TARGETS = (
    "secretsmanager.GetSecretValue",
    "secretsmanager.PutSecretValue",
    "secretsmanager.GetRandomPassword",
    "secretsmanager.DescribeSecret",
    "AmazonSSM.GetParameter",
    "AmazonSSM.PutParameter",
    "GraniteServiceVersion20100801.ListDashboards",
    "TrentService.CreateKey",
    "TrentService.Encrypt",
    "TrentService.Decrypt",
    "TrentService.ListKeys",
    "TrentService.CreateAlias",
    "TrentService.TagResource",
)
SERVICES = (
    "secretsmanager",
    "ssm",
    "monitoring",
    "sns",
    "ec2",
    "guardduty",
    "route53",
    "kms",
    "s3",
    "sqs",
    "x",
)
PATHS = (
    "/",
    "/detector",
    "/2013-04-01/hostedzone",
    "/service/GraniteServiceVersion20100801/operation/ListDashboards",
    "//",
    "/%2F/..",
)
TYPES = (
    "application/x-amz-json-1.1",
    "application/x-amz-json-1.0",
    "application/x-www-form-urlencoded",
    "application/cbor",
    "application/xml",
    "",
)

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=10), inner, max_size=3)
    ),
    max_leaves=8,
)
objects = st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=10), values, max_size=4)
forms = st.lists(
    st.tuples(
        st.sampled_from(("Action", "Version", "X.1", "Filter.member.1.Name")) | st.text(max_size=8),
        st.sampled_from(("ListTopics", "2010-03-31", "DescribeRegions", "CreateTopic")) | st.text(max_size=8),
    ),
    max_size=4,
).map(lambda pairs: "&".join(f"{quote_from_bytes(a.encode('utf-8', 'replace'))}={b}" for a, b in pairs))
bodies = (
    st.binary(max_size=60)
    | objects.map(lambda value: json.dumps(value).encode())
    | values.map(lambda value: json.dumps(value).encode())
    | objects.map(cbor2.dumps)
    | forms.map(lambda text: text.encode("utf-8", "replace"))
    | st.just(b"[" * 5000)
    | st.just(b'{"a":' * 5000)
    | st.just(b"\xa1" * 3000)
)


@st.composite
def exchanges(draw: st.DrawFn) -> FakeExchange:
    headers = {}
    if draw(st.booleans()):
        headers["X-Amz-Target"] = draw(
            st.sampled_from(TARGETS) | st.text(st.characters(max_codepoint=126, min_codepoint=33))
        )
    headers["Content-Type"] = draw(st.sampled_from(TYPES))
    if draw(st.integers(0, 3)) == 0:
        headers["smithy-protocol"] = "rpc-v2-cbor"
    query = draw(st.just("") | forms)
    where = draw(st.sampled_from(PATHS))
    if query:
        where += "?" + quote_from_bytes(query.encode("utf-8", "replace"), safe="&=%")
    asked = request(
        f"http://localhost:4566{where}",
        method=draw(
            st.sampled_from(
                ("POST", "POST", "POST", "GET", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "BREW")
            )
        ),
        body=draw(bodies),
        headers=headers,
        user=draw(st.sampled_from((ALICE, ALICE, ALICE, BOB, None))),
        service=draw(st.sampled_from(SERVICES)),
    )
    # What a proxy or an attacker changes after it was signed.
    for name, value in draw(
        st.dictionaries(
            st.sampled_from(
                (
                    b"authorization",
                    b"x-amz-date",
                    b"host",
                    b"x-amz-security-token",
                    b"x-amz-content-sha256",
                    b"content-encoding",
                    b"x-amz-decoded-content-length",
                    b"origin",
                    b"smithy-protocol",
                )
            ),
            st.binary(max_size=40) | st.just(b""),
            max_size=draw(st.sampled_from((0, 0, 1, 2))),
        )
    ).items():
        asked.headers[name] = value
    return asked


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with rig_in(tmp_path_factory.mktemp("any")) as made:
        yield made


def well_formed(answer: Answer) -> None:
    """The body is what its Content-Type says, the head is one."""
    kind = answer.headers.get("content-type", "")
    if not answer.body:
        return
    if "json" in kind:
        json.loads(answer.body)
    elif "xml" in kind:
        ElementTree.fromstring(answer.body)
    elif "cbor" in kind:
        cbor2.loads(answer.body)
    else:
        raise AssertionError(f"an answer of no known kind: {answer}")


@settings(max_examples=200, deadline=None)
@given(asked=exchanges())
def test_any_request_gets_a_well_formed_answer(shared: Rig, asked: FakeExchange) -> None:
    answer = shared.ask(asked)
    assert answer.status < 500 or answer.status == 501, answer
    well_formed(answer)
    request_id = answer.headers.get("x-amzn-requestid") or answer.headers.get("x-amz-request-id", "")
    assert request_id, f"an answer names its request: {answer}"


@settings(max_examples=60, deadline=None)
@given(parameters=objects, target=st.sampled_from(TARGETS))
def test_any_parameters_of_a_proven_caller_get_a_well_formed_answer(
    shared: Rig, parameters: dict[str, object], target: str
) -> None:
    answer = shared.json(
        target,
        parameters,
        service={"Grani": "monitoring", "Trent": "kms", "Amazo": "ssm"}.get(target[:5], "secretsmanager"),
    )
    assert answer.status < 500 or answer.status == 501, answer
    well_formed(answer)


def test_every_one_of_them_is_recorded_once(shared: Rig) -> None:
    before = len(shared.raw_records())
    answers = [
        shared.ask(request(body=body, headers={"X-Amz-Target": target}, user=user, service="secretsmanager"))
        for body in (b"", b"{", b"\xff", b"null")
        for target in ("", ".", "secretsmanager.GetSecretValue", "x.\u00ff")
        for user in (ALICE, User("nobody", "1", ()), None)
    ]
    records = [record["requestID"] for record in shared.records()[before:]]
    assert sorted(records) == sorted(answer.request_id for answer in answers)
