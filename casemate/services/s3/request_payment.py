"""Who pays for requests to a bucket. Source: "Using Requester Pays buckets for storage transfers and usage"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from casemate.api import s3
from casemate.services.s3.buckets import Buckets
from casemate.services.s3.refusals import access_denied
from casemate.services.s3.resources import Bucket
from casemate.services.s3.targets import configured_bucket, named_bucket

if TYPE_CHECKING:
    from casemate.gate.call import Call


@s3.GetBucketRequestPayment.reads(named_bucket)
def get_bucket_request_payment(
    call: Call, req: s3.GetBucketRequestPaymentRequest, bucket: Bucket
) -> s3.GetBucketRequestPaymentOutput:
    """Who pays for requests: the owner, unless told otherwise."""
    return {"Payer": "Requester" if bucket.requester_pays else "BucketOwner"}


@s3.PutBucketRequestPayment.writes(configured_bucket)
def put_bucket_request_payment(
    call: Call, req: s3.PutBucketRequestPaymentRequest, bucket: Bucket
) -> s3.PutBucketRequestPaymentResponse:
    """Have those who ask pay, who must say that they know, or the owner."""
    if call.account != bucket.account:
        # Whoever is allowed: it is the owner's affair.
        raise access_denied()
    payer = req["RequestPaymentConfiguration"]["Payer"]
    kept = payer if payer == "Requester" else None
    call.part(Buckets).configure(call.tx, bucket, Payer=kept)
    return {}
