"""Trails' names and ARNs. Source: "Naming requirements" of CloudTrail, "CreateTrail"."""

from __future__ import annotations

import re
from typing import NamedTuple

from casemate.errors import AwsError
from casemate.gate.regions import partition_of

SERVICE = "cloudtrail.amazonaws.com"

_CHARACTERS = re.compile(r"[A-Za-z0-9._-]*")
_ADJACENT = re.compile(r"[._-]{2}")
_ADDRESS = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}")
_ARN = re.compile(r"arn:(aws[a-z-]*):cloudtrail:([a-z0-9-]+):([0-9]{12}):trail/(.*)", re.DOTALL)
_SHORTEST, _LONGEST = 3, 128


class Place(NamedTuple):
    """Where a trail is. region: its home."""

    account: str
    region: str
    name: str

    @property
    def arn(self) -> str:
        return f"arn:{partition_of(self.region)}:cloudtrail:{self.region}:{self.account}:trail/{self.name}"


def _invalid(message: str) -> AwsError:
    return AwsError("InvalidTrailNameException", message)


def check_name(name: str) -> None:
    """Raises InvalidTrailNameException."""
    if len(name) < _SHORTEST:
        raise _invalid(
            f"Trail name too short. Minimum allowed length: {_SHORTEST} characters. Specified name length: "
            f"{len(name)} characters."
        )
    if len(name) > _LONGEST:
        raise _invalid(
            f"Trail name too long. Maximum allowed length: {_LONGEST} characters. Specified name length: "
            f"{len(name)} characters."
        )
    if not (name[0].isascii() and name[0].isalnum()):
        raise _invalid("Trail name must starts with a letter or number.")
    if not (name[-1].isascii() and name[-1].isalnum()):
        raise _invalid("Trail name must ends with a letter or number.")
    if _CHARACTERS.fullmatch(name) is None:
        raise _invalid(
            "Trail name or ARN can only contain uppercase letters, lowercase letters, numbers, periods (.), "
            "hyphens (-), and underscores (_)."
        )
    if _ADJACENT.search(name):
        raise _invalid("Trail name cannot have adjacent periods, hyphens (-) or underscores (_).")
    if _ADDRESS.fullmatch(name):
        raise _invalid("Trail name cannot be in IP address format.")


def read_name(text: str, account: str, region: str) -> tuple[Place, bool]:
    """The trail that a name or an ARN means, and whether it was an ARN. Raises InvalidTrailNameException,
    CloudTrailARNInvalidException."""
    if not text.startswith("arn:"):
        check_name(text)
        return Place(account, region, text), False
    found = _ARN.fullmatch(text)
    if found is None or partition_of(found[2]) != found[1]:
        raise bad_arn(text)
    try:
        check_name(found[4])
    except AwsError:
        raise bad_arn(text) from None
    return Place(found[3], found[2], found[4]), True


def bad_arn(text: str) -> AwsError:
    return AwsError("CloudTrailARNInvalidException", f"The ARN {text} is not a valid trail ARN.")
