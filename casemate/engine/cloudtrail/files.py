"""Log files: their names in a bucket, and their content. Source: "Finding your CloudTrail log files", "CloudTrail log
file name format", "CloudTrail digest file structure".
"""

from __future__ import annotations

import gzip
import time
from collections.abc import Iterable
from hashlib import sha256
from typing import Final, NamedTuple

LOGS, INSIGHTS, DIGESTS = "CloudTrail", "CloudTrail-Insight", "CloudTrail-Digest"

_LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_UNIQUE = 16


class Place(NamedTuple):
    """Whose events, and from where. prefix: the trail's; organization: of an organisation's trail, '' of others."""

    prefix: str
    organization: str
    account: str
    region: str

    def folder(self, kind: str, at: float) -> str:
        """Where files of a kind are, by the day."""
        parts = (self.prefix, "AWSLogs", self.organization, self.account, kind, self.region)
        return f"{'/'.join(filter(None, parts))}/{time.strftime('%Y/%m/%d', time.gmtime(at))}"


def file_key(place: Place, kind: str, at: float, unique: str) -> str:
    """The key of a log file. kind: LOGS or INSIGHTS; at: when it is delivered, seconds since the epoch."""
    minute = time.strftime("%Y%m%dT%H%MZ", time.gmtime(at))
    return f"{place.folder(kind, at)}/{place.account}_{kind}_{place.region}_{minute}_{unique}.json.gz"


def digest_key(place: Place, trail: str, home: str, end: float) -> str:
    """The key of a digest file. trail: the trail's name; home: its Region; end: of the time that it is about."""
    second = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(end))
    return f"{place.folder(DIGESTS, end)}/{place.account}_{DIGESTS}_{place.region}_{trail}_{home}_{second}.json.gz"


def unique_name(*of: str) -> str:
    """Sixteen letters and digits, the same for the same: whoever delivers the same again overwrites the same file."""
    number = int.from_bytes(sha256("\0".join(of).encode()).digest())
    letters = []
    for _ in range(_UNIQUE):
        number, digit = divmod(number, len(_LETTERS))
        letters.append(_LETTERS[digit])
    return "".join(letters)


def log_content(records: Iterable[bytes]) -> bytes:
    """A log file of records, as JSON, not compressed."""
    return b'{"Records":[%b]}' % b",".join(records)


def packed(content: bytes) -> bytes:
    """Compressed, the same for the same."""
    return gzip.compress(content, mtime=0)
