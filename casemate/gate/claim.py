"""What a signed request says of itself, before anything of it is checked: who signs, for which day, region
and service, which headers, and the signature.

``read_claim`` needs the head only. It reads both forms, the Authorization header here and the presigned
query in casemate/gate/presigned.py, and knows no key: the gate looks the key up by
``claim.scope.access_key_id`` and calls ``casemate.gate.signature.verify``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from operator import itemgetter
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from casemate.errors import AwsError
from casemate.gate.auth_errors import S3_SERVICES, Family, Kind, auth_error, guess_family, hashed, shown

if TYPE_CHECKING:
    from casemate.gate.signature import SigningKey

ALGORITHM: Final = b"AWS4-HMAC-SHA256"

SIGNATURE_SIZE = 64
_MAX_SCOPES = 2048
_MAX_PREFIX = 640
_MAX_TIMESTAMPS = 256
_MAX_SIGNED_HEADERS = 256

_TOKEN = re.compile(r"[!-.0-~]*\Z").match
_DAY = re.compile(r"[0-9]{8}\Z").match
_HEADER_NAMES = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z:-]+(?:;[!#$%&'*+.^_`|~0-9A-Za-z:-]+)*\Z").match
_ISO_BASIC = re.compile(rb"([0-9]{4})([0-9]{2})([0-9]{2})T([0-9]{2})([0-9]{2})([0-9]{2})Z\Z").match
_IMF_DATE = re.compile(
    rb"[A-Z][a-z]{2}, ([0-9]{1,2}) ([A-Z][a-z]{2}) ([0-9]{4}) ([0-9]{2}):([0-9]{2}):([0-9]{2}) "
    rb"(?:GMT|UTC|[+-]0000)\Z"
).match
_MONTHS = (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec")

# Headers that clients and proxies send unsigned, by far most often. Only a shortcut past
# ``unsigned_headers``'s loop: what must be signed is decided there.
_USUALLY_UNSIGNED = frozenset(
    b"accept accept-encoding amz-sdk-invocation-id amz-sdk-request authorization connection content-length "
    b"content-type expect host transfer-encoding user-agent x-amzn-trace-id".split()
)


class Scope:
    """The part of an Authorization header that stays the same for a client's requests of one day: credential
    and signed headers, parsed, with what is derived from them once. ``key`` is filled by signature.py with
    the signing key's hash states.
    """

    __slots__ = (
        "access_key_id",
        "covered",
        "date",
        "day",
        "key",
        "plain_post",
        "region",
        "service",
        "service_checked",
        "signed",
        "signed_names",
        "template",
        "terminator",
        "text",
        "to_sign",
        "values",
    )

    def __init__(self, credential: list[str], signed: bytes) -> None:
        self.access_key_id, self.date, self.region, self.service, self.terminator = credential
        self.text = "/".join(credential[1:]).encode()
        """date/region/service/aws4_request, the third line of the string to sign."""
        self.signed = signed
        """The names as they came, joined by semicolons: part of the canonical request."""
        names = signed.split(b";")
        self.signed_names = frozenset(names)
        self.covered = self.signed_names | _USUALLY_UNSIGNED
        lines = b"".join([name.replace(b"%", b"%%") + b":%b\n" for name in names])
        self.template = lines + b"\n" + signed.replace(b"%", b"%%") + b"\n%b"
        """With the headers' values and the payload filled in: the canonical request from its headers on."""
        self.plain_post = b"POST\n/\n\n" + self.template
        """The same with all before it, for what most services' requests are: POST / without a query."""
        self.values: Callable[[Mapping[bytes, bytes]], tuple[bytes, ...]]
        """The signed headers' values. Raises KeyError where one is missing."""
        if len(names) == 1:
            only = names[0]
            self.values = lambda headers: (headers[only],)
        else:
            self.values = itemgetter(*names)
        self.to_sign = ALGORITHM + b"\n%b\n" + self.text.replace(b"%", b"%%") + b"\n%b"
        """The string to sign, but for its timestamp and the canonical request's hash."""
        self.day = self.date.encode()
        self.key: SigningKey | None = None
        self.service_checked = ""
        """The service that the scope was found to be for, in a Region of ours (``check_scope``)."""

    def __repr__(self) -> str:
        return f"Scope({self.access_key_id}/{self.text.decode()})"


