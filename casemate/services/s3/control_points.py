"""S3 Control's operations on access points. Source: their pages in the S3 Control API reference."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from casemate.api import s3control
from casemate.errors import AwsError
from casemate.gate.markers import read_marker, write_marker
from casemate.services.s3.access_points import AccessPoints, new_alias
from casemate.services.s3.bucket_policies import OF_ACCESS_POINTS, accepted, shown
from casemate.services.s3.buckets import Buckets
from casemate.services.s3.digests import check_document
from casemate.services.s3.naming import may_name_point
from casemate.services.s3.public import is_public
from casemate.services.s3.refusals import (
    access_denied,
    invalid_argument,
    invalid_request,
    no_access_point,
    no_bucket,
    not_supported,
    other_region,
)
from casemate.services.s3.resources import AccessPoint, AccountWide, PointRow
from casemate.services.s3.settings import BLOCKS

if TYPE_CHECKING:
    from casemate.gate.call import Call

_MOST = 1_000


def _absent(account: str, region: str, name: str) -> AccessPoint:
    return AccessPoint(PointRow(account, region, name, "", "", 0.0, {}), None)


def new_point(call: Call, request: Mapping[str, Any]) -> AccessPoint:
    """CreateAccessPoint's."""
    check_document(call, required=False)
    return _absent(request["AccountId"], call.region, request["Name"])


def named_point(call: Call, request: Mapping[str, Any]) -> AccessPoint:
    """Name, in the account of AccountId and the call's Region."""
    check_document(call, required=False)
    account, name = request["AccountId"], request["Name"]
    point = call.part(AccessPoints).find(call, account, call.region, name)
    if point is None:
        point = _absent(account, call.region, name)
        point.missing = no_access_point(name)
    return point


def account_of_points(call: Call, request: Mapping[str, Any]) -> AccountWide:
    """AccountId, as a whole."""
    return AccountWide("*", request["AccountId"])


@s3control.CreateAccessPoint.writes(new_point)
def create_access_point(
    call: Call, req: s3control.CreateAccessPointRequest, point: AccessPoint
) -> s3control.CreateAccessPointResult:
    """Give a bucket a further name, with a policy of its own to come; the public is blocked unless told otherwise."""
    if "Scope" in req or "Tags" in req:
        raise not_supported("A scope or tags of an access point")
    name = req["Name"]
    if not may_name_point(name):
        raise invalid_request("The specified accesspoint name is not valid.")
    bucket = call.part(Buckets).find(call, req["Bucket"])
    if bucket is None:
        raise no_bucket(req["Bucket"])
    if bucket.account != req.get("BucketAccountId", point.account):
        raise access_denied()
    if bucket.region != call.region:
        raise other_region(call.region, bucket.region)
    given = req.get("PublicAccessBlockConfiguration")
    blocks = {each: True if given is None else bool(given.get(each)) for each in BLOCKS}
    vpc = req.get("VpcConfiguration", {}).get("VpcId")
    row = PointRow(
        point.account,
        call.region,
        name,
        bucket.name,
        new_alias(name),
        call.now,
        {
            "PublicAccessBlock": blocks,
            "BucketAccount": bucket.account,
            **({} if vpc is None else {"Vpc": vpc}),
        },
    )
    if not call.part(AccessPoints).create(call.tx, row):
        raise AwsError(
            "AccessPointAlreadyOwnedByYou",
            "Your previous request to create the named accesspoint succeeded and you already own it.",
            409,
        )
    return {"AccessPointArn": row.arn, "Alias": row.alias}


@s3control.GetAccessPoint.reads(named_point)
def get_access_point(
    call: Call, req: s3control.GetAccessPointRequest, point: AccessPoint
) -> s3control.GetAccessPointResult:
    """An access point's bucket, alias, endpoints and public access block."""
    row = point.row
    host = f"s3-accesspoint.{row.region}.amazonaws.com"
    bucket = call.part(Buckets).find(call, row.bucket)
    answer: s3control.GetAccessPointResult = {
        "Name": row.name,
        "Bucket": row.bucket,
        "NetworkOrigin": "Internet",
        "PublicAccessBlockConfiguration": row.settings["PublicAccessBlock"],
        "CreationDate": datetime.fromtimestamp(int(row.created), UTC),
        "Alias": row.alias,
        "AccessPointArn": row.arn,
        "Endpoints": {"ipv4": host},
    }
    if "Vpc" in row.settings:
        answer["NetworkOrigin"] = "VPC"
        answer["VpcConfiguration"] = {"VpcId": row.settings["Vpc"]}
    owner = row.settings.get("BucketAccount") or (None if bucket is None else bucket.account)
    if owner is not None:
        answer["BucketAccountId"] = owner
    return answer


