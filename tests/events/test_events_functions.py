"""A function as a rule's target, run for real: for an event, for a change that a service tells of, for a call."""

from __future__ import annotations

import io
import json
import sys
import zipfile
from collections.abc import Callable, Iterator
from textwrap import dedent
from typing import Any

import pytest
from acting_support import ACCOUNT, document
from events_support import access_key, refused, rule_arn, seed
from server_support import Server, functions_run, running_server

CODE = dedent(
    """
    import boto3

    def handler(event, context):
        source = event["source"].replace(".", "-")
        name = f"/told/{source}/{event['id']}"
        boto3.client("ssm").put_parameter(Name=name, Value=event["detail-type"], Type="String", Overwrite=True)
    """
)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a function that tells of events by parameters, for the rules that its policy lets."""
    folder = tmp_path_factory.mktemp("functions")
    (folder / "seed.json").write_text(json.dumps(seed()))
    options = ("--dev", "--seed", str(folder / "seed.json"))
    with running_server(folder, *options, env=functions_run()) as server:
        prepare(server)
        yield server


def prepare(server: Server) -> None:
    iam, functions = client(server, "iam"), client(server, "lambda")
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    role = iam.create_role(RoleName="runner", AssumeRolePolicyDocument=document(trust))["Role"]["Arn"]
    allow = {"Effect": "Allow", "Action": "ssm:PutParameter", "Resource": "*"}
    iam.put_role_policy(RoleName="runner", PolicyName="own", PolicyDocument=document(allow))
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w") as archive:
        archive.writestr("index.py", CODE)
    functions.create_function(
        FunctionName="tell",
        Runtime=f"python3.{sys.version_info.minor}",
        Role=role,
        Handler="index.handler",
        Code={"ZipFile": package.getvalue()},
    )
    for name in ("events", "changes", "calls"):
        functions.add_permission(
            FunctionName="tell",
            StatementId=name,
            Action="lambda:InvokeFunction",
            Principal="events.amazonaws.com",
            SourceArn=rule_arn(name),
        )


def client(server: Server, service: str) -> Any:
    return server.client(service, access_key("admin"))


def rule(server: Server, name: str, pattern: Any) -> None:
    events = client(server, "events")
    events.put_rule(Name=name, EventPattern=json.dumps(pattern))
    function = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:tell"
    events.put_targets(Rule=name, Targets=[{"Id": "1", "Arn": function}])


def until(server: Server, source: str, enough: Callable[[list[str]], bool]) -> list[str]:
    """What was told of a source's events, once it is enough. The test's own time limit ends it otherwise."""
    ssm = client(server, "ssm")
    while True:
        found = ssm.get_parameters_by_path(Path=f"/told/{source}")["Parameters"]
        values = [each["Value"] for each in found]
        if enough(values):
            return values


def test_a_function_is_invoked_for_an_event_by_the_rules_that_its_policy_lets(told: Server) -> None:
    for name in ("events", "others"):
        rule(told, name, {"source": ["com.shop"]})
    entry = {"Source": "com.shop", "DetailType": "Order Placed", "Detail": "{}"}
    put = client(told, "events").put_events(Entries=[entry, entry])
    assert put["FailedEntryCount"] == 0
    assert until(told, "com-shop", lambda values: len(values) == 2) == ["Order Placed"] * 2
    ids = {each["EventId"] for each in put["Entries"]}
    found = client(told, "ssm").get_parameters_by_path(Path="/told/com-shop")["Parameters"]
    assert {each["Name"].rpartition("/")[2] for each in found} == ids


def test_a_function_is_invoked_for_a_change(told: Server) -> None:
    rule(told, "changes", {"source": ["aws.ssm"], "detail": {"name": [{"prefix": "/watched/"}]}})
    client(told, "ssm").put_parameter(Name="/watched/x", Value="1", Type="String")
    assert until(told, "aws-ssm", bool) == ["Parameter Store Change"]


def test_a_function_is_invoked_for_a_call(told: Server) -> None:
    pattern = {
        "source": ["aws.iam"],
        "detail-type": ["AWS API Call via CloudTrail"],
        "detail": {"eventName": ["CreateUser"], "requestParameters": {"userName": ["eve"]}},
    }
    rule(told, "calls", pattern)
    client(told, "iam").create_user(UserName="eve")
    assert until(told, "aws-iam", bool) == ["AWS API Call via CloudTrail"]


def test_a_function_that_there_can_not_be_is_no_target(told: Server) -> None:
    client(told, "events").put_rule(Name="wrong", EventPattern='{"source": ["x"]}')
    arn = f"arn:aws:lambda:us-east-1:{ACCOUNT}:layer:x"
    with refused(
        "ValidationException",
        f"Parameter {arn} is not valid. Reason: Provided Arn is not in correct format.",
    ):
        client(told, "events").put_targets(Rule="wrong", Targets=[{"Id": "1", "Arn": arn}])
