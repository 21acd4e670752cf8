"""A chunked body (RFC 9112, 7.1), decoded piece by piece. Pure."""

from __future__ import annotations

from casemate.server.http_head import SINGLE, BadRequest, field_name, has_controls

_LINE_BYTES = 4096
_SIZE_DIGITS = 15
_HEX = b"0123456789abcdefABCDEF"
_FORBIDDEN_TRAILERS = SINGLE | {b"connection", b"trailer", b"upgrade", b"content-encoding"}

_SIZE, _DATA, _DATA_END, _TRAILER, _DONE = range(5)


class ChunkDecoder:
    """Strict: CRLF only, plain hexadecimal sizes, extensions and trailers dropped and bounded together.

    Trailers are checked for form and dropped; none may look like a header that matters.
    """

    __slots__ = ("_left", "_line", "_overhead", "_state")

    def __init__(self, overhead_bytes: int) -> None:
        self._state = _SIZE
        self._left = 0
        self._line = b""
        self._overhead = overhead_bytes

    @property
    def done(self) -> bool:
        return self._state == _DONE

    def feed(self, data: bytes, start: int) -> tuple[bytes, int]:
        """Decode ``data`` from ``start``. Returns the content that came, and where decoding stopped: the end
        of the data, or the end of the body when ``done``. Raises BadRequest."""
        pieces: list[bytes] = []
        position, end = start, len(data)
        while position < end and self._state != _DONE:
            if self._state == _DATA:
                stop = min(end, position + self._left)
                pieces.append(data[position:stop])
                self._left -= stop - position
                position = stop
                if not self._left:
                    self._state = _DATA_END
                continue
            line, position = self._take_line(data, position)
            if line is None:
                break
            if self._state == _SIZE:
                self._begin_chunk(line)
            elif self._state == _DATA_END:
                if line:
                    raise BadRequest("chunk", "A chunk is longer than its size.")
                self._state = _SIZE
            else:
                self._trailer(line)
        return (pieces[0] if len(pieces) == 1 else b"".join(pieces)), position

    def _take_line(self, data: bytes, position: int) -> tuple[bytes | None, int]:
        """The next whole line without its CRLF, or None when more must come."""
        feed = data.find(b"\n", position, position + _LINE_BYTES)
        if feed < 0:
            self._line += data[position:]
            limit = 1 if self._state == _DATA_END else _LINE_BYTES
            if len(self._line) > limit:
                raise BadRequest("chunk", "A line of the chunked body is too long.")
            return None, len(data)
        line = self._line + data[position : feed + 1]
        self._line = b""
        if len(line) > _LINE_BYTES or line[-2:] != b"\r\n":
            raise BadRequest("chunk", "A line of the chunked body is malformed.")
        line = line[:-2]
        if has_controls(line):
            raise BadRequest("chunk", "The chunked body has a control character.")
        return line, feed + 1

    def _begin_chunk(self, line: bytes) -> None:
        size, extended, extension = line.partition(b";")
        if not size or len(size) > _SIZE_DIGITS or size.translate(None, _HEX):
            raise BadRequest("chunk", "A chunk's size is malformed.")
        if extended:
            self._spend(len(extension) + 1)
        self._left = int(size, 16)
        self._state = _DATA if self._left else _TRAILER

    def _trailer(self, line: bytes) -> None:
        if not line:
            self._state = _DONE
            return
        self._spend(len(line))
        name, colon, _ = line.partition(b":")
        if not colon or field_name(name) in _FORBIDDEN_TRAILERS:
            raise BadRequest("chunk", "A trailer of the chunked body is not acceptable.")

    def _spend(self, count: int) -> None:
        self._overhead -= count
        if self._overhead < 0:
            raise BadRequest("chunk-overhead", "The chunked body has too many extensions or trailers.")
