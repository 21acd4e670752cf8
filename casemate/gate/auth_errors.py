"""How each way to fail authentication is told to the client: (failure kind) × (protocol family) → AWS's
answer.

The rows are data; ``auth_error`` is their only reader. Texts are those that AWS's services send, where they
are known ("Troubleshooting Signature Version 4 signing errors", "Error responses" of Amazon S3, "Common
errors" of IAM, STS, EC2 and KMS, and answers that clients have published). No text ever holds a secret key,
a session token or a computed signature: what a malformed header held is named by its hash, as AWS does.
"""

from __future__ import annotations

import re
import time
from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Literal, NamedTuple

from casemate.errors import AwsError

Family = Literal["json", "rest-json", "query", "ec2", "s3"]
"""Which dialect of errors a service speaks. ``query`` includes REST-XML services other than S3."""

FAMILIES: tuple[Family, ...] = ("json", "rest-json", "query", "ec2", "s3")

Kind = Literal[
    "missing-token",
    "malformed-header",
    "malformed-credential",
    "malformed-query",
    "unsupported-scheme",
    "unsupported-algorithm",
    "signature-v2",
    "two-mechanisms",
    "missing-date",
    "malformed-date",
    "malformed-query-date",
    "expires-not-a-number",
    "expires-negative",
    "expires-too-long",
    "scope-date",
    "scope-region",
    "scope-service",
    "scope-terminator",
    "unsigned-host",
    "unsigned-headers",
    "signature-mismatch",
    "expired",
    "not-yet-current",
    "query-expired",
    "query-not-yet-current",
    "unknown-key",
    "inactive-key",
    "expired-token",
    "invalid-token",
    "missing-content-sha256",
    "invalid-content-sha256",
    "content-sha256-mismatch",
]


class Answer(NamedTuple):
    """code and text (a ``str.format`` template over the detail given to ``auth_error``), HTTP status, and
    which details go along as members of the error structure (S3's extra XML elements)."""

    code: str
    status: int
    text: str
    members: tuple[str, ...] = ()


_NOT_PRINTABLE = re.compile(rb"[^ -~]")

_MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your AWS "
    "Secret Access Key and signing method. Consult the service documentation for details."
)
_S3_MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your key and "
    "signing method."
)
_S3_HEADER = "The authorization header is malformed; "
_S3_CREDENTIAL = 'the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".'
_S3_QUERY_NEEDS = (
    "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, "
    "X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters."
)
_S3_ONE_MECHANISM = (
    "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string "
    "parameter or the Authorization header should be specified"
)
_S3_PAYLOADS = (
    "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, "
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER, or a valid sha256 value."
)
_DATE_FORM = (
    "Date must be in ISO-8601 'basic format'. Got '{date}'. See http://en.wikipedia.org/wiki/ISO_8601"
)
_EXPIRED = "Signature expired: {date} is now earlier than {bound} ({now} - {window} min.)"
_EARLY = "Signature not yet current: {date} is still later than {bound} ({now} + {window} min.)"
_NOT_VALIDATED = "AWS was not able to validate the provided access credentials"
_BAD_TOKEN = "The security token included in the request is invalid."  # noqa: S105 a message, not a token
_OLD_TOKEN = "The security token included in the request is expired"  # noqa: S105 a message, not a token

# The texts of the framework that most AWS services share; the code and the status differ by family.
_INCOMPLETE: dict[Kind, str] = {
    "malformed-header": "{problem} (Hashed with SHA-256 and encoded with Base64) Authorization={digest}",
    "malformed-credential": (
        "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, "
        "got {count}."
    ),
    "malformed-query": "{problem} Re-examine the query-string parameters.",
    "unsupported-scheme": "Unsupported AWS 'algorithm'. Please use AWS4-HMAC-SHA256.",
    "unsupported-algorithm": "Unsupported AWS 'algorithm': '{algorithm}'. Please use AWS4-HMAC-SHA256.",
    "signature-v2": (
        "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256."
    ),
    "two-mechanisms": _S3_ONE_MECHANISM,
    "missing-date": "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.",
    "malformed-date": _DATE_FORM,
    "malformed-query-date": _DATE_FORM,
    "expires-not-a-number": "'X-Amz-Expires' must be a number.",
    "expires-negative": "'X-Amz-Expires' must be greater than 0.",
    "expires-too-long": "'X-Amz-Expires' must be less than or equal to 604800 seconds.",
    "missing-content-sha256": "Missing required header for this request: x-amz-content-sha256",
    "invalid-content-sha256": "'X-Amz-Content-SHA256' must be a valid sha256 value.",
}
_INVALID: dict[Kind, str] = {
    "scope-date": (
        "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
        "'{scope_date}' != '{day}', from '{date}'."
    ),
    "scope-region": "Credential should be scoped to a valid region.",
    "scope-service": "Credential should be scoped to correct service: '{service}'.",
    "scope-terminator": "Credential should be scoped with a valid terminator: 'aws4_request'.",
    "unsigned-host": "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.",
    "unsigned-headers": "'{header}' must be a 'SignedHeader' in the AWS Authorization.",
    "signature-mismatch": _MISMATCH,
    "content-sha256-mismatch": _MISMATCH,
    "expired": _EXPIRED,
    "not-yet-current": _EARLY,
    "query-expired": _EXPIRED,
    "query-not-yet-current": _EARLY,
}


