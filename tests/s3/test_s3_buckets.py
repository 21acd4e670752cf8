"""Buckets: made, found, listed, removed."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest
from s3_support import ACCOUNT, OTHER_ACCOUNT, S3, allow, new_name, refused
from server_support import running_server

from casemate.gate.canonical_user import canonical_user
from casemate.services.s3.naming import may_name_bucket


def test_a_bucket_is_made_and_found(s3: S3) -> None:
    name = new_name()
    made = s3.of().create_bucket(Bucket=name)
    assert made["Location"] == f"/{name}"
    assert made["BucketArn"] == f"arn:aws:s3:::{name}"
    found = s3.of().head_bucket(Bucket=name)
    assert found["BucketRegion"] == "us-east-1"
    assert found["AccessPointAlias"] is False
    assert s3.of().get_bucket_location(Bucket=name).get("LocationConstraint") is None
    s3.of().delete_bucket(Bucket=name)
    with refused("404", status=404):
        s3.of().head_bucket(Bucket=name)
    with refused("NoSuchBucket", "The specified bucket does not exist", 404):
        s3.of().delete_bucket(Bucket=name)


def test_a_bucket_is_in_its_region(s3: S3) -> None:
    name = new_name()
    there = s3.of(region="eu-west-1")
    made = there.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    assert made["Location"] == f"http://{name}.s3.amazonaws.com/"
    assert there.get_bucket_location(Bucket=name)["LocationConstraint"] == "eu-west-1"
    assert there.head_bucket(Bucket=name)["BucketRegion"] == "eu-west-1"
    # us-east-1 makes buckets in all Regions, and knows where they are.
    assert s3.of().get_bucket_location(Bucket=name)["LocationConstraint"] == "eu-west-1"
    other = new_name()
    s3.of().create_bucket(Bucket=other, CreateBucketConfiguration={"LocationConstraint": "EU"})
    assert there.get_bucket_location(Bucket=other)["LocationConstraint"] == "eu-west-1"


def test_clients_find_a_bucket_of_another_region(s3: S3) -> None:
    name = s3.bucket("eu-central-1")
    seen: list[Any] = []
    client = s3.server.client("s3", region="us-west-2")
    client.meta.events.register(
        "needs-retry.s3.GetBucketLocation", lambda **found: seen.append(found["response"])
    )
    assert client.get_bucket_location(Bucket=name)["LocationConstraint"] == "eu-central-1"
    first = seen[0][1]
    assert first["Error"]["Code"] == "AuthorizationHeaderMalformed"
    assert first["Error"]["Message"] == (
        "The authorization header is malformed; the region 'us-west-2' is wrong; expecting 'eu-central-1'"
    )
    assert first["Error"]["Region"] == "eu-central-1"
    assert first["ResponseMetadata"]["HTTPHeaders"]["x-amz-bucket-region"] == "eu-central-1"
    assert s3.of(region="us-west-2").head_bucket(Bucket=name)["BucketRegion"] == "eu-central-1"


def test_the_region_of_a_new_bucket_is_the_requests(s3: S3) -> None:
    text = "The {} location constraint is incompatible for the region specific endpoint this request was sent to."
    with refused("IllegalLocationConstraintException", text.format("unspecified")):
        s3.of(region="eu-west-1").create_bucket(Bucket=new_name())
    with refused("IllegalLocationConstraintException", text.format("us-west-2")):
        s3.of(region="eu-west-1").create_bucket(
            Bucket=new_name(), CreateBucketConfiguration={"LocationConstraint": "us-west-2"}
        )
    with refused("InvalidLocationConstraint", "The specified location-constraint is not valid"):
        s3.of().create_bucket(
            Bucket=new_name(), CreateBucketConfiguration={"LocationConstraint": "us-east-1"}
        )


def test_a_name_is_taken_once(s3: S3) -> None:
    name, there = s3.bucket(), s3.bucket("eu-west-1")
    with refused("BucketAlreadyExists", status=409):
        s3.of("stranger").create_bucket(Bucket=name)
    with refused("BucketAlreadyOwnedByYou", status=409):
        s3.of(region="eu-west-1").create_bucket(
            Bucket=there, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
        )
    with refused("BucketAlreadyOwnedByYou", status=409):
        s3.of().create_bucket(Bucket=there)
    # A peculiarity of us-east-1.
    assert s3.of().create_bucket(Bucket=name)["Location"] == f"/{name}"


@pytest.mark.parametrize("name", ["-ab", "xn--abc", "sthree-abc", "abc-s3alias", "abc--ol-s3", "192.168.5.4"])
def test_a_name_that_no_bucket_may_have(s3: S3, name: str) -> None:
    with refused("InvalidBucketName", "The specified bucket is not valid."):
        s3.of().create_bucket(Bucket=name)


def test_names() -> None:
    for good in ("abc", "a.b-c.1", "0-0", "a" * 63):
        assert may_name_bucket(good), good
    for bad in (
        "ab",
        "a" * 64,
        "Abc",
        "a_b",
        "a..b",
        ".abc",
        "abc-",
        "abc\n",
        "amzn-s3-demo-x",
        "a.mrap",
        "x--x-s3",
    ):
        assert not may_name_bucket(bad), bad


def test_an_accounts_own_namespace(s3: S3) -> None:
    name = f"{new_name()[:12]}-{ACCOUNT}-us-east-1-an"
    s3.of().create_bucket(Bucket=name, BucketNamespace="account-regional")
    s3.of().head_bucket(Bucket=name)
    for other, more in (
        (f"x-{ACCOUNT}-us-east-1-an", {}),
        (f"x-{OTHER_ACCOUNT}-us-east-1-an", {"BucketNamespace": "account-regional"}),
        (f"x-{ACCOUNT}-eu-west-1-an", {"BucketNamespace": "account-regional"}),
        (new_name(), {"BucketNamespace": "account-regional"}),
    ):
        with refused("InvalidBucketName"):
            s3.of().create_bucket(Bucket=other, **more)


def test_buckets_are_listed_by_name_in_pages(tmp_path: Any) -> None:
    with running_server(tmp_path, "--dev") as server:
        client = server.client("s3")
        account = server.administrator.account
        names = ["alpha-1", "alpha-2", "beta-1", "beta-2"]
        for name in names:
            client.create_bucket(Bucket=name)
        there = server.client("s3", region="eu-west-1")
        there.create_bucket(Bucket="alpha-3", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        listed = client.list_buckets()
        assert [each["Name"] for each in listed["Buckets"]] == sorted([*names, "alpha-3"])
        assert listed["Owner"]["ID"] == canonical_user(account)
        assert "BucketRegion" not in listed["Buckets"][0]
        assert "ContinuationToken" not in listed
        found = client.list_buckets(Prefix="alpha-", MaxBuckets=2)
        assert [each["Name"] for each in found["Buckets"]] == ["alpha-1", "alpha-2"]
        assert found["Prefix"] == "alpha-"
        rest = client.list_buckets(Prefix="alpha-", ContinuationToken=found["ContinuationToken"])
        assert [(each["Name"], each["BucketRegion"]) for each in rest["Buckets"]] == [
            ("alpha-3", "eu-west-1")
        ]
        assert "ContinuationToken" not in rest
        local = there.list_buckets(BucketRegion="eu-west-1")
        assert [each["Name"] for each in local["Buckets"]] == ["alpha-3"]
        with refused("InvalidArgument"):
            client.list_buckets(BucketRegion="eu-west-1")
        with refused("InvalidArgument"):
            client.list_buckets(ContinuationToken="bm9uc2Vuc2U=")
        with refused("InvalidArgument"):
            client.list_buckets(MaxBuckets=10_001)


def test_what_is_configured_at_the_making(s3: S3) -> None:
    with refused(
        "InvalidBucketAclWithObjectOwnership",
        "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting",
    ):
        s3.of().create_bucket(Bucket=new_name(), ACL="public-read")
    with refused("InvalidTag", "Cannot provide multiple Tags with the same key"):
        s3.of().create_bucket(
            Bucket=new_name(),
            CreateBucketConfiguration={"Tags": [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]},
        )
    s3.of().create_bucket(Bucket=new_name(), ACL="private")


def test_each_permission_of_making_a_bucket(s3: S3) -> None:
    client = s3.of("nobody")

    def wants(action: str, **more: Any) -> None:
        name = new_name()
        with refused(
            "AccessDenied",
            f"User: arn:aws:iam::{ACCOUNT}:user/nobody is not authorized to perform: {action} on resource: "
            f'"arn:aws:s3:::{name}" because no identity-based policy allows the {action} action',
            403,
        ):
            client.create_bucket(Bucket=name, **more)

    s3.may("nobody", allow("s3:ListAllMyBuckets"))
    wants("s3:CreateBucket")
    s3.may("nobody", allow("s3:CreateBucket"))
    client.create_bucket(Bucket=new_name())
    wants("s3:PutBucketAcl", ACL="public-read")
    wants("s3:PutBucketOwnershipControls", ObjectOwnership="BucketOwnerEnforced")
    wants("s3:PutBucketObjectLockConfiguration", ObjectLockEnabledForBucket=True)
    wants("s3:TagResource", CreateBucketConfiguration={"Tags": [{"Key": "a", "Value": "1"}]})
    s3.may(
        "nobody", allow("s3:CreateBucket", Condition={"StringEquals": {"s3:LocationConstraint": "eu-west-1"}})
    )
    wants("s3:CreateBucket")
    client.create_bucket(Bucket=new_name(), CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})


def test_another_accounts_bucket_is_its_own(s3: S3) -> None:
    name = s3.bucket()
    for call in (s3.of("stranger").delete_bucket, s3.of("stranger").get_bucket_location):
        with refused("AccessDenied", "Access Denied", 403):
            call(Bucket=name)
    with refused("403", status=403):
        s3.of("stranger").head_bucket(Bucket=name)
    with refused("NoSuchBucket", status=404):
        s3.of("powerless").get_bucket_location(Bucket=new_name())


def test_the_expected_owner(s3: S3) -> None:
    name = s3.bucket()
    s3.of().get_bucket_location(Bucket=name, ExpectedBucketOwner=ACCOUNT)
    with refused("AccessDenied", "Access Denied", 403):
        s3.of().get_bucket_location(Bucket=name, ExpectedBucketOwner=OTHER_ACCOUNT)
    with refused("InvalidBucketOwnerAWSAccountID"):
        s3.of().delete_bucket(Bucket=name, ExpectedBucketOwner="me")


def test_a_row_that_was_altered_is_not_used(tmp_path: Any) -> None:
    with running_server(tmp_path, "--dev") as server:
        server.client("s3").create_bucket(Bucket="one")
        server.client("s3").create_bucket(Bucket="two")
        server.stop()
    with sqlite3.connect(tmp_path / "data" / "casemate.db") as database:
        assert database.execute("UPDATE s3_buckets SET region = 'eu-west-1' WHERE name = 'one'").rowcount == 1
    database.close()
    with running_server(tmp_path, "--dev") as server:
        server.client("s3").get_bucket_location(Bucket="two")
        with refused("InternalError", status=500):
            server.client("s3").get_bucket_location(Bucket="one")
        assert "bucket one is not used" in server.log


def test_there_are_only_so_many_buckets(tmp_path: Any) -> None:
    with running_server(tmp_path, "--dev") as server:
        quotas = server.client("service-quotas")
        assert quotas.get_service_quota(ServiceCode="s3", QuotaCode="L-DC2B2D3D")["Quota"]["Value"] == 10_000
