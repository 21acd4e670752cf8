"""Access points: further names of buckets, each with a policy of its own."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
from s3_support import ACCOUNT, OTHER_ACCOUNT, S3, access_key, allow, new_name, refused, user_arn
from test_s3_object_access import fetched, objects
from test_s3_objects import names_below_localhost
from test_s3_policies import OPEN, document, put, statement, unblocked


def point(s3: S3, bucket: str, **more: Any) -> tuple[str, str, str]:
    """A new access point's name, ARN and alias."""
    name = f"p{new_name()[2:20]}"
    made = s3.control().create_access_point(AccountId=ACCOUNT, Name=name, Bucket=bucket, **more)
    return name, made["AccessPointArn"], made["Alias"]


def delegated(bucket: str) -> list[dict[str, Any]]:
    """AWS's own statement by which a bucket leaves access to its owner's access points."""
    both = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    condition = {"StringEquals": {"s3:DataAccessPointAccount": ACCOUNT}}
    return [statement(bucket, "*", principal={"AWS": "*"}, Resource=both, Condition=condition)]


def put_policy(s3: S3, name: str, *statements: dict[str, Any]) -> None:
    s3.control().put_access_point_policy(AccountId=ACCOUNT, Name=name, Policy=document(*statements))


def on(arn: str, *actions: str, principal: Any, **more: Any) -> dict[str, Any]:
    return {
        "Effect": "Allow",
        "Principal": principal,
        "Action": list(actions),
        "Resource": f"{arn}/object/*",
        **more,
    }


@pytest.fixture(scope="module")
def bucket(s3: S3) -> str:
    name = s3.bucket()
    s3.of().put_object(Bucket=name, Key="a/1", Body=b"1")
    return name


def test_an_access_point_is_made_found_and_removed(s3: S3) -> None:
    control, bucket = s3.control(), s3.bucket()
    name, arn, alias = point(s3, bucket)
    assert arn == f"arn:aws:s3:us-east-1:{ACCOUNT}:accesspoint/{name}"
    assert alias.endswith("-s3alias")
    assert len(alias) <= 63
    found = control.get_access_point(AccountId=ACCOUNT, Name=name)
    assert found["Bucket"] == bucket
    assert found["Alias"] == alias
    assert found["NetworkOrigin"] == "Internet"
    assert found["BucketAccountId"] == ACCOUNT
    assert found["PublicAccessBlockConfiguration"] == dict.fromkeys(OPEN, True)
    other, *_ = point(s3, bucket)
    listed = control.list_access_points(AccountId=ACCOUNT, Bucket=bucket, MaxResults=1)
    rest = control.list_access_points(AccountId=ACCOUNT, Bucket=bucket, NextToken=listed["NextToken"])
    assert [each["Name"] for each in listed["AccessPointList"] + rest["AccessPointList"]] == sorted(
        [name, other]
    )
    assert "NextToken" not in rest
    with refused("AccessPointAlreadyOwnedByYou", status=409):
        control.create_access_point(AccountId=ACCOUNT, Name=name, Bucket=bucket)
    with refused("BucketHasAccessPointsAttached", status=409):
        s3.of().delete_bucket(Bucket=bucket)
    for each in (name, other):
        control.delete_access_point(AccountId=ACCOUNT, Name=each)
    with refused("NoSuchAccessPoint", "The specified accesspoint does not exist", 404):
        control.get_access_point(AccountId=ACCOUNT, Name=name)
    with refused("NoSuchAccessPoint", status=404):
        s3.of().get_object(Bucket=alias, Key="a")
    s3.of().delete_bucket(Bucket=bucket)


def test_access_points_that_cannot_be(s3: S3, bucket: str) -> None:
    control = s3.control()
    for name in ("-ab", "Abc", "a_b", "abc-s3alias", "xn--a", "a" * 51):
        with refused("InvalidRequest"):
            control.create_access_point(AccountId=ACCOUNT, Name=name, Bucket=bucket)
    with refused("NoSuchBucket", status=404):
        control.create_access_point(AccountId=ACCOUNT, Name="abc", Bucket=new_name())
    with refused("AccessDenied", status=403):
        s3.control("stranger").create_access_point(AccountId=OTHER_ACCOUNT, Name="abc", Bucket=bucket)
    with refused("AccessDenied", status=403):
        s3.control("stranger").create_access_point(AccountId=ACCOUNT, Name="abc", Bucket=bucket)


