"""Where an S3 request names its bucket: in the path or in the host's name.

Source: "Virtual hosting of general purpose buckets", "Methods for accessing a general purpose bucket".
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

_PORT = re.compile(rb":[0-9]{1,5}\Z")
_ADDRESS = re.compile(rb"[0-9.]+\Z|\[.*\Z", re.DOTALL)
# The last ".s3" that one of S3's endpoints begins with: buckets' names may hold dots.
_OF_S3 = re.compile(
    rb"(?P<bucket>.+)\.s3(?:-accesspoint)?(?:-fips)?(?:[.-]dualstack)?(?:[.-][a-z]{2}(?:-[a-z]+)+-[0-9]+)?"
    rb"\.(?:amazonaws\.com(?:\.cn)?|localhost)\Z",
    re.DOTALL,
)
_LOCAL = b"localhost"
_KEPT = 10_000
_LONGEST = 255
"""Bytes of a host's name that is kept: strangers choose it."""


class S3Address:
    """names: the server's own host names, of which bucket.NAME is one of a bucket; localhost is always one."""

    __slots__ = ("_ends", "_known", "_own")

    def __init__(self, names: Sequence[str] = ()) -> None:
        hosts = {name.lower().encode() for name in names if not _ADDRESS.match(name.encode())}
        self._own = frozenset(hosts | {_LOCAL, b"s3." + _LOCAL})
        self._known: dict[bytes, bytes] = {}
        self._ends = tuple(sorted((b"." + name for name in self._own), key=len, reverse=True))

    def bucket(self, host: bytes) -> bytes:
        """The bucket that a Host header names; b'' for a host that stands for S3 as a whole."""
        name = _PORT.sub(b"", host).lower()
        if name in self._own or b"." not in name or _ADDRESS.match(name):
            return b""
        found = _OF_S3.match(name)
        if found is not None:
            return found["bucket"]
        for end in self._ends:
            if name.endswith(end):
                bucket = name[: -len(end)]
                # s3.REGION.localhost and the like are endpoints.
                return b"" if bucket == b"s3" or bucket.startswith((b"s3.", b"s3-")) else bucket
        return b""

    def path(self, path: bytes, headers: Mapping[bytes, bytes]) -> bytes:
        """The path as it were with the bucket in it, else byte for byte as it came."""
        host = headers.get(b"host", b"")
        bucket = self._known.get(host)
        if bucket is None:
            bucket = self.bucket(host)
            if len(self._known) < _KEPT and len(host) <= _LONGEST:
                self._known[host] = bucket
        return b"/" + bucket + path if bucket else path