class Presigned(NamedTuple):
    """What a presigned URL says besides. expires: its X-Amz-Expires in seconds, if given; pairs: its decoded
    parameters without the signature."""

    expires: int | None
    pairs: list[tuple[bytes, bytes]]


class Claim:
    """One request's claim.

    timestamp: b'20261123T101112Z', epoch: the same in seconds; signature: 64 hex digits if it is one at all;
    session_token: as sent, or None; prefix: the key under which ``scope`` is to be remembered once verified,
    if it is not yet; presigned: None where the claim is an Authorization header.
    """

    __slots__ = ("epoch", "prefix", "presigned", "scope", "session_token", "signature", "timestamp")

    def __init__(
        self,
        scope: Scope,
        signature: bytes,
        timestamp: bytes,
        epoch: int,
        session_token: str | None,
        prefix: bytes | None,
        presigned: Presigned | None,
    ) -> None:
        self.scope = scope
        self.signature = signature
        self.timestamp = timestamp
        self.epoch = epoch
        self.session_token = session_token
        self.prefix = prefix
        self.presigned = presigned

    @property
    def form(self) -> Literal["header", "query"]:
        return "header" if self.presigned is None else "query"

    @property
    def s3(self) -> bool:
        """Whether the request is signed by S3's rules."""
        return self.scope.service in S3_SERVICES

    def __repr__(self) -> str:
        return f"Claim({self.form}, {self.scope!r}, {self.timestamp.decode()})"


# By the Authorization header up to its signature. Only what was verified is kept (signature.verify), so that
# nobody without a key can fill or thrash it; when it is full it starts anew.
_scopes: dict[bytes, Scope] = {}
_epochs: dict[bytes, int] = {}


def remember(prefix: bytes, scope: Scope) -> None:
    """Keep a scope that a valid signature came with; not an oversized one, so that memory stays bounded."""
    if len(prefix) > _MAX_PREFIX:
        return
    if len(_scopes) >= _MAX_SCOPES:
        _scopes.clear()
    _scopes[prefix] = scope


def remembered(prefix: bytes) -> Scope | None:
    """The scope that is kept of an Authorization header up to its signature."""
    return _scopes.get(prefix)


def forget_scopes() -> None:
    """Drop every remembered scope and signing key (after a credential was deleted, or a reset)."""
    _scopes.clear()


def read_claim(
    method: str, query: bytes, headers: Mapping[bytes, bytes], family: Family | None = None
) -> Claim | None:
    """The request's claim; None when it is anonymous (no Authorization header, no signature in the query).

    family: whose errors to speak if the gate knows already; else it is guessed. Raises AwsError for each way
    in which a claim can be malformed; the body is not needed.
    """
    authorization = headers.get(b"authorization")
    if query and (b"X-Amz-" in query or b"Signature=" in query):
        # Here rather than at the top: most requests have no query, and a server that starts needs no
        # presigning.
        from casemate.gate.presigned import read_query_claim

        claim = read_query_claim(query, family or guess_family(method, headers), authorization is not None)
        if claim is not None:
            return claim
    if authorization is None:
        return None
    prefix = None
    scope = _scopes.get(authorization[:-SIGNATURE_SIZE])
    if scope is None:
        family = family or guess_family(method, headers)
        scope, signature, prefix = _parse_authorization(authorization, family, headers)
    else:
        signature = authorization[-SIGNATURE_SIZE:]
    timestamp = headers.get(b"x-amz-date") or headers.get(b"date")
    if timestamp is None:
        raise auth_error(family or guess_family(method, headers), "missing-date")
    epoch = _epochs.get(timestamp)
    if epoch is None:
        timestamp, epoch = read_date(timestamp, family or guess_family(method, headers))
    token = headers.get(b"x-amz-security-token")
    if token is None:
        return Claim(scope, signature, timestamp, epoch, None, prefix, None)
    return Claim(scope, signature, timestamp, epoch, token.decode("latin-1"), prefix, None)