def test_objects_by_way_of_an_access_point(s3: S3) -> None:
    client, bucket = s3.of(), s3.bucket()
    _, arn, alias = point(s3, bucket)
    client.put_object(Bucket=alias, Key="k", Body=b"1")
    assert client.get_object(Bucket=bucket, Key="k")["Body"].read() == b"1"
    assert [each["Key"] for each in client.list_objects_v2(Bucket=alias)["Contents"]] == ["k"]
    assert client.head_bucket(Bucket=alias)["AccessPointAlias"] is True
    assert client.head_bucket(Bucket=bucket)["AccessPointAlias"] is False
    client.copy_object(Bucket=alias, Key="l", CopySource={"Bucket": alias, "Key": "k"})
    assert client.get_object(Bucket=bucket, Key="l")["Body"].read() == b"1"
    with names_below_localhost():
        local = s3.server.endpoint.replace("127.0.0.1", "localhost")
        key = access_key("admin")
        by_arn = boto3.client(
            "s3",
            aws_access_key_id=key.id,
            aws_secret_access_key=key.secret,
            region_name="us-east-1",
            endpoint_url=local,
        )
        assert by_arn.get_object(Bucket=arn, Key="k")["Body"].read() == b"1"
        by_arn.put_object(Bucket=arn, Key="m", Body=b"3")
    assert client.get_object(Bucket=bucket, Key="m")["Body"].read() == b"3"
    deleted = client.delete_objects(Bucket=alias, Delete={"Objects": [{"Key": "k"}, {"Key": "l"}]})
    assert len(deleted["Deleted"]) == 2
    with refused("MethodNotAllowed", status=405):
        client.put_bucket_versioning(Bucket=alias, VersioningConfiguration={"Status": "Enabled"})
    with refused("MethodNotAllowed", status=405):
        client.delete_bucket(Bucket=alias)


def test_both_the_bucket_and_the_access_point_must_allow(s3: S3) -> None:
    bucket = s3.bucket()
    s3.of().put_object(Bucket=bucket, Key="a/1", Body=b"1")
    s3.of().put_object(Bucket=bucket, Key="b/1", Body=b"1")
    name, arn, alias = point(s3, bucket)
    s3.may("nobody", allow("s3:ListAllMyBuckets"))
    client = s3.of("nobody")
    with refused("AccessDenied", status=403):
        client.get_object(Bucket=alias, Key="a/1")
    put(s3, bucket, *delegated(bucket))
    with refused("AccessDenied", status=403):
        client.get_object(Bucket=alias, Key="a/1")
    put_policy(
        s3, name, on(arn, "s3:GetObject", principal={"AWS": user_arn("nobody")}, Resource=f"{arn}/object/a/*")
    )
    assert client.get_object(Bucket=alias, Key="a/1")["Body"].read() == b"1"
    with refused("AccessDenied", status=403):
        client.get_object(Bucket=alias, Key="b/1")
    # The bucket itself leaves nothing to whoever does not come by an access point.
    with refused("AccessDenied", status=403):
        client.get_object(Bucket=bucket, Key="a/1")
    s3.of().delete_bucket_policy(Bucket=bucket)
    with refused("AccessDenied", status=403):
        client.get_object(Bucket=alias, Key="a/1")


def test_an_access_points_denial_binds_everybody(s3: S3) -> None:
    client, bucket = s3.of(), s3.bucket()
    name, arn, alias = point(s3, bucket)
    client.put_object(Bucket=alias, Key="k", Body=b"1")
    put_policy(s3, name, on(arn, "s3:DeleteObject", "s3:GetObject", principal="*", Effect="Deny"))
    for act in (client.get_object, client.delete_object):
        with refused("AccessDenied", status=403):
            act(Bucket=alias, Key="k")
    deleted = client.delete_objects(Bucket=alias, Delete={"Objects": [{"Key": "k"}]})
    assert [each["Code"] for each in deleted["Errors"]] == ["AccessDenied"]
    assert client.get_object(Bucket=bucket, Key="k")["Body"].read() == b"1"


def test_across_accounts(s3: S3) -> None:
    bucket = s3.bucket()
    s3.of().put_object(Bucket=bucket, Key="k", Body=b"1")
    name, arn, alias = point(s3, bucket)
    put(s3, bucket, *delegated(bucket))
    with refused("AccessDenied", status=403):
        s3.of("stranger").get_object(Bucket=alias, Key="k")
    put_policy(s3, name, on(arn, "s3:GetObject", principal={"AWS": OTHER_ACCOUNT}))
    assert s3.of("stranger").get_object(Bucket=alias, Key="k")["Body"].read() == b"1"
    with refused("AccessDenied", status=403):
        s3.of("powerless").get_object(Bucket=alias, Key="k")


def test_access_only_by_one_access_point(s3: S3) -> None:
    client, bucket = s3.of(), s3.bucket()
    client.put_object(Bucket=bucket, Key="k", Body=b"1")
    _, arn, alias = point(s3, bucket)
    _, _, other = point(s3, bucket)
    condition = {"StringNotEquals": {"s3:DataAccessPointArn": arn}}
    put(s3, bucket, objects(bucket, "s3:GetObject", Effect="Deny", Condition=condition))
    client.get_object(Bucket=alias, Key="k")
    for name in (bucket, other):
        with refused("AccessDenied", status=403):
            client.get_object(Bucket=name, Key="k")


