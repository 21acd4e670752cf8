"""When what failed is tried again. Source: "Amazon SNS message delivery retries"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HTTP_PROTOCOLS = frozenset({"http", "https"})

MAIL_PROTOCOLS = frozenset({"email", "email-json"})

_MANAGED_AT_ONCE, _MANAGED_SOON, _MANAGED_BACKOFF = 3, 2, 10
_MANAGED_LONGEST = 20.0
_MANAGED_IN_ALL = 100_015
_MAIL_SOON, _MAIL_BACKOFF, _MAIL_IN_ALL = 2, 10, 50
_MAIL_LEAST, _MAIL_LONGEST = 10.0, 600.0


def pause_after(failures: int, protocol: str, retry: Mapping[str, Any]) -> float | None:
    """Seconds until the next attempt after so many failed ones, 1 or more; None: no more."""
    if protocol in HTTP_PROTOCOLS:
        return _of_http(failures, retry)
    return _of_mail(failures) if protocol in MAIL_PROTOCOLS else _managed(failures)


def _of_mail(failures: int) -> float | None:
    """Mails: twice after ten seconds, ten times after ten seconds to ten minutes, then every ten minutes for more
    than six hours."""
    if failures > _MAIL_IN_ALL:
        return None
    part = min(max(0, failures - _MAIL_SOON) / _MAIL_BACKOFF, 1.0)
    grown: float = (_MAIL_LONGEST / _MAIL_LEAST) ** part
    return _MAIL_LEAST * grown


def _managed(failures: int) -> float | None:
    """Queues and functions: three times at once, twice after a second, ten times after one to twenty seconds, then
    every twenty seconds for 23 days."""
    if failures > _MANAGED_IN_ALL:
        return None
    if failures <= _MANAGED_AT_ONCE:
        return 0.0
    step = failures - _MANAGED_AT_ONCE - _MANAGED_SOON
    if step <= 0:
        return 1.0
    return min(1.0 + (_MANAGED_LONGEST - 1.0) * step / _MANAGED_BACKOFF, _MANAGED_LONGEST)


def _of_http(failures: int, retry: Mapping[str, Any]) -> float | None:
    """A delivery policy's phases: at once, after the least pause, by its backoff function, after the longest."""
    if failures > retry["numRetries"]:
        return None
    least, longest = float(retry["minDelayTarget"]), float(retry["maxDelayTarget"])
    step = failures - retry["numNoDelayRetries"]
    if step <= 0:
        return 0.0
    step -= retry["numMinDelayRetries"]
    if step <= 0:
        return least
    steps = (
        retry["numRetries"]
        - retry["numNoDelayRetries"]
        - retry["numMinDelayRetries"]
        - retry["numMaxDelayRetries"]
    )
    if step > steps:
        return longest
    part = step / steps
    grown: float = {
        "linear": part,
        "arithmetic": part * (step + 1) / (steps + 1),
        "geometric": part**2,
        "exponential": (2.0**step - 1) / (2.0**steps - 1),
    }[retry["backoffFunction"]]
    return least + (longest - least) * grown
