"""When a failed delivery is tried again: by AWS's phases, for any policy that a topic may have."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from casemate.services.sns.retries import pause_after


@st.composite
def _policies(draw: st.DrawFn) -> dict[str, Any]:
    parts = [draw(st.integers(0, 10)) for _ in range(4)]
    least = draw(st.integers(1, 100))
    return {
        "minDelayTarget": least,
        "maxDelayTarget": draw(st.integers(least, 3600)),
        "numRetries": sum(parts),
        "numNoDelayRetries": parts[0],
        "numMinDelayRetries": parts[1],
        "numMaxDelayRetries": parts[2],
        "backoffFunction": draw(st.sampled_from(("arithmetic", "exponential", "geometric", "linear"))),
    }


@given(_policies())
def test_http_goes_through_its_phases(retry: dict[str, Any]) -> None:
    pauses = [pause_after(failures, "https", retry) for failures in range(1, retry["numRetries"] + 1)]
    assert pause_after(retry["numRetries"] + 1, "http", retry) is None
    found = [pause for pause in pauses if pause is not None]
    assert len(found) == len(pauses)
    assert all(one <= other + 1e-9 for one, other in pairwise(found))
    assert found[: retry["numNoDelayRetries"]] == [0.0] * retry["numNoDelayRetries"]
    timed = found[retry["numNoDelayRetries"] :]
    assert all(retry["minDelayTarget"] <= pause <= retry["maxDelayTarget"] + 1e-9 for pause in timed)
    most = retry["numMaxDelayRetries"]
    assert most == 0 or timed[-most:] == [float(retry["maxDelayTarget"])] * most


def test_queues_and_functions_are_tried_for_23_days() -> None:
    pauses = [pause_after(failures, "sqs", {}) for failures in range(1, 20)]
    assert pauses[:5] == [0.0, 0.0, 0.0, 1.0, 1.0]
    assert pauses[14:] == [20.0] * 5
    assert pause_after(100_015, "lambda", {}) == 20.0
    assert pause_after(100_016, "lambda", {}) is None
