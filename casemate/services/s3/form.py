"""A browser's form (multipart/form-data) whose last field is a file, which is read as it comes. Source: "POST
Object", RFC 7578.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from casemate.errors import AwsError

MOST_FIELDS = 20 * 1024
"""Bytes of all that comes before the file."""

_BOUNDARY = re.compile(
    r'(?i)multipart/form-data\s*;(?:.*;)?\s*boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))', re.DOTALL
)
_PARAMETER = re.compile(r';\s*([A-Za-z*-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+))')


class Form(NamedTuple):
    """fields: values by name in lower case; filename: as the browser has it, '' where it does not say; file: the
    file's bytes, to be read once when they are still coming. Reading raises MalformedPOSTRequest where the form ends
    before the file does."""

    fields: Mapping[str, str]
    filename: str
    file: Iterable[bytes]


def malformed() -> AwsError:
    return AwsError(
        "MalformedPOSTRequest", "The body of your POST request is not well-formed multipart/form-data.", 400
    )


def boundary_of(content_type: str) -> bytes:
    """What separates the parts. Raises MalformedPOSTRequest."""
    found = _BOUNDARY.match(content_type)
    if found is None:
        raise malformed()
    return (found[1] or found[2]).encode("latin-1")


def read_form(pieces: Iterable[bytes], boundary: bytes) -> Form:
    """The fields up to the file. Raises MalformedPOSTRequest, MaxPostPreDataLengthExceededError, and
    IncorrectNumberOfFilesInPostRequest for a form without a file."""
    source = iter(pieces)
    delimiter = b"\r\n--" + boundary
    # As if a line had ended before the first delimiter.
    held = b"\r\n"
    fields: dict[str, str] = {}
    read = 0

    def more() -> bool:
        nonlocal held, read
        piece = next(source, None)
        if piece is None:
            return False
        held += bytes(piece)
        read += len(piece)
        return True

    def until(mark: bytes) -> bytes:
        """What comes before a mark, which is left out of what is held then."""
        nonlocal held
        while mark not in held:
            if len(held) > MOST_FIELDS:
                raise AwsError(
                    "MaxPostPreDataLengthExceededError",
                    "Your POST request fields preceding the upload file were too large.",
                    400,
                )
            if not more():
                raise malformed()
        before, _, held = held.partition(mark)
        return before

    until(delimiter)
    spent = 0
    while True:
        after = until(b"\r\n")
        if after.strip(b" \t") == b"--" or after.startswith(b"--"):
            raise AwsError(
                "IncorrectNumberOfFilesInPostRequest",
                "POST requires exactly one file upload per request.",
                400,
            )
        if after.strip(b" \t"):
            raise malformed()
        # A part without headers has none to end: they end with an empty line.
        held = b"\r\n" + held
        head = until(b"\r\n\r\n")
        name, filename = _names(head)
        if name == "file":
            return Form(fields, filename, _file(held, source, delimiter))
        value = until(delimiter)
        spent += len(head) + len(value)
        if spent > MOST_FIELDS:
            raise AwsError(
                "MaxPostPreDataLengthExceededError",
                "Your POST request fields preceding the upload file were too large.",
                400,
            )
        try:
            # Of fields with one name, the first counts.
            fields.setdefault(name, value.decode("utf-8"))
        except UnicodeDecodeError:
            raise malformed() from None


def _names(head: bytes) -> tuple[str, str]:
    """The field's name in lower case and the file's, out of a part's headers."""
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError:
        raise malformed() from None
    for line in text.split("\r\n"):
        header, _, value = line.partition(":")
        if header.strip().lower() == "content-disposition" and value.strip().lower().startswith("form-data"):
            parameters = {
                key.lower(): re.sub(r"\\(.)", r"\1", quoted) if quoted or not plain else plain
                for key, quoted, plain in _PARAMETER.findall(value)
            }
            name = parameters.get("name", "")
            if name:
                return name.lower(), re.split(r"[\\/]", parameters.get("filename", ""))[-1]
    raise malformed()


def _file(held: bytes, source: Iterator[bytes], delimiter: bytes) -> Iterator[bytes]:
    """The file's bytes, without the delimiter behind them; what comes after it is read and ignored."""
    while True:
        at = held.find(delimiter)
        if at >= 0:
            if at:
                yield held[:at]
            for _ in source:
                pass
            return
        # Its last bytes may be the delimiter's first.
        sure = len(held) - len(delimiter) + 1
        if sure > 0:
            yield held[:sure]
            held = held[sure:]
        piece = next(source, None)
        if piece is None:
            raise malformed()
        held += bytes(piece)
