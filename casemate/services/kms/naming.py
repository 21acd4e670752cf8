"""The ways to name a key in a request: its id, its ARN, an alias's name, an alias's ARN."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from casemate.gate.regions import partition_of
from casemate.services.kms.refusals import invalid_arn, invalid_key_id

KEY_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|mrk-[0-9a-f]{32}", re.ASCII)
ALIAS = re.compile(r"alias/[a-zA-Z0-9/_-]+", re.ASCII)
_ARN = re.compile(r"arn:([a-z-]+):kms:([a-z0-9-]+):([0-9]{12}):(.+)", re.ASCII | re.DOTALL)


class KeyName(NamedTuple):
    """What a request says of a key. partition, region and account: '' unless it is an ARN; key_id or alias
    ("alias/x"): the other one is ''."""

    partition: str
    region: str
    account: str
    key_id: str
    alias: str


@lru_cache(maxsize=16_384)
def parse_key_name(text: str) -> KeyName:
    """Any of the four ways. Names repeat, so results are remembered.

    Raises NotFoundException for what names no key in any way, InvalidArnException for an ARN that is not one of
    a key or an alias. The Region's and the account's match is the caller's to check.
    """
    if text.startswith("arn:"):
        found = _ARN.fullmatch(text)
        if found is None:
            raise invalid_arn(text)
        partition, region, account, rest = found.groups()
        if rest.startswith("key/"):
            key_id = rest[4:]
            if KEY_ID.fullmatch(key_id) is None:
                raise invalid_key_id(key_id)
            return KeyName(partition, region, account, key_id, "")
        if ALIAS.fullmatch(rest) is None:
            raise invalid_arn(text)
        return KeyName(partition, region, account, "", rest)
    if KEY_ID.fullmatch(text) is not None:
        return KeyName("", "", "", text, "")
    if ALIAS.fullmatch(text) is not None:
        return KeyName("", "", "", "", text)
    raise invalid_key_id(text)


@lru_cache(maxsize=16_384)
def key_arn(account: str, region: str, key_id: str) -> str:
    return f"arn:{partition_of(region)}:kms:{region}:{account}:key/{key_id}"


def alias_arn(account: str, region: str, name: str) -> str:
    """name: with its "alias/"."""
    return f"arn:{partition_of(region)}:kms:{region}:{account}:{name}"
