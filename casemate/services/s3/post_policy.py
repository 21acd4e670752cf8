"""The policy of a browser's form: what its signer lets be uploaded. Source: "Creating a POST policy", "POST
Object"."""

from __future__ import annotations

import json
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from casemate.errors import AwsError
from casemate.services.s3.refusals import access_denied

_UNSIGNED = frozenset({"policy", "x-amz-signature", "file", "signature", "awsaccesskeyid"})
"""Fields that no condition need name."""


class Condition(NamedTuple):
    """operator: eq or starts-with; field: in lower case; shown: as the policy has it."""

    operator: str
    field: str
    value: str
    shown: Any


class PostPolicy(NamedTuple):
    """expires: seconds since the epoch; sizes: the least and the most bytes that the file may have."""

    expires: float
    conditions: tuple[Condition, ...]
    sizes: tuple[int, int] | None


def _invalid(text: str) -> AwsError:
    return AwsError("InvalidPolicyDocument", f"Invalid Policy: {text}", 400)


def parse(text: str) -> PostPolicy:
    """The policy out of its base64. Raises InvalidPolicyDocument."""
    try:
        document = json.loads(b64decode(text, validate=True).decode("utf-8"))
    except (Base64Error, ValueError, RecursionError):
        raise _invalid("Invalid JSON.") from None
    if not isinstance(document, dict):
        raise _invalid("Invalid JSON.")
    if not isinstance(document.get("expiration"), str):
        raise _invalid("Policy missing expiration.")
    if not isinstance(document.get("conditions"), list):
        raise _invalid("Policy missing conditions.")
    try:
        expires = datetime.strptime(
            document["expiration"].replace("Z", "+0000"), _form(document["expiration"])
        )
    except ValueError:
        raise _invalid(f"Invalid 'expiration' value: '{document['expiration'][:40]}'") from None
    conditions: list[Condition] = []
    sizes: tuple[int, int] | None = None
    for each in document["conditions"]:
        if isinstance(each, list) and each and str(each[0]).lower() == "content-length-range":
            least, most = _sizes(each)
            # All conditions must hold.
            sizes = (least, most) if sizes is None else (max(least, sizes[0]), min(most, sizes[1]))
        else:
            conditions += _conditions(each)
    return PostPolicy(expires.timestamp(), tuple(conditions), sizes)


def _form(expiration: str) -> str:
    return "%Y-%m-%dT%H:%M:%S.%f%z" if "." in expiration else "%Y-%m-%dT%H:%M:%S%z"


def _sizes(condition: list[Any]) -> tuple[int, int]:
    try:
        least, most = (int(each) for each in condition[1:])
    except (TypeError, ValueError, OverflowError):
        raise _invalid("Invalid content-length-range.") from None
    return least, most


def _conditions(each: Any) -> Iterator[Condition]:
    if isinstance(each, dict) and each:
        for field, value in each.items():
            if not isinstance(value, str):
                raise _invalid("Invalid condition.")
            yield Condition("eq", field.lower(), value, ["eq", f"${field}", value])
        return
    if isinstance(each, list) and len(each) == 3 and all(isinstance(part, str) for part in each):
        operator, field, value = each
        if operator.lower() in ("eq", "starts-with") and field.startswith("$"):
            yield Condition(operator.lower(), field[1:].lower(), value, each)
            return
    raise _invalid("Invalid condition.")


def check(policy: PostPolicy, fields: Mapping[str, str], bucket: str, now: float) -> None:
    """Hold a form against its policy. fields: by name in lower case; now: by the machine's own clock, as signatures
    go. Raises AccessDenied."""
    if now >= policy.expires:
        raise access_denied("Invalid according to Policy: Policy expired.")
    named = {"bucket"}
    for condition in policy.conditions:
        named.add(condition.field)
        value = bucket if condition.field == "bucket" else fields.get(condition.field)
        if value is None or not _holds(condition, value):
            shown = json.dumps(condition.shown)
            raise access_denied(f"Invalid according to Policy: Policy Condition failed: {shown}")
    extra = sorted(
        name for name in fields if name not in named | _UNSIGNED and not name.startswith("x-ignore-")
    )
    if extra:
        raise access_denied(f"Invalid according to Policy: Extra input fields: {extra[0]}")


def _holds(condition: Condition, value: str) -> bool:
    if condition.operator == "eq":
        return value == condition.value
    if condition.field == "content-type":
        # A list of types: each must begin so.
        return all(each.strip().startswith(condition.value) for each in value.split(","))
    return value.startswith(condition.value)


def check_size(policy: PostPolicy | None, size: int, *, whole: bool) -> None:
    """Hold the file's size against the policy. whole: the file has ended, so that it may be too small as well.
    Raises EntityTooLarge, EntityTooSmall."""
    if policy is None or policy.sizes is None:
        return
    least, most = policy.sizes
    if size > most:
        raise AwsError(
            "EntityTooLarge",
            "Your proposed upload exceeds the maximum allowed size",
            400,
            ProposedSize=str(size),
            MaxSizeAllowed=str(most),
        )
    if whole and size < least:
        raise AwsError(
            "EntityTooSmall",
            "Your proposed upload is smaller than the minimum allowed size",
            400,
            ProposedSize=str(size),
            MinSizeAllowed=str(least),
        )
