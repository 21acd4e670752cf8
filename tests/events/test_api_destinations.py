"""Connections and API destinations, against a real HTTP endpoint: authorised, sent, tried again, dead letters."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from acting_support import ACCOUNT, REGION, document
from endpoint_support import Endpoint, endpoint
from events_support import Events, refused
from server_support import casemate

_numbers = count(1)

API_KEY = {"ApiKeyAuthParameters": {"ApiKeyName": "X-Key", "ApiKeyValue": "the secret key"}}


@pytest.fixture
def server() -> Iterator[Endpoint]:
    with endpoint() as running:
        yield running


@pytest.fixture(scope="module")
def invoker(bridge: Events) -> str:
    """A role by which rules invoke API destinations."""
    iam = bridge.of(service="iam")
    trust = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sts:AssumeRole"}
    arn: str = iam.create_role(RoleName="invoker", AssumeRolePolicyDocument=document(trust))["Role"]["Arn"]
    allow = {
        "Effect": "Allow",
        "Action": "events:InvokeApiDestination",
        "Resource": f"arn:aws:events:{REGION}:{ACCOUNT}:api-destination/sent-*",
    }
    iam.put_role_policy(RoleName="invoker", PolicyName="own", PolicyDocument=document(allow))
    return arn


def connection(bridge: Events, kind: str, parameters: Any) -> str:
    made = bridge.of().create_connection(
        Name=f"connection-{next(_numbers)}", AuthorizationType=kind, AuthParameters=parameters
    )
    return str(made["ConnectionArn"])


def name_of(arn: str) -> str:
    return arn.split("/")[1]


def destination(bridge: Events, connected: str, url: str, prefix: str = "sent", **more: Any) -> str:
    made = bridge.of().create_api_destination(
        Name=f"{prefix}-{next(_numbers)}",
        ConnectionArn=connected,
        InvocationEndpoint=url,
        HttpMethod=more.pop("HttpMethod", "POST"),
        **more,
    )
    assert made["ApiDestinationState"] == "ACTIVE"
    return str(made["ApiDestinationArn"])


def target(bridge: Events, arn: str, role: str, **more: Any) -> str:
    """A rule with an API destination as its target; the source of the events that it wants."""
    source = f"com.shop-{next(_numbers)}"
    bridge.of().put_rule(Name=source, EventPattern=json.dumps({"source": [source]}))
    bridge.of().put_targets(Rule=source, Targets=[{"Id": "1", "Arn": arn, "RoleArn": role, **more}])
    return source


def put(bridge: Events, source: str, detail: Any) -> None:
    entry = {"Source": source, "DetailType": "Order", "Detail": json.dumps(detail)}
    assert bridge.of().put_events(Entries=[entry])["FailedEntryCount"] == 0


def dead_letters(bridge: Events) -> tuple[str, str]:
    """The URL and the ARN of a queue that EventBridge may send to."""
    sqs, name = bridge.of(service="sqs"), f"dead-{next(_numbers)}"
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"
    allow = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
    }
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": document(allow)})
    return url, arn


def dead_letter(bridge: Events, url: str) -> Any:
    found = bridge.of(service="sqs").receive_message(
        QueueUrl=url, WaitTimeSeconds=20, MessageAttributeNames=["All"]
    )["Messages"][0]
    return {name: value["StringValue"] for name, value in found["MessageAttributes"].items()}


def advance(bridge: Events, by: str) -> None:
    moved = casemate("clock", "--data", str(bridge.server.data), "--advance", by)
    assert moved.returncode == 0, moved.stderr


def test_an_api_key_and_all_that_a_request_has(bridge: Events, invoker: str, server: Endpoint) -> None:
    http = {
        "HeaderParameters": [{"Key": "X-Own", "Value": "of the connection", "IsValueSecret": False}],
        "QueryStringParameters": [{"Key": "own", "Value": "hidden", "IsValueSecret": True}],
        "BodyParameters": [{"Key": "shop", "Value": "one", "IsValueSecret": False}],
    }
    connected = connection(bridge, "API_KEY", {**API_KEY, "InvocationHttpParameters": http})
    arn = destination(bridge, connected, f"{server.url}/orders/*/items?fixed=1", HttpMethod="PUT")
    source = target(
        bridge,
        arn,
        invoker,
        HttpParameters={
            "PathParameterValues": ["$.detail.id"],
            "HeaderParameters": {"X-Total": "$.detail.total", "X-Own": "of the rule", "Host": "elsewhere"},
            "QueryStringParameters": {"kind": "a b", "own": "of the rule"},
        },
        InputTransformer={
            "InputPathsMap": {"id": "$.detail.id"},
            "InputTemplate": '{"order": <id>, "rule": "<aws.events.rule-name>"}',
        },
    )
    put(bridge, source, {"id": "a/../b", "total": 12})
    got = server.next()
    assert (got.method, got.path) == ("PUT", "/orders/a%2F..%2Fb/items?fixed=1&kind=a+b&own=hidden")
    assert json.loads(got.body) == {"order": "a/../b", "rule": source, "shop": "one"}
    assert got.headers["x-key"] == "the secret key"
    assert (got.headers["x-total"], got.headers["x-own"]) == ("12", "of the connection")
    assert got.headers["content-type"] == "application/json; charset=utf-8"
    assert got.headers["user-agent"] == "Amazon/EventBridge/ApiDestinations"
    assert server.url.endswith(got.headers["host"])


def test_what_is_shown_of_a_connection(bridge: Events) -> None:
    http = {
        "HeaderParameters": [
            {"Key": "X-Open", "Value": "shown", "IsValueSecret": False},
            {"Key": "X-Secret", "Value": "hidden", "IsValueSecret": True},
        ]
    }
    client = bridge.of()
    arn = connection(bridge, "API_KEY", {**API_KEY, "InvocationHttpParameters": http})
    found = client.describe_connection(Name=name_of(arn))
    assert (found["ConnectionArn"], found["ConnectionState"]) == (arn, "AUTHORIZED")
    assert found["AuthParameters"] == {
        "ApiKeyAuthParameters": {"ApiKeyName": "X-Key"},
        "InvocationHttpParameters": {
            "HeaderParameters": [
                {"Key": "X-Open", "IsValueSecret": False, "Value": "shown"},
                {"Key": "X-Secret", "IsValueSecret": True},
            ]
        },
    }
    assert found["SecretArn"].startswith(
        f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:events!connection/{name_of(arn)}/"
    )
    secrets = bridge.of(service="secretsmanager")
    kept = json.loads(secrets.get_secret_value(SecretId=found["SecretArn"])["SecretString"])
    assert (kept["api_key_name"], kept["api_key_value"]) == ("X-Key", "the secret key")
    assert secrets.describe_secret(SecretId=found["SecretArn"])["OwningService"] == "events"
    with refused("ResourceAlreadyExistsException"):
        client.create_connection(Name=name_of(arn), AuthorizationType="API_KEY", AuthParameters=API_KEY)
    # What is not given stays.
    client.update_connection(
        Name=name_of(arn), AuthParameters={"ApiKeyAuthParameters": {"ApiKeyValue": "another key"}}
    )
    kept = json.loads(secrets.get_secret_value(SecretId=found["SecretArn"])["SecretString"])
    assert (kept["api_key_name"], kept["api_key_value"]) == ("X-Key", "another key")
    assert client.describe_connection(Name=name_of(arn))["AuthParameters"] == found["AuthParameters"]
    assert client.deauthorize_connection(Name=name_of(arn))["ConnectionState"] == "DEAUTHORIZED"
    with refused("ResourceNotFoundException"):
        secrets.describe_secret(SecretId=found["SecretArn"])
    with refused("ValidationException"):
        client.update_connection(
            Name=name_of(arn), AuthParameters={"ApiKeyAuthParameters": {"ApiKeyValue": "another key"}}
        )
    client.update_connection(Name=name_of(arn), AuthorizationType="API_KEY", AuthParameters=API_KEY)
    assert client.describe_connection(Name=name_of(arn))["ConnectionState"] == "AUTHORIZED"
    names = [each["Name"] for each in client.list_connections(ConnectionState="AUTHORIZED")["Connections"]]
    assert name_of(arn) in names
    assert client.delete_connection(Name=name_of(arn))["ConnectionState"] == "DELETING"
    with refused("ResourceNotFoundException", f"Connection {name_of(arn)} does not exist."):
        client.describe_connection(Name=name_of(arn))


def test_basic_authorization_and_changes(bridge: Events, invoker: str, server: Endpoint) -> None:
    client = bridge.of()
    basic = {"BasicAuthParameters": {"Username": "user", "Password": "pass"}}
    connected = connection(bridge, "BASIC", basic)
    arn = destination(bridge, connected, server.url, Description="old")
    source = target(bridge, arn, invoker, InputPath="$.detail")
    put(bridge, source, {"a": 1})
    got = server.next()
    assert (got.headers["authorization"], got.body) == ("Basic dXNlcjpwYXNz", '{"a":1}')
    client.update_connection(
        Name=name_of(connected), AuthParameters={"BasicAuthParameters": {"Password": "new"}}
    )
    client.update_api_destination(
        Name=name_of(arn), HttpMethod="GET", InvocationEndpoint=f"{server.url}/new", Description=""
    )
    put(bridge, source, {"a": 2})
    got = server.next()
    assert (got.method, got.path, got.body) == ("GET", "/new", "")
    assert got.headers["authorization"] == "Basic dXNlcjpuZXc="
    found = client.describe_api_destination(Name=name_of(arn))
    assert (found["HttpMethod"], found["InvocationRateLimitPerSecond"]) == ("GET", 300)
    assert "Description" not in found
    listed = client.list_api_destinations(ConnectionArn=connected)["ApiDestinations"]
    assert [each["ApiDestinationArn"] for each in listed] == [arn]
    client.deauthorize_connection(Name=name_of(connected))
    assert client.describe_api_destination(Name=name_of(arn))["ApiDestinationState"] == "INACTIVE"
    client.delete_api_destination(Name=name_of(arn))
    with refused("ResourceNotFoundException", f"ApiDestination {name_of(arn)} does not exist."):
        client.delete_api_destination(Name=name_of(arn))


def _settled(bridge: Events, arn: str) -> Any:
    """A connection, once it is found out what becomes of it."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        found = bridge.of().describe_connection(Name=name_of(arn))
        if found["ConnectionState"] != "AUTHORIZING":
            return found
    raise AssertionError("it is still being authorized")


