"""Log groups and streams by a real client: made, described in pages, tagged, kept for a time, removed."""

from __future__ import annotations

import pytest
from logs_support import ACCOUNT, GROUP_ARN, OTHER_ACCOUNT, REGION, Logs, refused, user_arn

NO_GROUP = ("ResourceNotFoundException", "The specified log group does not exist.")
NO_STREAM = ("ResourceNotFoundException", "The specified log stream does not exist.")
DAY = 86_400_000


def test_a_new_group(logs: Logs) -> None:
    name = logs.group(tags={"team": "red"})
    (shown,) = logs.of().describe_log_groups(logGroupNamePrefix=name)["logGroups"]
    assert abs(shown.pop("creationTime") - logs.now()) < 60_000
    assert shown == {
        "logGroupName": name,
        "metricFilterCount": 0,
        "arn": f"{GROUP_ARN}{name}:*",
        "storedBytes": 0,
        "logGroupClass": "STANDARD",
        "logGroupArn": f"{GROUP_ARN}{name}",
        "deletionProtectionEnabled": False,
    }
    assert logs.of().list_tags_for_resource(resourceArn=f"{GROUP_ARN}{name}")["tags"] == {"team": "red"}
    with refused("ResourceAlreadyExistsException", "The specified log group already exists"):
        logs.of().create_log_group(logGroupName=name)


def test_groups_come_in_pages(logs: Logs) -> None:
    prefix = "/pages/x"
    names = sorted(logs.group(prefix) for _ in range(5))
    infrequent = logs.group("/pages/y", logGroupClass="INFREQUENT_ACCESS")
    client = logs.of()
    found: list[str] = []
    token: dict[str, str] = {}
    while True:
        page = client.describe_log_groups(logGroupNamePrefix=prefix, limit=2, **token)
        assert len(page["logGroups"]) <= 2
        found += [group["logGroupName"] for group in page["logGroups"]]
        if "nextToken" not in page:
            break
        token = {"nextToken": page["nextToken"]}
    assert found == names
    listed = client.list_log_groups(logGroupNamePattern="^/pages/")["logGroups"]
    assert [group["logGroupName"] for group in listed] == [*names, infrequent]
    by_class = client.describe_log_groups(logGroupClass="INFREQUENT_ACCESS", logGroupNamePattern="PAGES")
    assert [group["logGroupName"] for group in by_class["logGroups"]] == [infrequent]
    with refused("InvalidParameterException", "The specified nextToken is invalid."):
        client.describe_log_groups(nextToken="nonsense")
    with refused("InvalidParameterException"):
        client.describe_log_groups(logGroupNamePrefix="a", logGroupNamePattern="b")


def test_streams_by_name_and_by_last_event(logs: Logs) -> None:
    group = logs.group("/app/streams", "a-1", "a-2", "b-1")
    now = logs.now()
    logs.put(group, "a-2", [(now - 5_000, "older")])
    logs.put(group, "b-1", [(now - 2_000, "x"), (now - 1_000, "y")])
    client = logs.of()

    def names(**more: object) -> list[str]:
        found: list[str] = []
        token: dict[str, str] = {}
        while True:
            page = client.describe_log_streams(logGroupName=group, limit=1, **more, **token)
            found += [stream["logStreamName"] for stream in page["logStreams"]]
            if "nextToken" not in page:
                return found
            token = {"nextToken": page["nextToken"]}

    assert names() == ["a-1", "a-2", "b-1"]
    assert names(descending=True) == ["b-1", "a-2", "a-1"]
    assert names(logStreamNamePrefix="a-") == ["a-1", "a-2"]
    assert names(orderBy="LastEventTime", descending=True) == ["b-1", "a-2", "a-1"]
    (shown,) = client.describe_log_streams(logGroupName=group, logStreamNamePrefix="b")["logStreams"]
    assert (shown["firstEventTimestamp"], shown["lastEventTimestamp"]) == (now - 2_000, now - 1_000)
    assert shown["arn"] == f"{GROUP_ARN}{group}:log-stream:b-1"
    with refused("InvalidParameterException"):
        names(orderBy="LastEventTime", logStreamNamePrefix="a")
    with refused("ResourceAlreadyExistsException", "The specified log stream already exists"):
        client.create_log_stream(logGroupName=group, logStreamName="a-1")
    with refused(*NO_GROUP):
        client.create_log_stream(logGroupName=group + "x", logStreamName="a-1")
    client.delete_log_stream(logGroupName=group, logStreamName="b-1")
    assert names() == ["a-1", "a-2"]
    with refused(*NO_STREAM):
        client.delete_log_stream(logGroupName=group, logStreamName="b-1")


