"""S3 Control: the account's public access block, tags of buckets by ARN."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from s3_support import ACCOUNT, OTHER_ACCOUNT, S3, allow, refused
from test_s3_policies import OPEN, put, statement, unblocked

ALL = dict.fromkeys(OPEN, True)


@pytest.fixture
def unblocked_account(s3: S3) -> Iterator[None]:
    yield
    s3.control("stranger").delete_public_access_block(AccountId=OTHER_ACCOUNT)


@pytest.mark.usefixtures("unblocked_account")
def test_the_accounts_block_counts_for_its_buckets(s3: S3) -> None:
    control = s3.control("stranger")
    with refused("NoSuchPublicAccessBlockConfiguration", status=404):
        control.get_public_access_block(AccountId=OTHER_ACCOUNT)
    client, bucket = s3.of("stranger"), f"{s3.bucket()}-other"
    client.create_bucket(Bucket=bucket)
    client.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=OPEN)
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement(bucket, "s3:GetBucketLocation")]})
    client.put_bucket_policy(Bucket=bucket, Policy=document)
    s3.of().get_bucket_location(Bucket=bucket)
    control.put_public_access_block(
        AccountId=OTHER_ACCOUNT, PublicAccessBlockConfiguration={"RestrictPublicBuckets": True}
    )
    found = control.get_public_access_block(AccountId=OTHER_ACCOUNT)["PublicAccessBlockConfiguration"]
    assert found == OPEN | {"RestrictPublicBuckets": True}
    with refused("AccessDenied", "Access Denied", 403):
        s3.of().get_bucket_location(Bucket=bucket)
    control.put_public_access_block(
        AccountId=OTHER_ACCOUNT, PublicAccessBlockConfiguration={"BlockPublicPolicy": True}
    )
    s3.of().get_bucket_location(Bucket=bucket)
    with refused("AccessDenied", status=403):
        client.put_bucket_policy(Bucket=bucket, Policy=document)
    control.delete_public_access_block(AccountId=OTHER_ACCOUNT)
    with refused("NoSuchPublicAccessBlockConfiguration", status=404):
        control.get_public_access_block(AccountId=OTHER_ACCOUNT)
    client.put_bucket_policy(Bucket=bucket, Policy=document)


def test_nobody_reaches_another_account(s3: S3) -> None:
    with refused("AccessDenied", status=403):
        s3.control("stranger").get_public_access_block(AccountId=ACCOUNT)
    with refused("AccessDenied", status=403):
        s3.control("stranger").delete_public_access_block(AccountId=ACCOUNT)
    s3.may("nobody", allow("s3:GetAccountPublicAccessBlock"))
    with refused("NoSuchPublicAccessBlockConfiguration", status=404):
        s3.control("nobody").get_public_access_block(AccountId=ACCOUNT)
    with refused("AccessDenied", status=403):
        s3.control("nobody").put_public_access_block(AccountId=ACCOUNT, PublicAccessBlockConfiguration=ALL)


def test_tags_by_arn(s3: S3) -> None:
    bucket = s3.bucket()
    control, named = s3.control(), {"AccountId": ACCOUNT, "ResourceArn": f"arn:aws:s3:::{bucket}"}
    assert control.list_tags_for_resource(**named)["Tags"] == []
    control.tag_resource(**named, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    control.tag_resource(**named, Tags=[{"Key": "b", "Value": "3"}])
    assert control.list_tags_for_resource(**named)["Tags"] == [
        {"Key": "a", "Value": "1"},
        {"Key": "b", "Value": "3"},
    ]
    control.untag_resource(**named, TagKeys=["a", "none"])
    assert s3.of().get_bucket_tagging(Bucket=bucket)["TagSet"] == [{"Key": "b", "Value": "3"}]
    s3.of().put_bucket_abac(Bucket=bucket, AbacStatus={"Status": "Enabled"})
    control.untag_resource(**named, TagKeys=["b"])
    assert control.list_tags_for_resource(**named)["Tags"] == []
    with refused("InvalidTag"):
        control.tag_resource(**named, Tags=[{"Key": "aws:a", "Value": ""}])
    control.tag_resource(**named, Tags=[{"Key": str(n), "Value": ""} for n in range(50)])
    with refused("BadRequest", "Bucket tags cannot be greater than 50"):
        control.tag_resource(**named, Tags=[{"Key": "one more", "Value": ""}])


def test_what_has_no_tags(s3: S3) -> None:
    control = s3.control()
    with refused("NoSuchBucket", status=404):
        control.list_tags_for_resource(AccountId=ACCOUNT, ResourceArn="arn:aws:s3:::no-such-bucket-here")
    with refused("NotImplemented", status=501):
        control.list_tags_for_resource(
            AccountId=ACCOUNT, ResourceArn=f"arn:aws:s3:us-east-1:{ACCOUNT}:storage-lens/x"
        )
    with refused("InvalidRequest"):
        control.list_tags_for_resource(AccountId=OTHER_ACCOUNT, ResourceArn=f"arn:aws:s3:::{s3.bucket()}")


def test_conditions_on_the_tags_of_a_request(s3: S3) -> None:
    bucket = s3.bucket()
    control, named = s3.control("nobody"), {"AccountId": ACCOUNT, "ResourceArn": f"arn:aws:s3:::{bucket}"}
    s3.may("nobody", allow("s3:TagResource", Condition={"StringEquals": {"aws:RequestTag/team": "red"}}))
    control.tag_resource(**named, Tags=[{"Key": "team", "Value": "red"}])
    with refused("AccessDenied", status=403):
        control.tag_resource(**named, Tags=[{"Key": "team", "Value": "blue"}])
    s3.may(
        "nobody", allow("s3:UntagResource", Condition={"ForAllValues:StringEquals": {"aws:TagKeys": "team"}})
    )
    with refused("AccessDenied", status=403):
        control.untag_resource(**named, TagKeys=["team", "other"])
    control.untag_resource(**named, TagKeys=["team"])


def test_a_bucket_may_be_called_as_the_path_begins(s3: S3) -> None:
    s3.of().create_bucket(Bucket="v20180820")
    s3.of().get_bucket_location(Bucket="v20180820")
    put(s3, "v20180820", statement("v20180820", "s3:GetBucketTagging", principal={"AWS": ACCOUNT}))
    assert unblocked(s3)
    s3.of().delete_bucket(Bucket="v20180820")