def _parse_authorization(
    value: bytes, family: Family, headers: Mapping[bytes, bytes]
) -> tuple[Scope, bytes, bytes | None]:
    algorithm, _, rest = value.partition(b" ")
    if algorithm != ALGORITHM:
        raise _wrong_algorithm(algorithm, family)
    fields: dict[bytes, bytes] = {}
    for part in rest.split(b","):
        name, equals, content = part.strip().partition(b"=")
        if not equals:
            problem = "Invalid key=value pair (missing equal-sign) in Authorization header."
            raise auth_error(family, "malformed-header", problem=problem, digest=hashed(value))
        if name in fields:
            problem = "Authorization header has a parameter twice."
            raise auth_error(family, "malformed-header", problem=problem, digest=hashed(value))
        fields[name] = content
    missing = [name for name in ("Credential", "Signature", "SignedHeaders") if not fields.get(name.encode())]
    if missing:
        problem = " ".join(f"Authorization header requires '{name}' parameter." for name in missing)
        if b"x-amz-date" not in headers and b"date" not in headers:
            problem += " Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header."
        raise auth_error(family, "malformed-header", problem=problem, digest=hashed(value))
    credential = parse_credential(fields[b"Credential"], family, presigned=False)
    signed = fields[b"SignedHeaders"]
    if not valid_signed_headers(signed):
        problem = "Authorization header requires a well-formed 'SignedHeaders' parameter."
        raise auth_error(family, "malformed-header", problem=problem, digest=hashed(value))
    signature = fields[b"Signature"]
    # The prefix identifies the rest only where the signature stands last, as every SDK writes it.
    cacheable = len(signature) == SIGNATURE_SIZE and value.endswith(b"Signature=" + signature)
    return Scope(credential, signed), signature, value[:-SIGNATURE_SIZE] if cacheable else None


def _wrong_algorithm(algorithm: bytes, family: Family) -> AwsError:
    kind: Kind = "unsupported-scheme"
    if algorithm == b"AWS":
        kind = "signature-v2"
    elif algorithm.startswith(b"AWS4-"):
        kind = "unsupported-algorithm"
    return auth_error(family, kind, algorithm=shown(algorithm), ArgumentName="Authorization")


def parse_credential(value: bytes, family: Family, *, presigned: bool) -> list[str]:
    """Access key id, date, region, service, terminator. Only their form is checked here."""
    try:
        parts = value.decode("ascii").split("/")
    except UnicodeDecodeError:
        parts = []
    if len(parts) != 5 or not parts[0] or not all(map(_TOKEN, parts)):
        raise auth_error(family, "malformed-credential", presigned=presigned, count=len(parts))
    if parts[4] != "aws4_request":
        raise auth_error(family, "scope-terminator", presigned=presigned)
    if not _DAY(parts[1]):
        raise auth_error(family, "malformed-credential", presigned=presigned, count=len(parts))
    return parts


def valid_signed_headers(signed: bytes) -> bool:
    """Header names joined by semicolons, none twice, in a sane number."""
    if not _HEADER_NAMES(signed):
        return False
    names = signed.split(b";")
    return len(names) <= _MAX_SIGNED_HEADERS and len(set(names)) == len(names)


def read_date(value: bytes, family: Family, *, presigned: bool = False) -> tuple[bytes, int]:
    """An x-amz-date (ISO 8601 basic) or Date header (that, or RFC 9110's form): ISO basic form and epoch."""
    kind: Kind = "malformed-query-date" if presigned else "malformed-date"
    try:
        if match := _ISO_BASIC(value):
            year, month, day, hour, minute, second = map(int, match.groups())
        elif (match := _IMF_DATE(value)) and not presigned:
            month = _MONTHS.index(match[2]) + 1
            day, year, hour, minute, second = map(int, match.group(1, 3, 4, 5, 6))
        else:
            raise ValueError
        moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        raise auth_error(family, kind, date=shown(value)) from None
    epoch = int(moment.timestamp())
    basic = b"%04d%02d%02dT%02d%02d%02dZ" % (year, month, day, hour, minute, second)
    if basic == value:
        if len(_epochs) >= _MAX_TIMESTAMPS:
            _epochs.clear()
        _epochs[value] = epoch
    return basic, epoch


def unsigned_headers(scope: Scope, headers: Mapping[bytes, bytes]) -> list[bytes]:
    """Which of the headers that must be signed are not: host, and every x-amz-* that is present. Sorted."""
    signed = scope.signed_names
    missing = [name for name in headers if name.startswith(b"x-amz-") and name not in signed]
    if b"host" not in signed:
        missing.append(b"host")
    return sorted(missing)
