"""Log events by a real client: put, got forwards and backwards, filtered, in pages; what is refused and left out."""

from __future__ import annotations

import http.client
from collections.abc import Sequence
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from logs_support import Logs, refused

DAY, HOUR = 86_400_000, 3_600_000


def texts(page: dict[str, list[dict[str, str]]]) -> list[str]:
    return [event["message"] for event in page["events"]]


def test_forwards_and_backwards(logs: Logs) -> None:
    group = logs.group("/app/ways", "s")
    now = logs.now()
    logs.put(group, "s", [(now - 100 + number, f"m{number}") for number in range(6)])
    client, stream = logs.of(), {"logGroupName": group, "logStreamName": "s"}
    assert texts(client.get_log_events(**stream)) == [f"m{number}" for number in range(6)]
    latest = client.get_log_events(**stream, limit=2)
    assert texts(latest) == ["m4", "m5"]
    back = client.get_log_events(**stream, limit=3, nextToken=latest["nextBackwardToken"])
    assert texts(back) == ["m1", "m2", "m3"]
    first = client.get_log_events(**stream, limit=3, nextToken=back["nextBackwardToken"])
    assert texts(first) == ["m0"]
    none = client.get_log_events(**stream, nextToken=first["nextBackwardToken"])
    assert (texts(none), none["nextBackwardToken"]) == ([], first["nextBackwardToken"])
    on = client.get_log_events(**stream, nextToken=back["nextForwardToken"])
    assert texts(on) == ["m4", "m5"]
    end = client.get_log_events(**stream, nextToken=on["nextForwardToken"])
    assert (texts(end), end["nextForwardToken"]) == ([], on["nextForwardToken"])
    logs.put(group, "s", [(now, "new")])
    assert texts(client.get_log_events(**stream, nextToken=end["nextForwardToken"])) == ["new"]
    head = client.get_log_events(**stream, startFromHead=True, limit=1)
    assert texts(head) == ["m0"]
    between = client.get_log_events(**stream, startTime=now - 99, endTime=now - 97)
    assert texts(between) == ["m1", "m2"], "the end is not included"
    with refused("InvalidParameterException", "The specified nextToken is invalid."):
        client.get_log_events(**stream, nextToken="f/1/s")


def test_filtered_over_streams_in_the_order_of_time(logs: Logs) -> None:
    group = logs.group("/app/filtered", "a", "b", "c")
    now = logs.now()
    logs.put(group, "a", [(now - 30, "ERROR one"), (now - 10, "INFO two")])
    logs.put(group, "b", [(now - 40, "INFO zero"), (now - 20, "ERROR three")])
    logs.put(group, "a", [(now - 35, "ERROR late to come")])
    client = logs.of()
    everything = client.filter_log_events(logGroupName=group)["events"]
    assert [event["message"] for event in everything] == [
        "INFO zero",
        "ERROR late to come",
        "ERROR one",
        "ERROR three",
        "INFO two",
    ]
    assert [event["logStreamName"] for event in everything] == ["b", "a", "a", "b", "a"]
    assert len({event["eventId"] for event in everything}) == 5
    assert all(len(event["eventId"]) == 56 for event in everything)
    assert logs.messages(group, filterPattern="ERROR", limit=1) == [
        "ERROR late to come",
        "ERROR one",
        "ERROR three",
    ]
    assert logs.messages(group, logStreamNames=["b"]) == ["INFO zero", "ERROR three"]
    assert logs.messages(group, logStreamNamePrefix="a", filterPattern="-ERROR") == ["INFO two"]
    assert logs.messages(group, logStreamNamePrefix="z") == []
    assert logs.messages(group, startTime=now - 30, endTime=now - 20) == ["ERROR one", "ERROR three"]
    with refused("ResourceNotFoundException", "The specified log stream does not exist."):
        client.filter_log_events(logGroupName=group, logStreamNames=["a", "absent"])
    with refused("InvalidParameterException"):
        client.filter_log_events(logGroupName=group, logStreamNames=["a"], logStreamNamePrefix="b")
    with refused("InvalidParameterException"):
        client.filter_log_events(logGroupName=group, filterPattern="[a, b")
    with refused("InvalidParameterException", "The specified nextToken is invalid."):
        client.filter_log_events(logGroupName=group, nextToken="nonsense")


@pytest.mark.parametrize(
    ("offsets", "message"),
    [
        ((0, -1), "Log events in a single PutLogEvents request must be in chronological order."),
        (
            (-DAY - 1, 0),
            "The batch of log events in a single PutLogEvents request cannot span more than 24 hours.",
        ),
    ],
)
def test_batches_that_are_refused(logs: Logs, offsets: Sequence[int], message: str) -> None:
    group = logs.group("/app/refused", "s")
    now = logs.now()
    with refused("InvalidParameterException", message):
        logs.put(group, "s", [(now + offset, "x") for offset in offsets])
    assert logs.messages(group) == []


