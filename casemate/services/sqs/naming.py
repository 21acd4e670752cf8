"""Names, ARNs and URLs of queues. Source: "Amazon SQS queue and message identifiers"."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote

from casemate.gate.call import Call
from casemate.gate.regions import partition_of

_NAME = re.compile(r"[A-Za-z0-9_-]{1,80}")
_FIFO_NAME = re.compile(r"(?=.{1,80}\Z)[A-Za-z0-9_-]+\.fifo")
_PATH = re.compile(r"(?:https?://[^/?#]+)?/(\d{12})/([A-Za-z0-9_.-]{1,80})/?", re.ASCII)
_ARN = re.compile(r"arn:aws[a-z-]*:sqs:([a-z0-9-]+):(\d{12}):([A-Za-z0-9_.-]{1,80})", re.ASCII)


class Place(NamedTuple):
    """Whose, where and which."""

    account: str
    region: str
    name: str

    @property
    def arn(self) -> str:
        return f"arn:{partition_of(self.region)}:sqs:{self.region}:{self.account}:{self.name}"

    @property
    def fifo(self) -> bool:
        return self.name.endswith(".fifo")


def is_name(text: str) -> bool:
    """Of a standard queue or a FIFO queue."""
    return bool(_NAME.fullmatch(text) or _FIFO_NAME.fullmatch(text))


def read_url(url: str, region: str) -> Place | None:
    """The queue that a URL names, in whichever way its host is called; None for what is no queue's URL."""
    found = _PATH.fullmatch(unquote(url))
    return None if found is None else Place(found[1], region, found[2])


def read_arn(arn: str) -> Place | None:
    """The queue of an ARN; None for what is none of a queue's."""
    found = _ARN.fullmatch(arn)
    return None if found is None else Place(found[2], found[1], found[3])


def url_of(call: Call, place: Place) -> str:
    """A queue's URL on the host that the client has called."""
    host = call.host or f"sqs.{place.region}.amazonaws.com"
    scheme = "http" if call.host and call.tls is None else "https"
    return f"{scheme}://{host}/{place.account}/{place.name}"