def test_tokens_of_an_authorization_server(bridge: Events, invoker: str, server: Endpoint) -> None:
    server.tokens = ["first", "second"]
    oauth = {
        "OAuthParameters": {
            "ClientParameters": {"ClientID": "us", "ClientSecret": "hidden words"},
            "AuthorizationEndpoint": f"{server.url}/token",
            "HttpMethod": "POST",
            "OAuthHttpParameters": {
                "BodyParameters": [{"Key": "scope", "Value": "orders", "IsValueSecret": False}]
            },
        }
    }
    connected = connection(bridge, "OAUTH_CLIENT_CREDENTIALS", oauth)
    assert _settled(bridge, connected)["ConnectionState"] == "AUTHORIZED"
    asked = server.asked.get(timeout=30)
    assert asked.body == "grant_type=client_credentials&client_id=us&client_secret=hidden+words&scope=orders"
    assert asked.headers["content-type"].startswith("application/x-www-form-urlencoded")
    arn = destination(bridge, connected, server.url)
    source = target(bridge, arn, invoker)
    put(bridge, source, {})
    assert server.next().headers["authorization"] == "Bearer first"
    # A token that is not accepted any more is asked for anew.
    server.answers = [(401, {})]
    put(bridge, source, {})
    assert server.next().headers["authorization"] == "Bearer first"
    advance(bridge, "2s")
    assert server.next().headers["authorization"] == "Bearer second"

    server.tokens = []
    refusing = connection(bridge, "OAUTH_CLIENT_CREDENTIALS", oauth)
    found = _settled(bridge, refusing)
    assert found["ConnectionState"] == "DEAUTHORIZED"
    assert found["StateReason"] == "The authorization endpoint answered HTTP 403."
    assert found["AuthParameters"]["OAuthParameters"]["ClientParameters"] == {"ClientID": "us"}


