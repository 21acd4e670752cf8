"""Cross-origin requests from a browser: AWS's SDK for JavaScript calls KMS and its kin from a web page.

Every call is signed, so an origin gains nothing by being allowed that a stolen signature would not give it;
operators may name the origins all the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from casemate.gate.http import Exchange
from casemate.store.database import Tx
from casemate.wire import Reply

_EXPOSED = b"x-amzn-RequestId,x-amzn-ErrorType,x-amz-request-id,x-amz-id-2,ETag,x-amz-version-id,Date"
_METHODS = b"GET,HEAD,POST,PUT,DELETE,PATCH"


class ResourceCors(Protocol):
    """Resources that say themselves which origins may use them: S3's buckets."""

    def preflight(self, exchange: Exchange, path: bytes, tx: Tx | None) -> Reply | None:
        """The answer to a preflight; None when there is no such resource. path: with the bucket in it. Raises Miss
        when that is not in memory and tx is None."""
        ...


class Cors:
    """origins: those that a browser may call from; "*" for all; none at all switches it off."""

    __slots__ = ("_any", "_origins")

    def __init__(self, origins: Sequence[str] = ("*",)) -> None:
        self._any = "*" in origins
        self._origins = frozenset(origin.encode("ascii") for origin in origins)

    def head(self, exchange: Exchange) -> bytes:
        """The header lines to add to an answer; b'' for a request that is not cross-origin or not allowed."""
        origin = exchange.headers.get(b"origin")
        if origin is None:
            return b""
        if self._any:
            allowed = b"*"
        elif origin in self._origins:
            allowed = origin
        else:
            return b""
        return b"Access-Control-Allow-Origin: %b\r\nAccess-Control-Expose-Headers: %b\r\nVary: Origin\r\n" % (
            allowed,
            _EXPOSED,
        )

    def preflight(self, exchange: Exchange) -> bool:
        """Answer a browser's preflight. False when the request is not one."""
        asked = exchange.headers.get(b"access-control-request-method")
        if asked is None or b"origin" not in exchange.headers:
            return False
        allowed = self.head(exchange)
        if not allowed:
            exchange.reply(403, b"", b"")
            return True
        headers = exchange.headers.get(b"access-control-request-headers", b"")
        head = allowed + b"Access-Control-Allow-Methods: %b\r\nAccess-Control-Max-Age: 3600\r\n" % _METHODS
        if headers:
            head += b"Access-Control-Allow-Headers: %b\r\n" % headers
        exchange.reply(200, head, b"")
        return True