def test_tags(logs: Logs) -> None:
    group = logs.group()
    arn = f"{GROUP_ARN}{group}"
    client = logs.of()
    client.tag_resource(resourceArn=arn, tags={"a": "1", "b": "2"})
    client.tag_log_group(logGroupName=group, tags={"b": "3"})
    assert client.list_tags_log_group(logGroupName=group)["tags"] == {"a": "1", "b": "3"}
    client.untag_resource(resourceArn=arn, tagKeys=["a", "absent"])
    client.untag_log_group(logGroupName=group, tags=["b"])
    assert client.list_tags_for_resource(resourceArn=arn)["tags"] == {}
    client.tag_resource(resourceArn=arn, tags={f"k{number}": "" for number in range(49)})
    with refused("TooManyTagsException"):
        client.tag_resource(resourceArn=arn, tags={"one": "", "more": ""})
    with refused("InvalidParameterException"):
        client.tag_resource(resourceArn=arn, tags={"aws:own": "x"})
    with refused(*NO_GROUP):
        client.list_tags_for_resource(resourceArn=f"{arn}-absent")
    with refused("InvalidParameterException"):
        client.list_tags_for_resource(resourceArn=f"{arn}:*")


def test_a_protected_group_is_not_deleted(logs: Logs) -> None:
    group = logs.group(deletionProtectionEnabled=True)
    client = logs.of()
    with refused("InvalidParameterException", "The log group is protected from deletion."):
        client.delete_log_group(logGroupName=group)
    client.put_log_group_deletion_protection(logGroupIdentifier=group, deletionProtectionEnabled=False)
    client.delete_log_group(logGroupName=group)
    with refused(*NO_GROUP):
        client.delete_log_group(logGroupName=group)


def test_a_group_of_the_same_name_is_another_one(logs: Logs) -> None:
    group = logs.group("/app/again", "s")
    logs.put(group, "s", [(logs.now(), "before")])
    client = logs.of()
    client.delete_log_group(logGroupName=group)
    client.create_log_group(logGroupName=group)
    assert client.describe_log_streams(logGroupName=group)["logStreams"] == []
    client.create_log_stream(logGroupName=group, logStreamName="s")
    assert logs.messages(group) == []


def test_events_expire(timed: Logs) -> None:
    group = timed.group("/app/expiring", "s")
    client = timed.of()
    with refused("InvalidParameterException", "Invalid retentionInDays value: 2"):
        client.put_retention_policy(logGroupName=group, retentionInDays=2)
    client.put_retention_policy(logGroupName=group, retentionInDays=1)
    (shown,) = client.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    assert shown["retentionInDays"] == 1
    now = timed.now()
    answer = timed.put(
        group, "s", [(now - 2 * DAY, "gone"), (now - 2 * DAY + 1, "gone"), (now - DAY - 1_000, "too")]
    )
    assert answer["rejectedLogEventsInfo"] == {"expiredLogEventEndIndex": 3}
    timed.put(group, "s", [(now - DAY + 3_600_000, "early"), (now, "late")])
    assert timed.messages(group) == ["early", "late"]
    timed.advance("2h")
    assert timed.messages(group) == ["late"], (
        "an expired event is not shown, though its batch is not yet deleted"
    )
    timed.advance("25h")
    assert timed.messages(group) == []
    (shown,) = client.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    assert shown["storedBytes"] == 0
    client.delete_retention_policy(logGroupName=group)
    assert "retentionInDays" not in client.describe_log_groups(logGroupNamePrefix=group)["logGroups"][0]