def test_what_is_not_taken_is_tried_again(bridge: Events, invoker: str, server: Endpoint) -> None:
    url, queue = dead_letters(bridge)
    arn = destination(bridge, connection(bridge, "API_KEY", API_KEY), server.url)
    source = target(
        bridge,
        arn,
        invoker,
        DeadLetterConfig={"Arn": queue},
        RetryPolicy={"MaximumRetryAttempts": 2, "MaximumEventAgeInSeconds": 3600},
    )
    server.answers = [(503, {}), (429, {"Retry-After": "60"}), (200, {})]
    put(bridge, source, {"number": 1})
    server.next()
    advance(bridge, "2s")
    server.next()
    # It is waited for as long as the endpoint asks.
    advance(bridge, "61s")
    assert json.loads(server.next().body)["detail"] == {"number": 1}

    server.answers = [(404, {})]
    put(bridge, source, {"number": 2})
    server.next()
    about = dead_letter(bridge, url)
    assert about["ERROR_MESSAGE"] == "The endpoint answered HTTP 404."
    assert (about["ERROR_CODE"], about["EXHAUSTED_RETRY_CONDITION"]) == ("SDK_CLIENT_ERROR", "None")
    assert (about["TARGET_ARN"], about["RETRY_ATTEMPTS"]) == (arn, "0")

    server.answers = [(503, {})] * 3
    put(bridge, source, {"number": 3})
    for by in ("2s", "4s"):
        server.next()
        advance(bridge, by)
    server.next()
    about = dead_letter(bridge, url)
    assert about["EXHAUSTED_RETRY_CONDITION"] == "MaximumRetryAttempts"
    assert about["RETRY_ATTEMPTS"] == "2"


