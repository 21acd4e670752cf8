"""Ownership of objects, and buckets whose access control lists are disabled."""

from __future__ import annotations

from s3_support import ACCOUNT, S3, allow, new_name, owned, refused

from casemate.gate.canonical_user import canonical_user


def test_ownership_is_put_told_and_removed(s3: S3) -> None:
    client, bucket = s3.of(), s3.bucket()

    def told() -> str:
        (rule,) = client.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]["Rules"]
        return str(rule["ObjectOwnership"])

    assert told() == "BucketOwnerEnforced"
    for ownership in ("ObjectWriter", "BucketOwnerPreferred", "BucketOwnerEnforced"):
        owned(s3, bucket, ownership)
        assert told() == ownership
    rule = {"ObjectOwnership": "BucketOwnerEnforced"}
    with refused("MalformedXML"):
        client.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls={"Rules": [rule, rule]})
    client.delete_bucket_ownership_controls(Bucket=bucket)
    with refused("OwnershipControlsNotFoundError", "The bucket ownership controls were not found", 404):
        client.get_bucket_ownership_controls(Bucket=bucket)
    # Then it is the writer's, and lists count.
    client.put_bucket_acl(Bucket=bucket, ACL="private")
    client.put_bucket_acl(Bucket=bucket, ACL="log-delivery-write")
    with refused(
        "InvalidBucketAclWithObjectOwnership",
        "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting",
    ):
        owned(s3, bucket, "BucketOwnerEnforced")
    client.put_bucket_acl(Bucket=bucket, ACL="private")
    owned(s3, bucket, "BucketOwnerEnforced")
    s3.may("nobody", allow("s3:*OwnershipControls"), allow("s3:PutBucketOwnershipControls", Effect="Deny"))
    with refused("AccessDenied", status=403):
        s3.of("nobody").delete_bucket_ownership_controls(Bucket=bucket)


def test_a_bucket_is_made_with_ownership_and_a_list(s3: S3) -> None:
    client = s3.of()
    for ownership in ("ObjectWriter", "BucketOwnerPreferred"):
        bucket = s3.bucket(ObjectOwnership=ownership, ACL="log-delivery-write")
        (rule,) = client.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]["Rules"]
        assert rule == {"ObjectOwnership": ownership}
        assert len(client.get_bucket_acl(Bucket=bucket)["Grants"]) == 3
    with refused(
        "InvalidBucketAclWithBlockPublicAccessError",
        "Bucket cannot have public ACLs set with BlockPublicAccess enabled",
    ):
        client.create_bucket(Bucket=new_name(), ObjectOwnership="ObjectWriter", ACL="public-read")
    with refused("InvalidBucketAclWithObjectOwnership"):
        client.create_bucket(Bucket=new_name(), ObjectOwnership="BucketOwnerEnforced", ACL="public-read")
    s3.may(
        "nobody",
        allow("s3:CreateBucket", "s3:PutBucketOwnershipControls", "s3:PutBucketAcl"),
        allow(
            "s3:CreateBucket",
            Effect="Deny",
            Condition={"StringNotEqualsIfExists": {"s3:x-amz-object-ownership": "BucketOwnerPreferred"}},
        ),
    )
    s3.of("nobody").create_bucket(Bucket=new_name(), ObjectOwnership="BucketOwnerPreferred")
    with refused("AccessDenied", status=403):
        s3.of("nobody").create_bucket(Bucket=new_name(), ObjectOwnership="ObjectWriter")


def test_there_are_no_acls_but_the_owners(s3: S3) -> None:
    bucket = s3.bucket()
    found = s3.of().get_bucket_acl(Bucket=bucket)
    owner = canonical_user(ACCOUNT)
    assert found["Owner"] == {"ID": owner}
    assert found["Grants"] == [
        {"Grantee": {"ID": owner, "Type": "CanonicalUser"}, "Permission": "FULL_CONTROL"}
    ]
    with refused("AccessControlListNotSupported", "The bucket does not allow ACLs"):
        s3.of().put_bucket_acl(Bucket=bucket, ACL="public-read")
    with refused("AccessControlListNotSupported"):
        s3.of().put_bucket_acl(Bucket=bucket, GrantRead="uri=http://acs.amazonaws.com/groups/global/AllUsers")


def test_objects_have_no_acls_but_the_owners(s3: S3) -> None:
    client, bucket = s3.of(), s3.bucket()
    owner = canonical_user(ACCOUNT)
    for same in (
        {"ACL": "bucket-owner-full-control"},
        {"ACL": "private"},
        {"GrantFullControl": f"id={owner}"},
    ):
        client.put_object(Bucket=bucket, Key="k", Body=b"1", **same)
    found = client.get_object_acl(Bucket=bucket, Key="k")
    assert found["Owner"] == {"ID": owner}
    assert found["Grants"] == [
        {"Grantee": {"ID": owner, "Type": "CanonicalUser"}, "Permission": "FULL_CONTROL"}
    ]
    everybody = "uri=http://acs.amazonaws.com/groups/global/AllUsers"
    for acl in (
        {"ACL": "public-read"},
        {"GrantRead": everybody},
        {"ACL": "bucket-owner-full-control", "GrantRead": everybody},
    ):
        with refused("AccessControlListNotSupported", "The bucket does not allow ACLs"):
            client.put_object(Bucket=bucket, Key="l", Body=b"1", **acl)
        with refused("AccessControlListNotSupported"):
            client.copy_object(Bucket=bucket, Key="l", CopySource={"Bucket": bucket, "Key": "k"}, **acl)
        with refused("AccessControlListNotSupported"):
            client.create_multipart_upload(Bucket=bucket, Key="l", **acl)
    with refused("AccessControlListNotSupported"):
        client.put_object_acl(Bucket=bucket, Key="k", ACL="bucket-owner-full-control")
    with refused("NoSuchKey", status=404):
        client.get_object_acl(Bucket=bucket, Key="none")
    s3.may("nobody", allow("s3:GetObject", "s3:ListBucket"))
    with refused("AccessDenied", status=403):
        s3.of("nobody").get_object_acl(Bucket=bucket, Key="k")
    s3.may("nobody", allow("s3:GetObjectAcl"))
    s3.of("nobody").get_object_acl(Bucket=bucket, Key="k")
