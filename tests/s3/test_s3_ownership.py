"""Ownership of objects, and access control lists, which are disabled."""

from __future__ import annotations

from s3_support import ACCOUNT, S3, new_name, refused

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