def _listed(row: PointRow) -> s3control.AccessPoint:
    listed: s3control.AccessPoint = {
        "Name": row.name,
        "NetworkOrigin": "Internet",
        "Bucket": row.bucket,
        "AccessPointArn": row.arn,
        "Alias": row.alias,
    }
    if "Vpc" in row.settings:
        listed["NetworkOrigin"] = "VPC"
        listed["VpcConfiguration"] = {"VpcId": row.settings["Vpc"]}
    return listed


@s3control.ListAccessPoints.reads(account_of_points)
def list_access_points(
    call: Call, req: s3control.ListAccessPointsRequest, account: AccountWide
) -> s3control.ListAccessPointsResult:
    """The account's access points in the Region by name, of one bucket or of all."""
    limit = req.get("MaxResults", _MOST)
    after, token = "", req.get("NextToken", "")
    if token:
        after = read_marker("ListAccessPoints", token) or ""
        if not after:
            raise invalid_argument("The continuation token provided is incorrect", "nextToken")
    found = call.part(AccessPoints).page(
        call.tx, account.account, call.region, after=after, bucket=req.get("Bucket", ""), limit=limit + 1
    )
    answer: s3control.ListAccessPointsResult = {"AccessPointList": [_listed(row) for row in found[:limit]]}
    if limit and len(found) > limit:
        answer["NextToken"] = write_marker("ListAccessPoints", found[limit - 1].name)
    return answer


@s3control.DeleteAccessPoint.writes(named_point)
def delete_access_point(
    call: Call, req: s3control.DeleteAccessPointRequest, point: AccessPoint
) -> s3control.DeleteAccessPointResponse:
    """Remove an access point; the bucket stays."""
    call.part(AccessPoints).delete(call.tx, point.row)
    return {}


@s3control.PutAccessPointPolicy.writes(named_point)
def put_access_point_policy(
    call: Call, req: s3control.PutAccessPointPolicyRequest, point: AccessPoint
) -> s3control.PutAccessPointPolicyResponse:
    """Replace an access point's policy."""
    points = call.part(AccessPoints)
    put = accepted(call, req["Policy"], point.arn, OF_ACCESS_POINTS)
    public = "Vpc" not in point.settings and is_public(put.policy)
    if public and points.blocked(call.tx, point.row).get("BlockPublicPolicy"):
        raise access_denied(
            f"User: {call.identity.principal.arn} is not authorized to perform: s3:PutAccessPointPolicy on "
            f'resource: "{point.arn}" because public policies are prevented by the BlockPublicPolicy setting in S3 '
            "Block Public Access."
        )
    points.configure(call.tx, point.row, Policy=put.policy, Principals=dict(put.principals) or None)
    return {}


def _no_policy(point: AccessPoint) -> AwsError:
    return AwsError(
        "NoSuchAccessPointPolicy",
        "The specified accesspoint policy does not exist",
        404,
        AccessPointName=point.row.name,
    )


@s3control.GetAccessPointPolicy.reads(named_point)
def get_access_point_policy(
    call: Call, req: s3control.GetAccessPointPolicyRequest, point: AccessPoint
) -> s3control.GetAccessPointPolicyResult:
    """An access point's policy, as it was put; who is no more is shown by their unique id."""
    if "Policy" not in point.settings:
        raise _no_policy(point)
    return {"Policy": shown(call, point.settings)}


@s3control.DeleteAccessPointPolicy.writes(named_point)
def delete_access_point_policy(
    call: Call, req: s3control.DeleteAccessPointPolicyRequest, point: AccessPoint
) -> s3control.DeleteAccessPointPolicyResponse:
    """Remove an access point's policy, if there is one."""
    call.part(AccessPoints).configure(call.tx, point.row, Policy=None, Principals=None)
    return {}


@s3control.GetAccessPointPolicyStatus.reads(named_point)
def get_access_point_policy_status(
    call: Call, req: s3control.GetAccessPointPolicyStatusRequest, point: AccessPoint
) -> s3control.GetAccessPointPolicyStatusResult:
    """Whether an access point's policy is public."""
    if "Policy" not in point.settings:
        raise _no_policy(point)
    public = "Vpc" not in point.settings and is_public(point.settings["Policy"])
    return {"PolicyStatus": {"IsPublic": public}}