def test_policies_of_access_points(s3: S3, bucket: str) -> None:
    control = s3.control()
    name, arn, _ = point(s3, bucket)
    named = {"AccountId": ACCOUNT, "Name": name}
    with refused("NoSuchAccessPointPolicy", "The specified accesspoint policy does not exist", 404):
        control.get_access_point_policy(**named)
    good = on(arn, "s3:GetObject", principal={"AWS": ACCOUNT})
    put_policy(s3, name, good)
    assert json.loads(control.get_access_point_policy(**named)["Policy"])["Statement"] == [good]
    assert control.get_access_point_policy_status(**named)["PolicyStatus"] == {"IsPublic": False}
    for change, message in (
        ({"Resource": f"arn:aws:s3:::{bucket}/*"}, "Policy has invalid resource"),
        ({"Resource": f"{arn}/k"}, "Policy has invalid resource"),
        ({"Resource": arn}, "Action does not apply to any resource(s) in statement"),
        ({"Action": "s3:DeleteBucket"}, "Action does not apply to any resource(s) in statement"),
    ):
        with refused("MalformedPolicy", message):
            put_policy(s3, name, good | change)
    with refused("AccessDenied", status=403):
        put_policy(s3, name, on(arn, "s3:GetObject", principal="*"))
    control.delete_access_point_policy(**named)
    with refused("NoSuchAccessPointPolicy", status=404):
        control.get_access_point_policy_status(**named)


def test_the_public_by_way_of_an_access_point(s3: S3) -> None:
    bucket = unblocked(s3)
    s3.of().put_object(Bucket=bucket, Key="k", Body=b"1")
    put(s3, bucket, *delegated(bucket))
    name, arn, alias = point(s3, bucket, PublicAccessBlockConfiguration=OPEN)
    url = f"{s3.server.endpoint}/{alias}/k"
    assert fetched(url)[0] == 403
    put_policy(s3, name, on(arn, "s3:GetObject", principal="*"))
    assert s3.control().get_access_point_policy_status(AccountId=ACCOUNT, Name=name)["PolicyStatus"][
        "IsPublic"
    ]
    assert fetched(url) == (200, b"1")
    # What the bucket blocks, it blocks for its access points too.
    s3.of().put_public_access_block(
        Bucket=bucket, PublicAccessBlockConfiguration=OPEN | {"RestrictPublicBuckets": True}
    )
    assert fetched(url)[0] == 403


def test_a_bucket_does_not_come_between_an_access_point_and_its_name(s3: S3, bucket: str) -> None:
    name, _, _ = point(s3, bucket)
    between = f"{name}-{ACCOUNT}"
    s3.of("stranger").create_bucket(Bucket=between)
    with refused("AccessDenied", status=403):
        s3.of("stranger").put_object(Bucket=between, Key="k", Body=b"1")
    s3.of().put_object(Bucket=between, Key="k", Body=b"2")
    assert s3.of().get_object(Bucket=bucket, Key="k")["Body"].read() == b"2"


def test_access_points_of_others_do_not_hold_a_bucket(s3: S3) -> None:
    client, bucket = s3.of(), s3.bucket()
    name, put_object = new_name()[:40], {"Key": "k", "Body": b"1"}
    control = s3.control("stranger")
    made = control.create_access_point(
        AccountId=OTHER_ACCOUNT, Name=name, Bucket=bucket, BucketAccountId=ACCOUNT
    )
    client.delete_bucket(Bucket=bucket)
    assert control.get_access_point(AccountId=OTHER_ACCOUNT, Name=name)["BucketAccountId"] == ACCOUNT
    with refused("NoSuchBucket", status=404):
        s3.of("stranger").put_object(Bucket=made["Alias"], **put_object)
    # It does not lead to another account's bucket of that name, and to a new one of the same account's again.
    s3.of("stranger").create_bucket(Bucket=bucket)
    with refused("NoSuchBucket", status=404):
        s3.of("stranger").put_object(Bucket=made["Alias"], **put_object)
    s3.of("stranger").delete_bucket(Bucket=bucket)
    client.create_bucket(Bucket=bucket)
    put(s3, bucket, objects(bucket, "s3:PutObject", principal={"AWS": OTHER_ACCOUNT}))
    s3.of("stranger").put_object(Bucket=made["Alias"], **put_object)
    client.delete_object(Bucket=bucket, Key="k")
    control.delete_access_point(AccountId=OTHER_ACCOUNT, Name=name)
