"""Step 2 and the browser: which operation a request means in each protocol, and cross-origin answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cbor2
import pytest
from gate_support import FakeExchange, Rig, form, json_request, request, rig_in

from casemate.gate.cors import Cors

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
CBOR = {"smithy-protocol": "rpc-v2-cbor", "Content-Type": "application/cbor"}
CLOUDWATCH = "/service/GraniteServiceVersion20100801/operation/"

ROUTES: dict[str, tuple[dict[str, Any], str, bytes]] = {
    "json by target": (
        {
            "body": b"{}",
            "headers": {
                "X-Amz-Target": "GraniteServiceVersion20100801.ListDashboards",
                "Content-Type": "application/x-amz-json-1.0",
            },
            "service": "monitoring",
        },
        "ListDashboards",
        b"DashboardEntries",
    ),
    "query by the body": (
        {"body": form(Action="ListTopics", Version="2010-03-31"), "headers": FORM, "service": "sns"},
        "ListTopics",
        b"<ListTopicsResult>",
    ),
    "query by the query string": (
        {
            "method": "GET",
            "url": "http://localhost:4566/?Action=ListTopics&Version=2010-03-31",
            "service": "sns",
        },
        "ListTopics",
        b"<ListTopicsResult>",
    ),
    "query of a service with several protocols": (
        {
            "body": form(Action="ListDashboards", Version="2010-08-01"),
            "headers": FORM,
            "service": "monitoring",
        },
        "ListDashboards",
        b"<ListDashboardsResult>",
    ),
    "ec2": (
        {"body": form(Action="DescribeRegions", Version="2016-11-15"), "headers": FORM, "service": "ec2"},
        "DescribeRegions",
        b"<DescribeRegionsResponse",
    ),
    "rpc-v2-cbor by its path": (
        {
            "url": f"http://localhost:4566{CLOUDWATCH}ListDashboards",
            "body": cbor2.dumps({}),
            "headers": CBOR,
            "service": "monitoring",
        },
        "ListDashboards",
        b"DashboardEntries",
    ),
    "rest-json by method and path": (
        {"method": "GET", "url": "http://localhost:4566/detector", "service": "guardduty"},
        "ListDetectors",
        b'"detectorIds":["d1"]',
    ),
    "rest-xml by method and path": (
        {"method": "GET", "url": "http://localhost:4566/2013-04-01/hostedzone", "service": "route53"},
        "ListHostedZones",
        b"<ListHostedZonesResponse",
    ),
}


@pytest.mark.parametrize("name", ROUTES)
def test_a_request_finds_its_operation(rig: Rig, name: str) -> None:
    asked, operation, part = ROUTES[name]
    answer = rig.ask(request(**asked))
    assert answer.status == 200, answer
    assert part in answer.body, answer.body
    assert rig.toys.ran == [operation]
    (record,) = rig.records_of(answer)
    assert record["eventName"] == operation
    assert record["eventSource"] == f"{asked['service']}.amazonaws.com"


@pytest.mark.parametrize("name", ROUTES)
def test_unsigned_it_is_refused_in_its_own_protocol(rig: Rig, name: str) -> None:
    answer = rig.ask(request(**ROUTES[name][0], user=None))
    assert 400 <= answer.status < 500, answer
    assert b"Missing" in answer.body or b"MissingParameter" in answer.body, answer
    assert rig.toys.ran == []
    assert len(rig.records_of(answer)) == 1


LOST: dict[str, tuple[dict[str, Any], int, bytes]] = {
    "an action that the service does not have": (
        {"body": form(Action="Nonsense", Version="2010-03-31"), "headers": FORM, "service": "sns"},
        400,
        b"<Code>InvalidAction</Code>",
    ),
    "an action that is not served": (
        {
            "body": form(Action="CreateTopic", Version="2010-03-31", Name="x"),
            "headers": FORM,
            "service": "sns",
        },
        501,
        b"sns:CreateTopic is not served",
    ),
    "a service that is not served": (
        {"body": form(Action="ListQueues", Version="2012-11-05"), "headers": FORM, "service": "sqs"},
        501,
        b"NotImplemented",
    ),
    "a rest service that is not served": (
        {"method": "GET", "url": "http://localhost:4566/bucket/key", "service": "s3"},
        501,
        b"NotImplemented",
    ),
    "a path that the service does not have": (
        {"method": "GET", "url": "http://localhost:4566/no/such/path", "service": "guardduty"},
        404,
        b"UnknownOperationException",
    ),
    "a cbor operation that the service does not have": (
        {
            "url": f"http://localhost:4566{CLOUDWATCH}Nonsense",
            "body": b"",
            "headers": CBOR,
            "service": "monitoring",
        },
        404,
        b"UnknownOperationException",
    ),
    "a cbor service that is not served": (
        {
            "url": "http://localhost:4566/service/Other/operation/Act",
            "body": b"",
            "headers": CBOR,
            "service": "monitoring",
        },
        501,
        b"NotImplemented",
    ),
    "a cbor path that is none": (
        {"url": "http://localhost:4566/service", "body": b"", "headers": CBOR, "service": "monitoring"},
        404,
        b"UnknownOperationException",
    ),
    "an action in a protocol that the service does not speak": (
        {"body": form(Action="GetSecretValue", Version="2017-10-17"), "headers": FORM},
        400,
        b"UnknownOperationException",
    ),
    "nothing at all": (
        {"method": "GET", "url": "http://localhost:4566/", "user": None},
        403,
        b"Missing Authentication Token",
    ),
}


@pytest.mark.parametrize("name", LOST)
def test_what_means_no_operation_is_told_so(rig: Rig, name: str) -> None:
    asked, status, part = LOST[name]
    answer = rig.ask(request(**asked))
    assert answer.status == status, answer
    assert part in answer.body + answer.headers.get("x-amzn-errortype", "").encode(), answer
    assert rig.toys.ran == []
    assert len(rig.records_of(answer)) == 1


def test_a_route_is_not_another_services_by_its_scope(rig: Rig) -> None:
    """The target says secretsmanager; a scope for sns neither redirects it nor lets it in."""
    answer = rig.json("secretsmanager.GetRandomPassword", {}, service="sns")
    assert answer.code == "InvalidSignatureException"
    assert rig.toys.ran == []


# --- browsers


def preflight(origin: str | None = "https://app.example", asks: bool = True) -> FakeExchange:
    headers = {} if origin is None else {"Origin": origin}
    if asks:
        headers |= {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-amz-target"}
    return request(method="OPTIONS", headers=headers, user=None)


def cross(origin: str, **options: Any) -> FakeExchange:
    return json_request("secretsmanager.GetRandomPassword", {}, more_headers={"Origin": origin}, **options)


def test_a_preflight_is_answered(rig: Rig) -> None:
    answer = rig.ask(preflight())
    assert answer.status == 200
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert answer.headers["access-control-allow-headers"] == "x-amz-target"
    assert rig.records() == [], "a preflight is no call"


@pytest.mark.parametrize("asked", [preflight(origin=None), preflight(asks=False)])
def test_options_without_a_preflight_are_a_request_like_others(rig: Rig, asked: FakeExchange) -> None:
    fresh = FakeExchange(asked.method, asked.path, asked.query, asked.headers, asked.body)
    answer = rig.ask(fresh)
    assert answer.status == 403
    assert len(rig.records_of(answer)) == 1


def test_answers_and_refusals_may_be_read_by_any_origin(rig: Rig) -> None:
    for answer in (rig.ask(cross("https://app.example")), rig.ask(cross("https://app.example", user=None))):
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "x-amzn-RequestId" in answer.headers["access-control-expose-headers"]
    assert "access-control-allow-origin" not in rig.json("secretsmanager.GetRandomPassword", {}).headers


def test_origins_that_are_not_named_get_nothing(tmp_path: Path) -> None:
    with rig_in(tmp_path, cors=Cors(["https://app.example"])) as rig:
        assert rig.ask(preflight()).headers["access-control-allow-origin"] == "https://app.example"
        refused = rig.ask(preflight("https://evil.example"))
        assert refused.status == 403
        assert "access-control-allow-origin" not in refused.headers
        named = rig.ask(cross("https://app.example"))
        assert named.headers["access-control-allow-origin"] == "https://app.example"
        assert named.headers["vary"] == "Origin"
        assert "access-control-allow-origin" not in rig.ask(cross("https://evil.example")).headers
