"""Ownership of objects, and access control lists, which are disabled."""

from __future__ import annotations

from s3_support import ACCOUNT, S3, allow, new_name, refused

from casemate.gate.canonical_user import canonical_user


def test_the_owner_owns_everything(s3: S3) -> None:
    bucket = s3.bucket()
    rule = [{"ObjectOwnership": "BucketOwnerEnforced"}]
    assert s3.of().get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]["Rules"] == rule
    s3.of().put_bucket_ownership_controls(Bucket=bucket, OwnershipControls={"Rules": rule})
    for other in ("ObjectWriter", "BucketOwnerPreferred"):
        with refused("NotImplemented", status=501):
            s3.of().put_bucket_ownership_controls(
                Bucket=bucket, OwnershipControls={"Rules": [{"ObjectOwnership": other}]}
            )
        with refused("NotImplemented", status=501):
            s3.of().create_bucket(Bucket=new_name(), ObjectOwnership=other)
    with refused("MalformedXML"):
        s3.of().put_bucket_ownership_controls(Bucket=bucket, OwnershipControls={"Rules": rule * 2})


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
    client.put_object(Bucket=bucket, Key="k", Body=b"1", ACL="bucket-owner-full-control")
    owner = canonical_user(ACCOUNT)
    found = client.get_object_acl(Bucket=bucket, Key="k")
    assert found["Owner"] == {"ID": owner}
    assert found["Grants"] == [
        {"Grantee": {"ID": owner, "Type": "CanonicalUser"}, "Permission": "FULL_CONTROL"}
    ]
    everybody = "uri=http://acs.amazonaws.com/groups/global/AllUsers"
    for acl in (
        {"ACL": "private"},
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