def test_batches_that_are_too_large(logs: Logs) -> None:
    group = logs.group("/app/large", "s")
    now = logs.now()
    half = "x" * (524_288 - 26)
    logs.put(group, "s", [(now, half), (now, half)])
    with refused("InvalidParameterException", "Upload too large: 1048577 bytes exceeds limit of 1048576"):
        logs.put(group, "s", [(now, half), (now, half + "x")])
    (shown,) = logs.of().describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    assert shown["storedBytes"] == 1_048_576
    # One answer holds 1 MiB of messages: the second event is on another page.
    assert [len(message) for message in logs.messages(group)] == [len(half)] * 2
    answer = logs.of().get_log_events(logGroupName=group, logStreamName="s")
    assert len(answer["events"]) == 2


def test_a_stranger_holds_no_more_than_anywhere_else(logs: Logs) -> None:
    """A large body is held for those who have an access key; a claim is made by anybody."""
    address = urlsplit(logs.server.endpoint)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=30)
    claim = "AWS4-HMAC-SHA256 Credential=AKIANOBODYNOBODY0000/20261125/us-east-1/logs/aws4_request, "
    headers = {
        "Authorization": claim + "SignedHeaders=host, Signature=" + "0" * 64,
        "X-Amz-Target": "Logs_20140328.PutLogEvents",
    }
    connection.request("POST", "/", b"x" * 3_000_000, headers)
    assert connection.getresponse().status == 413
    connection.close()


def test_events_that_are_left_out(logs: Logs) -> None:
    group = logs.group("/app/times", "s")
    now = logs.now()
    answer = logs.put(group, "s", [(now, "now"), (now + 2 * HOUR + 60_000, "too new")])
    assert answer["rejectedLogEventsInfo"] == {"tooNewLogEventStartIndex": 1}
    old = now - 14 * DAY
    answer = logs.put(group, "s", [(old - 60_000, "too old"), (old + 60_000, "just")])
    assert answer["rejectedLogEventsInfo"] == {"tooOldLogEventEndIndex": 1}
    assert logs.messages(group) == ["just", "now"]
    with refused("ResourceNotFoundException", "The specified log stream does not exist."):
        logs.put(group, "absent", [(now, "x")])


def test_unicode_comes_back(logs: Logs) -> None:
    group = logs.group("/app/unicode", "s")
    message = 'öß "quoted" \\ \n\t 💡'
    logs.put(group, "s", [(logs.now(), message)])
    assert logs.messages(group) == [message]
    assert logs.messages(group, filterPattern='"\\"quoted\\" \\\\"') == [message]


def test_nothing_is_plaintext_at_rest(logs: Logs) -> None:
    group = logs.group("/app/sealed", "s")
    logs.put(group, "s", [(logs.now(), "a-very-secret-message-of-this-test")])
    files = [file for file in logs.server.data.rglob("*") if file.is_file()]
    assert any(file.suffix == ".db" for file in files)
    for file in files:
        assert b"a-very-secret-message-of-this-test" not in file.read_bytes(), file


@given(data=st.data())
@settings(max_examples=15, deadline=None, database=None)
def test_pages_hold_each_event_once_and_in_order(logs: Logs, data: st.DataObject) -> None:
    group = logs.group("/app/model", "a", "b")
    now = logs.now()
    puts = data.draw(
        st.lists(
            st.tuples(
                st.sampled_from("ab"), st.lists(st.integers(0, 12), min_size=1, max_size=5).map(sorted)
            ),
            min_size=1,
            max_size=6,
        )
    )
    came: list[tuple[int, int, str]] = []
    for stream, offsets in puts:
        events = [(now - 1000 + offset, f"{len(came) + at}") for at, offset in enumerate(offsets)]
        came += [(timestamp, len(came) + at, stream) for at, (timestamp, _) in enumerate(events)]
        logs.put(group, stream, events)
    expected = [str(number) for _, number, _ in sorted(came)]
    assert logs.messages(group, limit=data.draw(st.integers(1, 4))) == expected
    of_a = [str(number) for _, number, stream in sorted(came) if stream == "a"]
    start, end = now - 1000 + data.draw(st.integers(0, 12)), now - 1000 + data.draw(st.integers(0, 13))
    within = [
        str(number)
        for timestamp, number, stream in sorted(came)
        if stream == "a" and start <= timestamp < end
    ]
    client, limit = logs.of(), data.draw(st.integers(1, 4))
    for bounds, wanted in (({}, of_a), ({"startTime": start, "endTime": end}, within)):
        for onwards in (True, False):
            found: list[str] = []
            token: dict[str, str] = {}
            while True:
                page = client.get_log_events(
                    logGroupName=group,
                    logStreamName="a",
                    startFromHead=onwards,
                    limit=limit,
                    **bounds,
                    **token,
                )
                got = texts(page)
                found = found + got if onwards else got + found
                if not got:
                    break
                token = {"nextToken": page["nextForwardToken" if onwards else "nextBackwardToken"]}
            assert found == wanted, (bounds, onwards)
