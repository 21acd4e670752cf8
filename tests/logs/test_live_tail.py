"""StartLiveTail by a real client: events as they come, of the groups and streams and by the pattern that it names."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.exceptions import ClientError
from logs_support import ACCOUNT, GROUP_ARN, Logs, logs_server, refused


@contextmanager
def tailing(logs: Logs, *groups: str, **more: Any) -> Iterator[Iterator[dict[str, Any]]]:
    """The events of a session, the first one read already."""
    arns = [f"{GROUP_ARN}{group}" for group in groups]
    stream = logs.tailer().start_live_tail(logGroupIdentifiers=arns, **more)["responseStream"]
    try:
        events = iter(stream)
        started = next(events)["sessionStart"]
        assert started["logGroupIdentifiers"] == arns
        yield events
    finally:
        stream.close()


def shown(events: Iterator[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """The first so many log events, without their times."""
    found: list[dict[str, Any]] = []
    end = time.monotonic() + 60
    while len(found) < count:
        assert time.monotonic() < end
        update = next(events)["sessionUpdate"]
        assert update["sessionMetadata"] == {"sampled": False}
        found += update["sessionResults"]
    for each in found:
        del each["ingestionTime"], each["timestamp"]
    return found


def test_events_as_they_come(logs: Logs) -> None:
    one, two = logs.group("/app/tail", "a"), logs.group("/app/tail", "b")
    logs.put(one, "a", [(logs.now(), "before")])
    with tailing(logs, one, two) as events:
        logs.put(one, "a", [(logs.now(), "first"), (logs.now(), "second")])
        assert shown(events, 2) == [
            {"logGroupIdentifier": f"{ACCOUNT}:{one}", "logStreamName": "a", "message": "first"},
            {"logGroupIdentifier": f"{ACCOUNT}:{one}", "logStreamName": "a", "message": "second"},
        ]
        logs.put(two, "b", [(logs.now(), "third")])
        assert [each["message"] for each in shown(events, 1)] == ["third"]
        assert next(events)["sessionUpdate"]["sessionResults"] == [], "a sign of life each second"


@pytest.mark.parametrize(
    "chosen",
    [
        {"logStreamNames": ["web-1"]},
        {"logStreamNamePrefixes": ["web"]},
        {"logEventFilterPattern": "{ $.level = error }"},
    ],
)
def test_what_is_chosen(logs: Logs, chosen: dict[str, Any]) -> None:
    group = logs.group("/app/tail", "web-1", "db-1")
    with tailing(logs, group, **chosen) as events:
        logs.put(group, "db-1", [(logs.now(), '{"level": "info"}')])
        logs.put(group, "web-1", [(logs.now(), '{"level": "error"}')])
        (event,) = shown(events, 1)
        assert (event["logStreamName"], json.loads(event["message"])) == ("web-1", {"level": "error"})


def test_more_than_a_session_shows(logs: Logs) -> None:
    group = logs.group("/app/tail", "s")
    with tailing(logs, group) as events:
        now = logs.now()
        logs.put(group, "s", [(now, f"m{number}") for number in range(700)])
        while not (update := next(events)["sessionUpdate"])["sessionResults"]:
            pass
        assert update["sessionMetadata"] == {"sampled": True}
        assert len(update["sessionResults"]) == 500


def test_refusals(logs: Logs) -> None:
    client, group = logs.tailer(), logs.group("/app/tail", "s")
    arn = f"{GROUP_ARN}{group}"
    with refused("ResourceNotFoundException", "The specified log group does not exist."):
        client.start_live_tail(logGroupIdentifiers=[arn, f"{GROUP_ARN}/app/absent"])
    with refused(
        "InvalidParameterException", "Cannot specify both logStreamNames and logStreamNamePrefixes."
    ):
        client.start_live_tail(logGroupIdentifiers=[arn], logStreamNames=["a"], logStreamNamePrefixes=["b"])
    other = f"{GROUP_ARN}{logs.group('/app/tail')}"
    with refused("InvalidParameterException", "Log streams can be specified for a single log group only."):
        client.start_live_tail(logGroupIdentifiers=[arn, other], logStreamNames=["a"])
    with refused(
        "InvalidParameterException", "Invalid filter pattern: a pattern that begins with { must end with }"
    ):
        client.start_live_tail(logGroupIdentifiers=[arn], logEventFilterPattern="{")
    with pytest.raises(ClientError, match="not authorized to perform: logs:StartLiveTail"):
        logs.tailer("nobody").start_live_tail(logGroupIdentifiers=[arn])


def test_how_many_sessions_there_may_be(tmp_path: Any) -> None:
    # A server of its own, for it notices only after a while that a session is over.
    with logs_server(tmp_path) as logs:
        group = logs.group("/app/tail", "s")
        streams: list[Any] = []

        def begin() -> None:
            stream = logs.tailer().start_live_tail(logGroupIdentifiers=[f"{GROUP_ARN}{group}"])
            streams.append(stream["responseStream"])
            next(iter(streams[-1]))

        try:
            for _ in range(15):
                begin()
            with pytest.raises(ClientError, match="Resource limit exceeded"):
                begin()
        finally:
            for each in streams:
                each.close()


def test_a_session_ends_with_the_server(tmp_path: Any) -> None:
    with logs_server(tmp_path) as logs:
        group = logs.group("/app/tail", "s")
        with tailing(logs, group) as events:
            assert logs.server.stop() == 0
            for event in events:
                assert event["sessionUpdate"]["sessionResults"] == []
