"""Delivery policies of topics and of subscriptions by HTTP: what may be one, and which applies.

Source: "Amazon SNS message delivery retries", "Creating an HTTP/S delivery policy".
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from casemate.services.sns.refusals import invalid
from casemate.services.sns.retries import pause_after

_RETRY: Final[Mapping[str, Any]] = {
    "minDelayTarget": 20,
    "maxDelayTarget": 20,
    "numRetries": 3,
    "numMaxDelayRetries": 0,
    "numNoDelayRetries": 0,
    "numMinDelayRetries": 0,
    "backoffFunction": "linear",
}
_BACKOFFS: Final = ("arithmetic", "exponential", "geometric", "linear")
_LONGEST: Final = 3600
"""Seconds that all retries may take together."""
CONTENT_TYPE: Final = "text/plain; charset=UTF-8"
_ALWAYS: Final = frozenset({"application/json", "text/plain"})
_IF_RAW: Final = _ALWAYS | {
    *("text/css", "text/csv", "text/html", "text/xml", "application/atom+xml", "application/octet-stream"),
    *(
        "application/soap+xml",
        "application/x-www-form-urlencoded",
        "application/xhtml+xml",
        "application/xml",
    ),
}
_CHARSET: Final = re.compile(r'\s*;\s*charset="?[\w.-]{1,40}"?', re.ASCII | re.IGNORECASE)


class Policy(NamedTuple):
    """retry: all its members; most: deliveries a second, 0 for as many as there are; content_type: of what is
    posted."""

    retry: Mapping[str, Any]
    most: int = 0
    content_type: str = CONTENT_TYPE


_DEFAULT: Final = Policy(_RETRY)


def read_topics(text: str) -> tuple[Policy, bool]:
    """A topic's DeliveryPolicy, and whether subscriptions may have their own. Raises InvalidParameter."""
    http = _members(_object(text), "http").get("http")
    if http is None:
        return _DEFAULT, True
    found = _members(
        http,
        *("defaultHealthyRetryPolicy", "defaultThrottlePolicy", "defaultRequestPolicy"),
        *("defaultSicklyRetryPolicy", "disableSubscriptionOverrides"),
    )
    disabled = found.get("disableSubscriptionOverrides")
    if disabled not in (None, True, False):
        raise _wrong("disableSubscriptionOverrides must be true or false")
    policy = _policy(
        found.get("defaultHealthyRetryPolicy"),
        found.get("defaultThrottlePolicy"),
        found.get("defaultRequestPolicy"),
    )
    _check_absent(found, "defaultSicklyRetryPolicy")
    return policy, not disabled


def read_subscriptions(text: str) -> Policy:
    """A subscription's DeliveryPolicy. Raises InvalidParameter."""
    found = _members(
        _object(text),
        *("healthyRetryPolicy", "throttlePolicy", "requestPolicy", "sicklyRetryPolicy", "guaranteed"),
    )
    _check_absent(found, "sicklyRetryPolicy")
    if found.get("guaranteed") not in (None, False):
        raise _wrong("guaranteed must be false")
    return _policy(found.get("healthyRetryPolicy"), found.get("throttlePolicy"), found.get("requestPolicy"))


def check_content_type(policy: Policy, *, raw: bool) -> None:
    """Raises InvalidParameter for a type that the body is not."""
    kind = policy.content_type.partition(";")[0].strip().lower()
    if kind not in (_IF_RAW if raw else _ALWAYS):
        raise _wrong(f"headerContentType {kind} needs raw message delivery")


def applying(topic: Mapping[str, str], subscription: Mapping[str, str]) -> Policy:
    """Which delivery policy applies to a subscription by HTTP, by the attributes of both."""
    of_topic, overrides = topic.get("DeliveryPolicy"), True
    policy = _DEFAULT
    if of_topic is not None:
        policy, overrides = read_topics(of_topic)
    own = subscription.get("DeliveryPolicy")
    return read_subscriptions(own) if own is not None and overrides else policy


