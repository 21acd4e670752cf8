"""Markers of lists that are answered in pages: opaque to clients, and good for the operation that gave them only."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error


def write_marker(operation: str, after: str) -> str:
    """after: the last entry's name on the page that is answered."""
    return urlsafe_b64encode(f"{operation}\n{after}".encode()).decode()


def read_marker(operation: str, marker: str) -> str | None:
    """The name after which the list goes on; None for what is no marker of this operation's."""
    try:
        owner, _, after = urlsafe_b64decode(marker.encode("ascii")).decode().partition("\n")
    except (Base64Error, UnicodeError):
        return None
    # U+0000 is in no name, and PostgreSQL takes none.
    if owner != operation or not after or "\0" in after or write_marker(operation, after) != marker:
        return None
    return after