def _framework(
    incomplete: tuple[str, int], invalid: tuple[str, int], others: dict[Kind, Answer]
) -> dict[Kind, Answer]:
    rows: dict[Kind, Answer] = {kind: Answer(*incomplete, text) for kind, text in _INCOMPLETE.items()}
    rows |= {kind: Answer(*invalid, text) for kind, text in _INVALID.items()}
    return rows | others


def _json(status: int) -> dict[Kind, Answer]:
    return _framework(
        ("IncompleteSignatureException", status),
        ("InvalidSignatureException", status),
        {
            "missing-token": Answer(
                "MissingAuthenticationTokenException", status, "Missing Authentication Token"
            ),
            "unknown-key": Answer("UnrecognizedClientException", status, _BAD_TOKEN),
            "inactive-key": Answer("UnrecognizedClientException", status, _BAD_TOKEN),
            "invalid-token": Answer("UnrecognizedClientException", status, _BAD_TOKEN),
            "expired-token": Answer("ExpiredTokenException", status, _OLD_TOKEN),
        },
    )


TABLE: dict[Family, dict[Kind, Answer]] = {
    "json": _json(400),
    "rest-json": _json(403),
    "query": _framework(
        ("IncompleteSignature", 400),
        ("SignatureDoesNotMatch", 403),
        {
            "missing-token": Answer(
                "MissingAuthenticationToken", 403, "Request is missing Authentication Token"
            ),
            "unknown-key": Answer("InvalidClientTokenId", 403, _BAD_TOKEN),
            "inactive-key": Answer("InvalidClientTokenId", 403, _BAD_TOKEN),
            "invalid-token": Answer("InvalidClientTokenId", 403, _BAD_TOKEN),
            "expired-token": Answer("ExpiredToken", 403, _OLD_TOKEN),
        },
    ),
    "ec2": _framework(
        ("IncompleteSignature", 400),
        ("AuthFailure", 401),
        {
            "missing-token": Answer(
                "MissingParameter", 400, "The request must contain the parameter AWSAccessKeyId"
            ),
            "signature-mismatch": Answer("AuthFailure", 401, _NOT_VALIDATED),
            "content-sha256-mismatch": Answer("AuthFailure", 401, _NOT_VALIDATED),
            "unknown-key": Answer("AuthFailure", 401, _NOT_VALIDATED),
            "inactive-key": Answer("AuthFailure", 401, _NOT_VALIDATED),
            "invalid-token": Answer("AuthFailure", 401, _NOT_VALIDATED),
            "expired": Answer("RequestExpired", 400, "Request has expired."),
            "query-expired": Answer("RequestExpired", 400, "Request has expired."),
            "not-yet-current": Answer("RequestExpired", 400, "Request has expired."),
            "query-not-yet-current": Answer("RequestExpired", 400, "Request has expired."),
            "expired-token": Answer("RequestExpired", 400, "Request has expired."),
        },
    ),
    "s3": {
        "missing-token": Answer("AccessDenied", 403, "Access Denied"),
        "malformed-header": Answer(
            "AuthorizationHeaderMalformed",
            400,
            _S3_HEADER + "the authorization header requires three components: Credential, SignedHeaders, and "
            "Signature.",
        ),
        "malformed-credential": Answer("AuthorizationHeaderMalformed", 400, _S3_HEADER + _S3_CREDENTIAL),
        "malformed-query": Answer("AuthorizationQueryParametersError", 400, _S3_QUERY_NEEDS),
        "unsupported-scheme": Answer(
            "InvalidArgument", 400, "Unsupported Authorization Type", ("ArgumentName",)
        ),
        "unsupported-algorithm": Answer(
            "InvalidRequest",
            400,
            "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.",
        ),
        "signature-v2": Answer(
            "InvalidRequest",
            400,
            "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.",
        ),
        "two-mechanisms": Answer("InvalidArgument", 400, _S3_ONE_MECHANISM, ("ArgumentName",)),
        "missing-date": Answer(
            "AccessDenied", 403, "AWS authentication requires a valid Date or x-amz-date header"
        ),
        "malformed-date": Answer(
            "AccessDenied", 403, "AWS authentication requires a valid Date or x-amz-date header"
        ),
        "malformed-query-date": Answer(
            "AuthorizationQueryParametersError",
            400,
            "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"",
        ),
        "expires-not-a-number": Answer(
            "AuthorizationQueryParametersError", 400, "X-Amz-Expires should be a number"
        ),
        "expires-negative": Answer(
            "AuthorizationQueryParametersError", 400, "X-Amz-Expires must be non-negative"
        ),
        "expires-too-long": Answer(
            "AuthorizationQueryParametersError",
            400,
            "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must "
            "be less than 604800 seconds",
        ),
        "scope-date": Answer(
            "AuthorizationHeaderMalformed",
            400,
            _S3_HEADER
            + 'Invalid credential date "{scope_date}". This date is not the same as X-Amz-Date: "{day}".',
        ),
        "scope-region": Answer(
            "AuthorizationHeaderMalformed",
            400,
            _S3_HEADER + "the region '{given_region}' is wrong; expecting '{Region}'",
            ("Region",),
        ),
        "scope-service": Answer(
            "AuthorizationHeaderMalformed",
            400,
            _S3_HEADER + 'incorrect service "{given_service}". This endpoint belongs to "{service}".',
        ),
        "scope-terminator": Answer(
            "AuthorizationHeaderMalformed",
            400,
            _S3_HEADER + 'incorrect terminator. This endpoint uses "aws4_request".',
        ),
        "unsigned-host": Answer(
            "AccessDenied",
            403,
            "There were headers present in the request which were not signed",
            ("HeadersNotSigned",),
        ),
        "unsigned-headers": Answer(
            "AccessDenied",
            403,
            "There were headers present in the request which were not signed",
            ("HeadersNotSigned",),
        ),
        "signature-mismatch": Answer(
            "SignatureDoesNotMatch",
            403,
            _S3_MISMATCH,
            ("AWSAccessKeyId", "StringToSign", "SignatureProvided"),
        ),
        "expired": Answer(
            "RequestTimeTooSkewed",
            403,
            "The difference between the request time and the current time is too large.",
            ("RequestTime", "ServerTime", "MaxAllowedSkewMilliseconds"),
        ),
        "not-yet-current": Answer(
            "RequestTimeTooSkewed",
            403,
            "The difference between the request time and the current time is too large.",
            ("RequestTime", "ServerTime", "MaxAllowedSkewMilliseconds"),
        ),
        "query-expired": Answer(
            "AccessDenied", 403, "Request has expired", ("X-Amz-Expires", "Expires", "ServerTime")
        ),
        "query-not-yet-current": Answer(
            "AccessDenied", 403, "Request is not yet valid", ("X-Amz-Expires", "Expires", "ServerTime")
        ),
        "unknown-key": Answer(
            "InvalidAccessKeyId",
            403,
            "The AWS Access Key Id you provided does not exist in our records.",
            ("AWSAccessKeyId",),
        ),
        "inactive-key": Answer(
            "InvalidAccessKeyId",
            403,
            "The AWS Access Key Id you provided does not exist in our records.",
            ("AWSAccessKeyId",),
        ),
        "invalid-token": Answer("InvalidToken", 400, "The provided token is malformed or otherwise invalid."),
        "expired-token": Answer("ExpiredToken", 400, "The provided token has expired."),
        "missing-content-sha256": Answer(
            "InvalidRequest", 400, "Missing required header for this request: x-amz-content-sha256"
        ),
        "invalid-content-sha256": Answer("InvalidArgument", 400, _S3_PAYLOADS, ("ArgumentName",)),
        "content-sha256-mismatch": Answer(
            "XAmzContentSHA256Mismatch",
            400,
            "The provided 'x-amz-content-sha256' header does not match what was computed.",
            ("ClientComputedContentSHA256", "S3ComputedContentSHA256"),
        ),
    },
}

