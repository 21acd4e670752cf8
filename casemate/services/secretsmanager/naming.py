"""The ways to name a secret in a request: its name, its ARN, and the ARN without the six characters that end it."""

from __future__ import annotations

import re
import secrets
import string
from functools import lru_cache
from typing import NamedTuple

from casemate.errors import AwsError
from casemate.gate.regions import partition_of

NAME = re.compile(r"[a-zA-Z0-9/_+=.@!-]{1,512}", re.ASCII)
_ARN = re.compile(r"arn:([a-z-]+):secretsmanager:([a-z0-9-]+):([0-9]{12}):secret:(.+)", re.ASCII | re.DOTALL)
_WHOLE = re.compile(r"(.+)-([a-zA-Z0-9]{6})", re.ASCII)
_PART = re.compile(r"[a-zA-Z0-9/_+=.@!-]{1,519}", re.ASCII)
"""A name and what may end an ARN."""
_LETTERS = string.ascii_letters + string.digits


class SecretName(NamedTuple):
    """What a request says of a secret. partition, region, account: '' unless it is an ARN; suffix: the six characters
    that end a whole ARN, '' where there are none."""

    partition: str
    region: str
    account: str
    name: str
    suffix: str


@lru_cache(maxsize=16_384)
def parse_secret_name(text: str) -> SecretName:
    """Names repeat, so results are remembered. Of an ARN, a hyphen and six characters at the end are taken for those
    that every ARN has, as AWS does. Source: "Finding a secret from a partial ARN". Raises ValidationException."""
    if text.startswith("arn:"):
        found = _ARN.fullmatch(text)
        if found is None or _PART.fullmatch(found[4]) is None:
            raise invalid_name()
        whole = _WHOLE.fullmatch(found[4])
        name, suffix = (found[4], "") if whole is None else whole.groups()
        return SecretName(found[1], found[2], found[3], name, suffix)
    if NAME.fullmatch(text) is None:
        raise invalid_name()
    return SecretName("", "", "", text, "")


def invalid_name() -> AwsError:
    return AwsError(
        "ValidationException",
        "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: "
        "-/_+=.@!",
    )


@lru_cache(maxsize=16_384)
def secret_arn(account: str, region: str, name: str, suffix: str) -> str:
    """suffix: '' for the ARN without the six characters."""
    end = f"-{suffix}" if suffix else ""
    return f"arn:{partition_of(region)}:secretsmanager:{region}:{account}:secret:{name}{end}"


def new_suffix() -> str:
    """Six random characters, so that a secret that is made anew has another ARN than the one before it."""
    return "".join(secrets.choice(_LETTERS) for _ in range(6))
