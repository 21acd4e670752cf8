"""What a request says of its body's content, counted while the body comes and held against it at the end.

Source: "Checking object integrity in Amazon S3", "PutObject", "UploadPart".
"""

from __future__ import annotations

import hmac
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Mapping
from hashlib import md5
from typing import TYPE_CHECKING, Any

from casemate.engine.checksums import ALGORITHMS, Checksum, checksum, size_of
from casemate.errors import AwsError
from casemate.services.s3.refusals import invalid_request

if TYPE_CHECKING:
    from casemate.gate.body import Body

DEFAULT = "CRC64NVME"
"""What S3 counts of itself where the request names no algorithm."""

_MEMBERS: Mapping[str, str] = {f"Checksum{name}": name for name in ALGORITHMS}
_NAMES: Mapping[str, str] = {f"x-amz-checksum-{name.lower()}": name for name in ALGORITHMS}


def algorithm_named(header: str) -> str | None:
    """The algorithm of a header or trailer like x-amz-checksum-crc32."""
    return _NAMES.get(header)


def decoded(value: str, algorithm: str) -> bytes | None:
    """A checksum out of its base64; None when it is none of the algorithm."""
    try:
        found = b64decode(value, validate=True)
    except (NotBase64, ValueError):
        return None
    return found if len(found) == size_of(algorithm) else None


def shown_digest(value: bytes) -> str:
    """A checksum as requests and answers have it."""
    return b64encode(value).decode()


class Integrity:
    """Of one body. ``hashes`` are fed all of it; then ``check`` raises AwsError unless it is what was announced.

    algorithm: of the checksum that is kept; value, md5: once the body has come (md5 is b'' where nobody needs it).
    """

    def __init__(
        self,
        request: Mapping[str, Any],
        headers: Mapping[bytes, bytes],
        body: Body,
        *,
        algorithm: str = "",
        needs_md5: bool,
    ) -> None:
        """algorithm: to be used where the request names none; needs_md5: for the ETag. Raises AwsError."""
        given = {_MEMBERS[member]: value for member, value in request.items() if member in _MEMBERS}
        trailers = headers.get(b"x-amz-trailer", b"").decode("latin-1").lower().split(",")
        announced = [name for each in trailers if (name := algorithm_named(each.strip())) is not None]
        if len(given) + len(announced) > 1:
            raise invalid_request(
                "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."
            )
        named = request.get("ChecksumAlgorithm")
        if named is not None and not given and not announced:
            raise invalid_request(
                "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer "
                "headers were found."
            )
        self._body = body
        self._trailer = announced[0] if announced else ""
        self._expected: bytes | None = None
        self.told = bool(given or announced)
        """Whether the request says what the checksum is."""
        for name, text in given.items():
            self._expected = decoded(text, name)
            if self._expected is None:
                raise invalid_request(f"Value for x-amz-checksum-{name.lower()} header is invalid.")
        self.algorithm = next(iter(given), "") or self._trailer or algorithm or DEFAULT
        self._expected_md5 = _content_md5(request.get("ContentMD5"))
        self._checksum: Checksum = checksum(self.algorithm)
        self._md5 = md5(usedforsecurity=False) if needs_md5 or self._expected_md5 is not None else None
        self.hashes: tuple[Checksum, ...] = (
            (self._checksum,) if self._md5 is None else (self._checksum, self._md5)
        )
        self.value = b""
        self.md5 = b""

    @property
    def guarded(self) -> bool:
        """Whether the request says by a checksum or by Content-MD5 what its body is."""
        return self.told or self._expected_md5 is not None

    def check(self) -> None:
        """The body has come wholly. Raises AwsError."""
        self.value = self._checksum.digest()
        if self._md5 is not None:
            self.md5 = self._md5.digest()
        if self._expected_md5 is not None and not hmac.compare_digest(self._expected_md5, self.md5):
            raise AwsError(
                "BadDigest",
                "The Content-MD5 you specified did not match what we received.",
                400,
                ExpectedDigest=b64encode(self._expected_md5).decode(),
                CalculatedDigest=b64encode(self.md5).decode(),
            )
        expected = self._expected
        if self._trailer:
            text = self._body.trailers.get(f"x-amz-checksum-{self._trailer.lower()}", "")
            expected = decoded(text, self._trailer)
            if expected is None:
                raise invalid_request(
                    f"Value for x-amz-checksum-{self._trailer.lower()} trailing header is invalid."
                )
        if expected is not None and not hmac.compare_digest(expected, self.value):
            raise AwsError(
                "BadDigest", f"The {self.algorithm} you specified did not match the calculated checksum.", 400
            )

    def shown(self) -> str:
        """The checksum as answers have it."""
        return shown_digest(self.value)


def _content_md5(given: str | None) -> bytes | None:
    if given is None:
        return None
    found = decoded(given, "MD5")
    if found is None:
        raise AwsError(
            "InvalidDigest", "The Content-MD5 you specified was invalid.", 400, **{"Content-MD5": given}
        )
    return found
