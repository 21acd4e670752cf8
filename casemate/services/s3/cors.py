"""CORS: a bucket's rules, and the preflights and answers that they decide."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from casemate import wire
from casemate.api import s3
from casemate.errors import AwsError
from casemate.gate.http import Exchange
from casemate.gate.operation import Need
from casemate.gate.random_ids import new_uuid
from casemate.services.s3.buckets import Buckets
from casemate.services.s3.cors_rules import METHODS, MOST_RULES, Rule, head, lines, matching
from casemate.services.s3.refusals import invalid_request, malformed_xml
from casemate.services.s3.resources import Bucket
from casemate.services.s3.targets import described_bucket, named_bucket
from casemate.store.database import Tx
from casemate.wire import Reply

if TYPE_CHECKING:
    from casemate.gate.call import Call

_TEXT = re.compile(r"[!-~]+")
_NOT_ENABLED = "CORSResponse: CORS is not enabled for this bucket."
_NOT_ALLOWED = (
    "CORSResponse: This CORS request is not allowed. This is usually because the evalution of Origin, request "
    "method / Access-Control-Request-Method or Access-Control-Request-Headers are not whitelisted by the resource's "
    "CORS spec."
)


def _checked(rules: Sequence[s3.CORSRule]) -> list[dict[str, Any]]:
    """The rules, if a bucket may have them. Raises MalformedXML, InvalidRequest."""
    if not 1 <= len(rules) <= MOST_RULES:
        raise malformed_xml()
    for rule in rules:
        for method in rule["AllowedMethods"]:
            if method not in METHODS:
                raise invalid_request(
                    f"Found unsupported HTTP method in CORS config. Unsupported method is {method}"
                )
        for origin in rule["AllowedOrigins"]:
            if origin.count("*") > 1:
                raise invalid_request(f'AllowedOrigin "{origin}" can not have more than one wildcard.')
            if _TEXT.fullmatch(origin) is None:
                raise malformed_xml()
        for header in rule.get("AllowedHeaders", ()):
            if header.count("*") > 1:
                raise invalid_request(f'AllowedHeader "{header}" can not have more than one wildcard.')
            if _TEXT.fullmatch(header) is None:
                raise malformed_xml()
        for header in rule.get("ExposeHeaders", ()):
            if "*" in header:
                raise invalid_request(
                    f'ExposeHeader "{header}" contains wildcard. We currently do not support wildcard for '
                    "ExposeHeader."
                )
            if _TEXT.fullmatch(header) is None:
                raise malformed_xml()
    return [dict(rule) for rule in rules]


@s3.PutBucketCors.writes(described_bucket, Need("s3:PutBucketCORS"))
def put_bucket_cors(call: Call, req: s3.PutBucketCorsRequest, bucket: Bucket) -> s3.PutBucketCorsResponse:
    """Replace the rules by which browsers' requests from other origins are answered."""
    rules = _checked(req["CORSConfiguration"]["CORSRules"])
    call.part(Buckets).configure(call.tx, bucket, Cors=rules)
    return {}


@s3.GetBucketCors.reads(named_bucket, Need("s3:GetBucketCORS"))
def get_bucket_cors(call: Call, req: s3.GetBucketCorsRequest, bucket: Bucket) -> s3.GetBucketCorsOutput:
    """The rules by which browsers' requests from other origins are answered."""
    rules = bucket.settings.get("Cors")
    if rules is None:
        raise AwsError(
            "NoSuchCORSConfiguration", "The CORS configuration does not exist", 404, BucketName=bucket.name
        )
    return {"CORSRules": rules}


@s3.DeleteBucketCors.writes(named_bucket, Need("s3:PutBucketCORS"))
def delete_bucket_cors(
    call: Call, req: s3.DeleteBucketCorsRequest, bucket: Bucket
) -> s3.DeleteBucketCorsResponse:
    """Answer no browser's requests from other origins any more."""
    call.part(Buckets).configure(call.tx, bucket, Cors=None)
    return {}


# --- what the rules decide


class Preflights:
    """The gate's ``ResourceCors``: answers the preflights of requests for buckets and what is in them."""

    def __init__(self, buckets: Buckets) -> None:
        self._buckets = buckets

    def preflight(self, exchange: Exchange, path: bytes, tx: Tx | None) -> Reply | None:
        """The answer; None when there is no such bucket. path: with the bucket in it. Raises Miss."""
        name = unquote_to_bytes(path[1:].partition(b"/")[0]).decode("latin-1")
        bucket = self._buckets.known(name, tx)
        if bucket is None:
            return None
        try:
            return Reply(200, lines(_allowed(bucket, exchange, path)), b"")
        except AwsError as error:
            return wire.error_reply("s3", "rest-xml", error, new_uuid())


def _allowed(bucket: Bucket, exchange: Exchange, path: bytes) -> list[tuple[str, str]]:
    headers = {name: value.decode("latin-1") for name, value in exchange.headers.items()}
    origin = headers.get(b"origin", "")
    method = headers.get(b"access-control-request-method", "")
    if not origin:
        raise AwsError("BadRequest", "Insufficient information. Origin request header needed.", 400)
    if method not in METHODS:
        raise AwsError("BadRequest", f"Invalid Access-Control-Request-Method: {method}", 400)
    asked = [name.strip() for name in headers.get(b"access-control-request-headers", "").split(",")]
    asked = [name for name in asked if name]
    rules: Sequence[Rule] = bucket.settings.get("Cors", ())
    rule = matching(rules, origin, method, asked)
    if rule is None:
        kind = "OBJECT" if path[1:].partition(b"/")[2] else "BUCKET"
        text = _NOT_ALLOWED if rules else _NOT_ENABLED
        raise AwsError("AccessForbidden", text, 403, Method=method, ResourceType=kind)
    return head(rule, origin, [name.lower() for name in asked])