# A presigned URL's credential is a query parameter: S3 names the same failures differently there.
QUERY_FORM_TABLE: dict[Kind, Answer] = {
    "malformed-credential": Answer(
        "AuthorizationQueryParametersError",
        400,
        "Error parsing the X-Amz-Credential parameter; " + _S3_CREDENTIAL,
    ),
    "unsupported-algorithm": Answer(
        "AuthorizationQueryParametersError", 400, 'X-Amz-Algorithm only supports "AWS4-HMAC-SHA256"'
    ),
    "scope-date": Answer(
        "AuthorizationQueryParametersError",
        400,
        'Error parsing the X-Amz-Credential parameter; incorrect date format "{scope_date}". This date '
        'in the credential must be in the format "yyyyMMdd" and the same as X-Amz-Date.',
    ),
    "scope-region": Answer(
        "AuthorizationQueryParametersError",
        400,
        "Error parsing the X-Amz-Credential parameter; the region '{given_region}' is wrong; expecting "
        "'{Region}'",
        ("Region",),
    ),
    "scope-service": Answer(
        "AuthorizationQueryParametersError",
        400,
        'Error parsing the X-Amz-Credential parameter; incorrect service "{given_service}". This '
        'endpoint belongs to "{service}".',
    ),
    "scope-terminator": Answer(
        "AuthorizationQueryParametersError",
        400,
        "Error parsing the X-Amz-Credential parameter; incorrect terminator. This endpoint uses "
        '"aws4_request".',
    ),
}


