"""PutBucketPolicy, GetBucketPolicy, DeleteBucketPolicy, GetBucketPolicyStatus."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import TYPE_CHECKING, Any

from casemate.api import s3
from casemate.errors import AwsError
from casemate.services.s3.bucket_policies import accepted, shown
from casemate.services.s3.buckets import Buckets
from casemate.services.s3.public import is_public
from casemate.services.s3.public_access import blocked_by, public_is_blocked
from casemate.services.s3.refusals import method_not_allowed
from casemate.services.s3.resources import Bucket
from casemate.services.s3.targets import configured_bucket, named_bucket

if TYPE_CHECKING:
    from casemate.gate.call import Call


def _spared(call: Call, bucket: Bucket) -> Bucket:
    """For the root user of the owner's account the policy counts for nothing here, so that nobody is locked out.
    Source: "PutBucketPolicy"."""
    if call.identity.principal.kind == "root" and call.account == bucket.account:
        bucket = copy(bucket)
        bucket.policy = None
    return bucket


def policy_bucket(call: Call, request: Mapping[str, Any]) -> Bucket:
    """The bucket whose policy is read or deleted."""
    return _spared(call, named_bucket(call, request))


def configured_policy_bucket(call: Call, request: Mapping[str, Any]) -> Bucket:
    """The bucket whose policy is put, which the request's body holds."""
    return _spared(call, configured_bucket(call, request))


def _must_be_owner(call: Call, bucket: Bucket) -> None:
    """Policies are the owner's affair, whoever is allowed. Raises MethodNotAllowed."""
    if call.account != bucket.account:
        raise method_not_allowed()


def _no_policy(bucket: Bucket) -> AwsError:
    return AwsError("NoSuchBucketPolicy", "The bucket policy does not exist", 404, BucketName=bucket.name)


@s3.PutBucketPolicy.writes(configured_policy_bucket)
def put_bucket_policy(
    call: Call, req: s3.PutBucketPolicyRequest, bucket: Bucket
) -> s3.PutBucketPolicyResponse:
    """Replace the bucket policy."""
    _must_be_owner(call, bucket)
    put = accepted(call, req["Policy"], bucket.arn)
    if blocked_by(call, bucket).get("BlockPublicPolicy") and is_public(put.policy):
        raise public_is_blocked(
            call, "s3:PutBucketPolicy", bucket, "public policies are", "BlockPublicPolicy"
        )
    call.part(Buckets).configure(call.tx, bucket, Policy=put.policy, Principals=dict(put.principals) or None)
    return {}


@s3.GetBucketPolicy.reads(policy_bucket)
def get_bucket_policy(call: Call, req: s3.GetBucketPolicyRequest, bucket: Bucket) -> s3.GetBucketPolicyOutput:
    """The bucket policy's text, as it was put; who is no more is shown by their unique id."""
    _must_be_owner(call, bucket)
    if "Policy" not in bucket.settings:
        raise _no_policy(bucket)
    return {"Policy": shown(call, bucket.settings)}


@s3.DeleteBucketPolicy.writes(policy_bucket)
def delete_bucket_policy(
    call: Call, req: s3.DeleteBucketPolicyRequest, bucket: Bucket
) -> s3.DeleteBucketPolicyResponse:
    """Remove the bucket policy, if there is one."""
    _must_be_owner(call, bucket)
    call.part(Buckets).configure(call.tx, bucket, Policy=None, Principals=None)
    return {}


@s3.GetBucketPolicyStatus.reads(named_bucket)
def get_bucket_policy_status(
    call: Call, req: s3.GetBucketPolicyStatusRequest, bucket: Bucket
) -> s3.GetBucketPolicyStatusOutput:
    """Whether the bucket policy is public."""
    document = bucket.settings.get("Policy")
    if document is None:
        raise _no_policy(bucket)
    return {"PolicyStatus": {"IsPublic": is_public(document)}}
