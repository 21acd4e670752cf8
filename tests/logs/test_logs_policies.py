"""Resource policies by a real client: made, changed, described, taken away, and what they let services do."""

from __future__ import annotations

import json
from typing import Any

import pytest
from logs_support import ACCOUNT, GROUP_ARN, REGION, Logs, refused


def document(group: str, service: str = "events.amazonaws.com") -> str:
    """As AWS's page of EventBridge's targets writes it."""
    return json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Sid": "TrustEventsToStoreLogEvents",
                    "Effect": "Allow",
                    "Principal": {"Service": [service, "delivery.logs.amazonaws.com"]},
                    "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
                    "Resource": f"{GROUP_ARN}{group}:*",
                }
            ],
        }
    )


@pytest.fixture
def client(logs: Logs) -> Any:
    client = logs.of()
    yield client
    for policy in client.describe_resource_policies()["resourcePolicies"]:
        client.delete_resource_policy(policyName=policy["policyName"])


def test_policies(logs: Logs, client: Any) -> None:
    made = client.put_resource_policy(policyName="b", policyDocument=document("/x/*"))["resourcePolicy"]
    assert abs(made.pop("lastUpdatedTime") - logs.now()) < 60_000
    assert made == {"policyName": "b", "policyDocument": document("/x/*"), "policyScope": "ACCOUNT"}
    client.put_resource_policy(policyName="a", policyDocument=document("/y/*"))
    client.put_resource_policy(policyName="b", policyDocument=document("/z/*"))
    found = client.describe_resource_policies(limit=1)
    assert [policy["policyName"] for policy in found["resourcePolicies"]] == ["a"]
    found = client.describe_resource_policies(limit=1, nextToken=found["nextToken"])
    assert [policy["policyDocument"] for policy in found["resourcePolicies"]] == [document("/z/*")]
    assert "nextToken" not in found
    client.delete_resource_policy(policyName="a")
    with refused("ResourceNotFoundException"):
        client.delete_resource_policy(policyName="a")
    assert logs.of("stranger").describe_resource_policies()["resourcePolicies"] == []


def test_what_is_refused(client: Any) -> None:
    for text in ("{", "{}", document("x").replace("2012-10-17", "2008-10-17")):
        with refused("InvalidParameterException"):
            client.put_resource_policy(policyName="x", policyDocument=text)
    with refused("InvalidParameterException"):
        client.put_resource_policy(policyDocument=document("x"))
    with refused("InvalidParameterException"):
        client.put_resource_policy(resourceArn=f"{GROUP_ARN}x", policyDocument=document("x"))
    for number in range(10):
        client.put_resource_policy(policyName=f"p{number}", policyDocument=document("x"))
    with refused("LimitExceededException"):
        client.put_resource_policy(policyName="one more", policyDocument=document("x"))
    client.put_resource_policy(policyName="p3", policyDocument=document("y"))


def test_another_account_writes_where_both_let_it(logs: Logs, client: Any) -> None:
    group = logs.group("/app/shared", "s")
    stranger = logs.of("stranger")
    asked = {"logGroupIdentifier": f"{GROUP_ARN}{group}", "logStreamName": "s"}
    with refused("AccessDeniedException"):
        stranger.get_log_events(**asked)
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": "444455556666"},
        "Action": "logs:GetLogEvents",
        "Resource": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{group}:log-stream:s",
    }
    client.put_resource_policy(
        policyName="shared", policyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    )
    assert stranger.get_log_events(**asked)["events"] == []
    with refused("AccessDeniedException"):
        stranger.filter_log_events(logGroupIdentifier=asked["logGroupIdentifier"])
    client.delete_resource_policy(policyName="shared")
    with refused("AccessDeniedException"):
        stranger.get_log_events(**asked)


def test_eventbridge_writes_where_it_is_let(logs: Logs, client: Any) -> None:
    allowed, other = logs.group("/aws/events/allowed"), logs.group("/aws/events/other")
    client.put_resource_policy(policyName="events", policyDocument=document("/aws/events/allowed*"))
    events = logs.of(service="events")
    events.put_rule(Name="to-logs", EventPattern=json.dumps({"source": ["my.app"]}))
    events.put_targets(
        Rule="to-logs",
        Targets=[
            {"Id": name, "Arn": f"{GROUP_ARN}{group}", "RetryPolicy": {"MaximumRetryAttempts": 0}}
            for name, group in (("allowed", allowed), ("other", other))
        ],
    )
    events.put_events(Entries=[{"Source": "my.app", "DetailType": "x", "Detail": json.dumps({"a": 1})}])
    (message,) = logs.awaited(allowed, 1)
    assert json.loads(message)["detail"] == {"a": 1}
    assert logs.messages(other) == [], "what no policy lets in does not come in"
    events.remove_targets(Rule="to-logs", Ids=["allowed", "other"])
    events.delete_rule(Name="to-logs")