def test_the_role_must_be_allowed_to(bridge: Events, invoker: str, server: Endpoint) -> None:
    url, queue = dead_letters(bridge)
    connected = connection(bridge, "API_KEY", API_KEY)
    arn = destination(bridge, connected, server.url, prefix="other")
    source = target(bridge, arn, invoker, DeadLetterConfig={"Arn": queue})
    put(bridge, source, {})
    about = dead_letter(bridge, url)
    assert about["ERROR_CODE"] == "NO_PERMISSIONS"
    assert (
        f"is not authorized to perform: events:InvokeApiDestination on resource: {arn}"
        in about["ERROR_MESSAGE"]
    )
    assert server.called.empty()
    # One that is there no more, and one whose connection is not.
    gone = destination(bridge, connected, server.url)
    source = target(bridge, gone, invoker, DeadLetterConfig={"Arn": queue})
    bridge.of().delete_api_destination(Name=name_of(gone))
    put(bridge, source, {})
    assert dead_letter(bridge, url)["ERROR_CODE"] == "NO_RESOURCE"
    unconnected = destination(bridge, connected, server.url)
    source = target(bridge, unconnected, invoker, DeadLetterConfig={"Arn": queue})
    bridge.of().delete_connection(Name=name_of(connected))
    put(bridge, source, {})
    assert dead_letter(bridge, url)["ERROR_CODE"] == "NO_RESOURCE"


@pytest.mark.parametrize(
    ("kind", "parameters"),
    [
        ("BASIC", API_KEY),
        ("BASIC", {}),
        ("API_KEY", {**API_KEY, "BasicAuthParameters": {"Username": "a", "Password": "b"}}),
        ("API_KEY", {**API_KEY, "InvocationHttpParameters": {"HeaderParameters": [{"Value": "x"}]}}),
        *(
            (
                "OAUTH_CLIENT_CREDENTIALS",
                {
                    "OAuthParameters": {
                        "ClientParameters": {"ClientID": "a", "ClientSecret": "b"},
                        "AuthorizationEndpoint": url,
                        "HttpMethod": "POST",
                    }
                },
            )
            for url in ("http://example.com", "https://169.254.169.254/", "https://example.com/*", "example")
        ),
    ],
)
def test_connections_that_cannot_be(bridge: Events, kind: str, parameters: Any) -> None:
    with refused("ValidationException"):
        connection(bridge, kind, parameters)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://example.com", "it must be an HTTPS endpoint"),
        ("https://169.254.169.254/latest", "the server is not configured to reach this host"),
        ("https://2852039166/latest", "the server is not configured to reach this host"),
        ("https://*.example.com/", "the server is not configured to reach this host"),
        ("example.com", "it is no URL"),
    ],
)
def test_endpoints_that_nothing_is_sent_to(bridge: Events, url: str, reason: str) -> None:
    connected = connection(bridge, "API_KEY", API_KEY)
    with refused("ValidationException", f"Parameter InvocationEndpoint is not valid. Reason: {reason}."):
        destination(bridge, connected, url)


def test_who_may(bridge: Events, server: Endpoint) -> None:
    arn = connection(bridge, "API_KEY", API_KEY)
    for user in ("nobody", "stranger"):
        client = bridge.of(user)
        with refused("ResourceNotFoundException" if user == "stranger" else "AccessDeniedException"):
            client.describe_connection(Name=name_of(arn))
        with refused("AccessDeniedException"):
            client.create_api_destination(
                Name="x", ConnectionArn=arn, InvocationEndpoint=server.url, HttpMethod="POST"
            )
    # Who may make connections, but no secrets, makes none.
    with refused("AccessDeniedException"):
        bridge.of("unpassing").create_connection(
            Name="unkept", AuthorizationType="API_KEY", AuthParameters=API_KEY
        )
    with refused("ResourceNotFoundException"):
        bridge.of().describe_connection(Name="unkept")


def test_targets_that_cannot_be(bridge: Events, invoker: str, server: Endpoint) -> None:
    client = bridge.of()
    arn = destination(bridge, connection(bridge, "API_KEY", API_KEY), server.url)
    client.put_rule(Name="refusing", EventPattern='{"source": ["x"]}')
    for wrong in (
        {"Id": "1", "Arn": arn},
        {"Id": "1", "Arn": arn.replace(ACCOUNT, "444455556666"), "RoleArn": invoker},
        {"Id": "1", "Arn": arn.replace(REGION, "eu-west-1"), "RoleArn": invoker},
        {"Id": "1", "Arn": f"arn:aws:events:{REGION}:{ACCOUNT}:api-destination/x", "RoleArn": invoker},
    ):
        with refused("ValidationException"):
            client.put_targets(Rule="refusing", Targets=[wrong])


def test_secrets_are_in_no_log_and_no_audit(bridge: Events) -> None:
    connection(bridge, "API_KEY", API_KEY)
    assert "the secret key" not in bridge.server.log
    shown = casemate("audit", "tail", "-n", "50", "--json", "--data", str(bridge.server.data))
    assert "CreateConnection" in shown.stdout, shown.stderr
    assert "the secret key" not in shown.stdout