def effective_of_topic(topic: Mapping[str, str]) -> str:
    """EffectiveDeliveryPolicy of a topic."""
    text = topic.get("DeliveryPolicy")
    policy, overrides = (_DEFAULT, True) if text is None else read_topics(text)
    shown: dict[str, Any] = {
        "defaultHealthyRetryPolicy": policy.retry,
        "disableSubscriptionOverrides": not overrides,
        "defaultRequestPolicy": {"headerContentType": policy.content_type},
    }
    if policy.most:
        shown["defaultThrottlePolicy"] = {"maxReceivesPerSecond": policy.most}
    return json.dumps({"http": shown})


def effective_of_subscription(policy: Policy) -> str:
    """EffectiveDeliveryPolicy of a subscription."""
    throttle = {"maxReceivesPerSecond": policy.most} if policy.most else None
    return json.dumps(
        {
            "healthyRetryPolicy": policy.retry,
            "sicklyRetryPolicy": None,
            "throttlePolicy": throttle,
            "requestPolicy": {"headerContentType": policy.content_type},
            "guaranteed": False,
        }
    )


def _wrong(why: str) -> Exception:
    return invalid(f"DeliveryPolicy: {why}")


def _object(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise _wrong("failed to parse JSON") from None


def _members(found: Any, *names: str) -> Mapping[str, Any]:
    if not isinstance(found, dict):
        raise _wrong("failed to parse JSON")
    for name in found:
        if name not in names:
            raise _wrong(f"{name} is not a member of it")
    return found


def _check_absent(found: Mapping[str, Any], name: str) -> None:
    if found.get(name) is not None:
        raise _wrong(f"{name} is not supported")


def _policy(retry: Any, throttle: Any, request: Any) -> Policy:
    return Policy(_retry(retry), _most(throttle), _content_type(request))


def _retry(given: Any) -> Mapping[str, Any]:
    found = _members({} if given is None else given, *_RETRY)
    retry = {**_RETRY, **{name: value for name, value in found.items() if value is not None}}
    numbers = [retry[name] for name in _RETRY if name != "backoffFunction"]
    if any(type(number) is not int or not 0 <= number <= _LONGEST for number in numbers):
        raise _wrong("a healthyRetryPolicy's numbers are from 0 to 3600")
    if retry["numRetries"] > 100:
        raise _wrong("numRetries must be less than or equal to 100")
    if not 1 <= retry["minDelayTarget"] <= retry["maxDelayTarget"]:
        raise _wrong("minDelayTarget must be at least 1, and at most maxDelayTarget")
    if retry["backoffFunction"] not in _BACKOFFS:
        raise _wrong(f"backoffFunction must be one of {', '.join(_BACKOFFS)}")
    phases = retry["numMaxDelayRetries"] + retry["numNoDelayRetries"] + retry["numMinDelayRetries"]
    if phases > retry["numRetries"]:
        raise _wrong("numRetries must be at least the sum of the phases' retries")
    pauses = [pause_after(failed, "http", retry) for failed in range(1, retry["numRetries"] + 1)]
    if sum(pause or 0.0 for pause in pauses) > _LONGEST:
        raise _wrong("all retries together must take 3600 seconds at most")
    return retry


def _most(given: Any) -> int:
    most = _members({} if given is None else given, "maxReceivesPerSecond").get("maxReceivesPerSecond")
    if most is None:
        return 0
    if type(most) is not int or not 1 <= most <= 1_000_000:
        raise _wrong("maxReceivesPerSecond must be an integer of at least 1")
    return most


def _content_type(given: Any) -> str:
    kind = _members({} if given is None else given, "headerContentType").get("headerContentType")
    if kind is None:
        return CONTENT_TYPE
    base, semicolon, more = kind.partition(";") if isinstance(kind, str) else ("", "", "")
    if base.strip().lower() not in _IF_RAW or (semicolon and not _CHARSET.fullmatch(semicolon + more)):
        raise _wrong("headerContentType is not supported")
    return str(kind)
