"""Names and ARNs of topics and subscriptions."""

from __future__ import annotations

import re
from typing import NamedTuple

from casemate.gate.regions import partition_of

_NAME = re.compile(r"[A-Za-z0-9_-]{1,256}|(?=.{1,256}\Z)[A-Za-z0-9_-]+\.fifo")
_ARN = re.compile(
    r"arn:aws[a-z-]*:sns:([a-z0-9-]+):(\d{12}):([A-Za-z0-9_.-]{1,256})(?::([0-9a-f-]{36}))?", re.ASCII
)


class Place(NamedTuple):
    """Whose, where and which."""

    account: str
    region: str
    name: str

    @property
    def arn(self) -> str:
        return f"arn:{partition_of(self.region)}:sns:{self.region}:{self.account}:{self.name}"

    @property
    def fifo(self) -> bool:
        return self.name.endswith(".fifo")


def is_name(text: str) -> bool:
    return _NAME.fullmatch(text) is not None


def read_arn(arn: str) -> tuple[Place, str] | None:
    """The topic of an ARN, and the subscription's id, '' of a topic's own; None for what is neither's."""
    found = _ARN.fullmatch(arn)
    return None if found is None else (Place(found[2], found[1], found[3]), found[4] or "")


class Endpoint(NamedTuple):
    """An ARN that messages are delivered to."""

    service: str
    region: str
    account: str
    resource: str


_ENDPOINT = re.compile(r"arn:aws[a-z-]*:(sqs|lambda):([a-z0-9-]+):(\d{12}):([A-Za-z0-9_.:$-]+)", re.ASCII)


def read_endpoint(arn: str) -> Endpoint | None:
    found = _ENDPOINT.fullmatch(arn)
    return None if found is None else Endpoint(found[1], found[2], found[3], found[4])