def test_who_may(logs: Logs) -> None:
    group = logs.group("/app/rights", "mine-1", "other")
    writer, streamer = logs.of("writer"), logs.of("streamer")
    writer.create_log_stream(logGroupName=group, logStreamName="w")
    now = logs.now()
    writer.put_log_events(
        logGroupName=group, logStreamName="w", logEvents=[{"timestamp": now, "message": "x"}]
    )
    streamer.get_log_events(logGroupName=group, logStreamName="mine-1")
    arn = f"{GROUP_ARN}{group}:log-stream:"
    reason = "because no identity-based policy allows the {} action"
    with refused(
        "AccessDeniedException",
        f"User: {user_arn('streamer')} is not authorized to perform: logs:GetLogEvents on resource: {arn}other "
        + reason.format("logs:GetLogEvents"),
    ):
        streamer.get_log_events(logGroupName=group, logStreamName="other")
    with refused(
        "AccessDeniedException",
        f"User: {user_arn('writer')} is not authorized to perform: logs:FilterLogEvents on resource: {arn} "
        + reason.format("logs:FilterLogEvents"),
    ):
        writer.filter_log_events(logGroupName=group)
    with refused(
        "AccessDeniedException",
        f"User: {user_arn('nobody')} is not authorized to perform: logs:DescribeLogGroups on resource: "
        f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group::log-stream: " + reason.format("logs:DescribeLogGroups"),
    ):
        logs.of("nobody").describe_log_groups()
    with refused("AccessDeniedException"):
        logs.of("nobody").delete_log_group(logGroupName="absent")
    logs.of("maker").create_log_group(logGroupName="/app/without-tags")
    with refused(
        "AccessDeniedException",
        f"User: {user_arn('maker')} is not authorized to perform: logs:TagResource on resource: "
        f"{GROUP_ARN}/app/with-tags " + reason.format("logs:TagResource"),
    ):
        logs.of("maker").create_log_group(logGroupName="/app/with-tags", tags={"a": "b"})
    logs.of("tagger").tag_resource(resourceArn=f"{GROUP_ARN}{group}", tags={"team": "x"})
    with refused("AccessDeniedException"):
        logs.of("tagger").tag_resource(resourceArn=f"{GROUP_ARN}{group}", tags={"other": "x"})


def test_groups_are_their_accounts(logs: Logs) -> None:
    group = logs.group("/app/own", "s")
    stranger = logs.of("stranger")
    assert stranger.describe_log_groups(logGroupNamePrefix=group)["logGroups"] == []
    with refused(*NO_GROUP):
        stranger.filter_log_events(logGroupName=group)
    with refused("AccessDeniedException"):
        stranger.filter_log_events(logGroupIdentifier=f"{GROUP_ARN}{group}")
    stranger.create_log_group(logGroupName=group)
    (shown,) = stranger.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    assert shown["logGroupArn"] == f"arn:aws:logs:{REGION}:{OTHER_ACCOUNT}:log-group:{group}"


@pytest.mark.parametrize("name", ["aws/own", "AWS/own"])
def test_names_that_are_aws_own(logs: Logs, name: str) -> None:
    with refused("InvalidParameterException", "Log groups starting with AWS/ are reserved for AWS."):
        logs.of().create_log_group(logGroupName=name)


def test_what_identifies_a_group(logs: Logs) -> None:
    group = logs.group("/app/identified", "s")
    client = logs.of()
    for identifier in (group, f"{GROUP_ARN}{group}"):
        assert client.filter_log_events(logGroupIdentifier=identifier)["events"] == []
    with refused("InvalidParameterException"):
        client.filter_log_events()
    with refused("InvalidParameterException"):
        client.filter_log_events(logGroupName=group, logGroupIdentifier=group)
    with refused("InvalidParameterException"):
        client.filter_log_events(logGroupIdentifier="arn:aws:logs:us-east-1:1:log-group:x")
    with refused("InvalidParameterException"):
        client.filter_log_events(logGroupIdentifier=f"arn:aws:logs:eu-west-1:{ACCOUNT}:log-group:{group}")