class _Unknown(dict[str, Any]):
    """A detail that the raiser did not give is an empty string, never a KeyError in place of a refusal."""

    def __missing__(self, key: str) -> str:
        return ""


def auth_error(family: Family, kind: Kind, *, presigned: bool = False, **detail: Any) -> AwsError:
    """The refusal for this kind of failure in this family's terms (to be raised by the caller). ``detail``
    fills the text and, for S3, the error's further members; it must hold no secret."""
    answer = TABLE[family][kind]
    if presigned and family == "s3":
        answer = QUERY_FORM_TABLE.get(kind, answer)
    known = _Unknown(detail)
    fields = {name: detail[name] for name in answer.members if name in detail}
    return AwsError(answer.code, answer.text.format_map(known), answer.status, **fields)


def family_of(protocol: str, service: str) -> Family:
    """The error family of a service: its protocol in botocore's model (``metadata.protocol``) and signing
    name."""
    if service in S3_SERVICES:
        return "s3"
    return _FAMILY_OF_PROTOCOL[protocol]


S3_SERVICES = frozenset({"s3", "s3express", "s3-object-lambda", "s3-outposts"})
"""Signing names whose requests are signed as S3's are: path encoded once and not normalised, payload
declared."""

_FAMILY_OF_PROTOCOL: dict[str, Family] = {
    "json": "json",
    "smithy-rpc-v2-cbor": "json",
    "rest-json": "rest-json",
    "query": "query",
    "ec2": "ec2",
    "rest-xml": "query",
}


def guess_family(method: str, headers: Mapping[bytes, bytes]) -> Family:
    """The family for a request whose credential cannot be read, hence whose service is not known: by its
    shape."""
    if b"x-amz-target" in headers:
        return "json"
    if b"x-amz-content-sha256" in headers:
        return "s3"
    content_type = headers.get(b"content-type", b"")
    if content_type.startswith(b"application/x-www-form-urlencoded"):
        return "query"
    if content_type.startswith(b"application/json"):
        return "rest-json"
    return "s3" if method in ("GET", "HEAD", "PUT", "DELETE") else "query"


def hashed(value: bytes) -> str:
    """How a malformed Authorization header is named in an error: base64 of its SHA-256."""
    return b64encode(sha256(value).digest()).decode()


def shown(value: bytes, limit: int = 64) -> str:
    """A client's bytes as an error may repeat them: short, printable, fit for XML."""
    return _NOT_PRINTABLE.sub(b"?", value[:limit]).decode("ascii")


def iso_basic(epoch: float) -> str:
    """20261123T101112Z"""
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(epoch))


def iso_extended(epoch: float) -> str:
    """2026-11-23T10:11:12Z, as in S3's error members."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(epoch))
