"""Parameter policies: what is to become of an advanced parameter with time. Source: "Assigning parameter policies in
Parameter Store".

    Expiration               at its Timestamp the parameter is deleted
    ExpirationNotification   so many days or hours before that, an event tells
    NoChangeNotification     an event tells when a parameter was not changed for so many days or hours
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from casemate.errors import AwsError
from casemate.services.ssm.rows import Policy

if TYPE_CHECKING:
    from casemate.api import ssm

EXPIRATION, EXPIRATION_NOTIFICATION, NO_CHANGE = (
    "Expiration",
    "ExpirationNotification",
    "NoChangeNotification",
)
PENDING, IN_PROGRESS, FINISHED, FAILED = "Pending", "InProgress", "Finished", "Failed"
MOST = 10

_ATTRIBUTES = {
    EXPIRATION: {"Timestamp"},
    EXPIRATION_NOTIFICATION: {"Before", "Unit"},
    NO_CHANGE: {"After", "Unit"},
}
_SECONDS = {"Days": 86_400.0, "Hours": 3_600.0}
_NUMBER = re.compile(r"[1-9]\d{0,4}", re.ASCII)
# ISO_OFFSET_DATE_TIME as AWS shows it may have seconds in the offset, which Python reads as well.
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d(:\d\d)?)", re.ASCII)


def parsed(document: str, now: float) -> tuple[Policy, ...]:
    """The policies of PutParameter's Policies, none for an empty list or a list of an empty object. now: when the
    parameter is changed. Raises InvalidPolicyTypeException, InvalidPolicyAttributeException,
    PoliciesLimitExceededException, IncompatiblePolicyException."""
    try:
        listed = json.loads(document)
    except (ValueError, RecursionError):
        raise _attribute("The policies must be a JSON array.") from None
    if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
        raise _attribute("The policies must be a JSON array of objects.")
    if listed in ([], [{}]):
        return ()
    if len(listed) > MOST:
        raise AwsError(
            "PoliciesLimitExceededException",
            "You specified more than the maximum number of allowed policies for the parameter. The maximum is "
            f"{MOST}.",
        )
    for each in listed:
        _check(each)
    expirations = [each for each in listed if each["Type"] == EXPIRATION]
    if len(expirations) > 1:
        raise _incompatible("A parameter can have one Expiration policy only.")
    notices = [each for each in listed if each["Type"] == EXPIRATION_NOTIFICATION]
    if notices and not expirations:
        raise _incompatible("An ExpirationNotification policy requires an Expiration policy.")
    if len({json.dumps(each, sort_keys=True) for each in listed}) != len(listed):
        raise _incompatible("A policy is given twice.")
    expires = _timestamp(expirations[0]["Attributes"]["Timestamp"]) if expirations else 0.0
    if expirations and expires <= now:
        raise _attribute("The Timestamp of an Expiration policy must be in the future.")
    return tuple(_policy(each, expires, now) for each in listed)


def after_change(policies: Sequence[Policy], now: float) -> tuple[Policy, ...]:
    """The policies of a parameter whose value was put anew without any: what counts from its last change begins
    again, all else stays as it is."""
    return tuple(
        each._replace(status=PENDING, due=now + _span(json.loads(each.text)["Attributes"], "After"))
        if each.type == NO_CHANGE
        else each
        for each in policies
    )


def shown(policies: Sequence[Policy]) -> list[ssm.ParameterInlinePolicy]:
    """As DescribeParameters shows them."""
    return [
        {"PolicyText": each.text, "PolicyType": each.type, "PolicyStatus": each.status} for each in policies
    ]


def next_due(policies: Sequence[Policy]) -> float | None:
    """When the first of those that wait is to act."""
    return min((each.due for each in policies if each.status == PENDING), default=None)


def _check(policy: Mapping[str, Any]) -> None:
    kind, attributes = policy.get("Type"), policy.get("Attributes")
    if not isinstance(kind, str) or kind not in _ATTRIBUTES:
        raise AwsError(
            "InvalidPolicyTypeException",
            "The policy type isn't supported. Parameter Store supports the following policy types: Expiration, "
            "ExpirationNotification, and NoChangeNotification.",
        )
    if policy.get("Version") != "1.0" or set(policy) != {"Type", "Version", "Attributes"}:
        raise _attribute(f"A policy of the type {kind} has a Type, the Version 1.0, and Attributes.")
    if not isinstance(attributes, dict) or set(attributes) != _ATTRIBUTES[kind]:
        wanted = ", ".join(sorted(_ATTRIBUTES[kind]))
        raise _attribute(f"The attributes of a policy of the type {kind} are: {wanted}.")
    if kind == EXPIRATION:
        _timestamp(attributes["Timestamp"])
    else:
        _span(attributes, "Before" if kind == EXPIRATION_NOTIFICATION else "After")


def _policy(policy: Mapping[str, Any], expires: float, now: float) -> Policy:
    kind, attributes = policy["Type"], policy["Attributes"]
    due = expires
    if kind == EXPIRATION_NOTIFICATION:
        due = expires - _span(attributes, "Before")
    elif kind == NO_CHANGE:
        due = now + _span(attributes, "After")
    return Policy(json.dumps(policy, separators=(",", ":")), kind, PENDING, due)


def _timestamp(text: Any) -> float:
    if not isinstance(text, str) or _TIMESTAMP.fullmatch(text) is None:
        raise _attribute("A Timestamp is a date and time such as 2030-12-02T21:34:33.000Z.")
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        raise _attribute("A Timestamp is a date and time such as 2030-12-02T21:34:33.000Z.") from None


def _span(attributes: Mapping[str, Any], name: str) -> float:
    """Seconds."""
    number, unit = attributes[name], attributes["Unit"]
    if not isinstance(number, str) or _NUMBER.fullmatch(number) is None:
        raise _attribute(f'{name} is a positive number in quotes, such as "15".')
    if not isinstance(unit, str) or unit not in _SECONDS:
        raise _attribute("Unit is Days or Hours.")
    return int(number) * _SECONDS[unit]


def _attribute(message: str) -> AwsError:
    return AwsError("InvalidPolicyAttributeException", message)


def _incompatible(message: str) -> AwsError:
    return AwsError("IncompatiblePolicyException", message)
