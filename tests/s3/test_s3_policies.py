"""Bucket policies: what is taken, what is public, what they decide."""

from __future__ import annotations

import json
from typing import Any

import pytest
from s3_support import ACCOUNT, OTHER_ACCOUNT, S3, allow, refused, user_arn

from casemate.services.s3.public import is_public

OPEN = {
    "BlockPublicAcls": False,
    "IgnorePublicAcls": False,
    "BlockPublicPolicy": False,
    "RestrictPublicBuckets": False,
}


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def statement(bucket: str, *actions: str, principal: Any = "*", **more: Any) -> dict[str, Any]:
    """One that allows, on the bucket, unless more says otherwise."""
    return {
        "Effect": "Allow",
        "Principal": principal,
        "Action": list(actions),
        "Resource": f"arn:aws:s3:::{bucket}",
        **more,
    }


def put(s3: S3, bucket: str, *statements: dict[str, Any]) -> None:
    s3.of().put_bucket_policy(Bucket=bucket, Policy=document(*statements))


def unblocked(s3: S3, **blocks: bool) -> str:
    """A bucket where nothing is blocked but what is said to be."""
    bucket = s3.bucket()
    s3.of().put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=OPEN | blocks)
    return bucket


def test_a_policy_is_put_shown_and_removed(s3: S3) -> None:
    bucket = s3.bucket()
    with refused("NoSuchBucketPolicy", "The bucket policy does not exist", 404):
        s3.of().get_bucket_policy(Bucket=bucket)
    with refused("NoSuchBucketPolicy", status=404):
        s3.of().get_bucket_policy_status(Bucket=bucket)
    text = document(statement(bucket, "s3:ListBucket", principal={"AWS": user_arn("nobody")}))
    s3.of().put_bucket_policy(Bucket=bucket, Policy=text)
    assert s3.of().get_bucket_policy(Bucket=bucket)["Policy"] == text
    assert s3.of().get_bucket_policy_status(Bucket=bucket)["PolicyStatus"] == {"IsPublic": False}
    s3.of().delete_bucket_policy(Bucket=bucket)
    s3.of().delete_bucket_policy(Bucket=bucket)
    with refused("NoSuchBucketPolicy", status=404):
        s3.of().get_bucket_policy(Bucket=bucket)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"Resource": "arn:aws:s3:::another-one"}, "Policy has invalid resource"),
        ({"Resource": "*"}, "Policy has invalid resource"),
        ({"Resource": "arn:aws:s3:::{}x/*"}, "Policy has invalid resource"),
        ({"Action": "s3:FlyBucket"}, "Policy has invalid action"),
        ({"Action": "kms:Encrypt"}, "Policy has invalid action"),
        ({"Action": "s3:GetObject"}, "Action does not apply to any resource(s) in statement"),
        (
            {"Resource": "arn:aws:s3:::{}/*", "Action": ["s3:GetObject", "s3:ListBucket"]},
            "Action does not apply to any resource(s) in statement",
        ),
        ({"Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:user/who"}}, "Invalid principal in policy"),
        ({"Principal": {"AWS": "x"}}, "Invalid principal in policy"),
        ({"Condition": {"StringEquals": {"s3:colour": "red"}}}, "Policy has an invalid condition key"),
        (
            {"Condition": {"StringEquals": {"s3:x-amz-acl": "private"}}},
            "Conditions do not apply to combination of actions and resources in statement",
        ),
        ({"Condition": {"StringSame": {"s3:prefix": "a"}}}, "Invalid Condition type : StringSame."),
        ({"Effect": "Maybe"}, "Invalid effect: Maybe"),
    ],
)
def test_what_is_no_policy_of_the_bucket(s3: S3, change: dict[str, Any], message: str) -> None:
    bucket = s3.bucket()
    changed = json.loads(json.dumps(change).replace("{}", bucket))
    with refused("MalformedPolicy", message):
        put(s3, bucket, statement(bucket, "s3:ListBucket", principal={"AWS": ACCOUNT}) | changed)
    with refused("NoSuchBucketPolicy", status=404):
        s3.of().get_bucket_policy(Bucket=bucket)


def test_statements_that_name_much_are_taken(s3: S3) -> None:
    bucket = s3.bucket()
    both = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    principal = {"AWS": [ACCOUNT, f"arn:aws:iam::{OTHER_ACCOUNT}:root"]}
    put(
        s3,
        bucket,
        statement(bucket, "s3:*", principal=principal, Resource=both),
        statement(bucket, "s3:GetObject", "s3:ListBucket", principal=principal, Resource=both),
        statement(bucket, "s3:Get*", principal=principal, Resource=f"arn:aws:s3:::{bucket}*"),
        statement(
            bucket,
            "s3:ListBucket",
            principal=principal,
            Condition={"StringLike": {"s3:prefix": "a/*", "aws:userid": "x"}},
        ),
        statement(
            bucket,
            "s3:GetObject",
            principal=principal,
            Resource=f"arn:aws:s3:::{bucket}/*",
            Condition={"StringEquals": {"s3:ExistingObjectTag/team": "red"}},
        ),
    )


def test_a_policys_size_is_limited_white_space_aside(s3: S3) -> None:
    bucket = s3.bucket()
    text = document(statement(bucket, "s3:ListBucket", principal={"AWS": ACCOUNT}, Sid="a" * 20_000))
    s3.of().put_bucket_policy(Bucket=bucket, Policy=text.replace(" ", " " * 50))
    with refused("PolicyTooLarge", "Policy exceeds the maximum allowed document size."):
        s3.of().put_bucket_policy(Bucket=bucket, Policy=text.replace("aaaa", "aaaaa"))


def test_who_is_made_again_is_somebody_else(s3: S3) -> None:
    iam, bucket = s3.of(service="iam"), s3.bucket()
    arn = iam.create_user(UserName="again")["User"]["Arn"]
    unique_id = iam.get_user(UserName="again")["User"]["UserId"]
    put(s3, bucket, statement(bucket, "s3:ListBucket", principal={"AWS": arn}))
    iam.delete_user(UserName="again")
    shown = json.loads(s3.of().get_bucket_policy(Bucket=bucket)["Policy"])
    assert shown["Statement"][0]["Principal"] == {"AWS": unique_id}
    iam.create_user(UserName="again")
    shown = json.loads(s3.of().get_bucket_policy(Bucket=bucket)["Policy"])
    assert shown["Statement"][0]["Principal"] == {"AWS": unique_id}
    iam.delete_user(UserName="again")


def test_a_policy_speaks_for_a_user_of_the_account(s3: S3) -> None:
    bucket = s3.bucket()
    s3.may("nobody", allow("s3:ListAllMyBuckets"))
    with refused("AccessDenied", status=403):
        s3.of("nobody").get_bucket_location(Bucket=bucket)
    put(s3, bucket, statement(bucket, "s3:GetBucketLocation", principal={"AWS": user_arn("nobody")}))
    s3.of("nobody").get_bucket_location(Bucket=bucket)
    # The account alone is not enough: it may give the permission on, and does not.
    put(s3, bucket, statement(bucket, "s3:GetBucketLocation", principal={"AWS": ACCOUNT}))
    with refused("AccessDenied", status=403):
        s3.of("nobody").get_bucket_location(Bucket=bucket)
    with refused(
        "AccessDenied",
        f"User: {user_arn('admin')} is not authorized to perform: s3:GetBucketLocation on resource: "
        f'"arn:aws:s3:::{bucket}" with an explicit deny in a resource-based policy',
        403,
    ):
        put(s3, bucket, statement(bucket, "s3:GetBucketLocation", Effect="Deny"))
        s3.of().get_bucket_location(Bucket=bucket)


def test_across_accounts_both_sides_allow(s3: S3) -> None:
    bucket = s3.bucket()
    with refused("AccessDenied", "Access Denied", 403):
        s3.of("stranger").get_bucket_location(Bucket=bucket)
    put(
        s3,
        bucket,
        statement(bucket, "s3:GetBucketLocation", "s3:GetBucketPolicy", principal={"AWS": OTHER_ACCOUNT}),
    )
    s3.of("stranger").get_bucket_location(Bucket=bucket)
    with refused("AccessDenied", "Access Denied", 403):
        s3.of("powerless").get_bucket_location(Bucket=bucket)
    # Policies are the owner's affair.
    with refused("MethodNotAllowed", status=405):
        s3.of("stranger").get_bucket_policy(Bucket=bucket)


def test_the_root_user_is_never_locked_out(s3: S3) -> None:
    bucket = s3.bucket()
    put(s3, bucket, statement(bucket, "s3:*", Effect="Deny"))
    with refused("AccessDenied", status=403):
        s3.of().delete_bucket_policy(Bucket=bucket)
    with refused("AccessDenied", status=403):
        s3.of("root").get_bucket_location(Bucket=bucket)
    text = s3.of("root").get_bucket_policy(Bucket=bucket)["Policy"]
    s3.of("root").put_bucket_policy(Bucket=bucket, Policy=text)
    s3.of("root").delete_bucket_policy(Bucket=bucket)
    s3.of().get_bucket_location(Bucket=bucket)


# --- what is public


def test_block_public_access(s3: S3) -> None:
    bucket = s3.bucket()
    everything = dict.fromkeys(OPEN, True)
    client = s3.of()
    found = client.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    assert found == everything
    public = statement(bucket, "s3:GetBucketLocation")
    with refused(
        "AccessDenied",
        f"User: {user_arn('admin')} is not authorized to perform: s3:PutBucketPolicy on resource: "
        f'"arn:aws:s3:::{bucket}" because public policies are prevented by the BlockPublicPolicy setting in S3 '
        "Block Public Access.",
        403,
    ):
        put(s3, bucket, public)
    client.put_public_access_block(
        Bucket=bucket, PublicAccessBlockConfiguration={"RestrictPublicBuckets": True}
    )
    found = client.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    assert found == OPEN | {"RestrictPublicBuckets": True}
    put(s3, bucket, public)
    assert client.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"] == {"IsPublic": True}
    s3.may("nobody", allow("s3:ListAllMyBuckets"))
    s3.of("nobody").get_bucket_location(Bucket=bucket)
    with refused("AccessDenied", "Access Denied", 403):
        s3.of("stranger").get_bucket_location(Bucket=bucket)
    client.delete_public_access_block(Bucket=bucket)
    s3.of("stranger").get_bucket_location(Bucket=bucket)
    with refused(
        "NoSuchPublicAccessBlockConfiguration", "The public access block configuration was not found", 404
    ):
        client.get_public_access_block(Bucket=bucket)


def test_restricting_a_public_bucket_shuts_out_those_whom_it_names_too(s3: S3) -> None:
    bucket = unblocked(s3)
    named = statement(bucket, "s3:GetBucketLocation", principal={"AWS": OTHER_ACCOUNT})
    put(s3, bucket, named, statement(bucket, "s3:GetBucketTagging"))
    s3.of("stranger").get_bucket_location(Bucket=bucket)
    s3.of().put_public_access_block(
        Bucket=bucket, PublicAccessBlockConfiguration={"RestrictPublicBuckets": True}
    )
    with refused("AccessDenied", "Access Denied", 403):
        s3.of("stranger").get_bucket_location(Bucket=bucket)
    put(s3, bucket, named)
    s3.of("stranger").get_bucket_location(Bucket=bucket)


@pytest.mark.parametrize(
    ("public", "more"),
    [
        (True, {}),
        (True, {"Principal": {"AWS": "*"}}),
        (True, {"Principal": {"AWS": [ACCOUNT, "*"]}}),
        (False, {"Principal": {"AWS": ACCOUNT}}),
        (False, {"Principal": {"Service": "logging.s3.amazonaws.com"}}),
        (False, {"Effect": "Deny"}),
        (False, {"Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-abcdefghij"}}}),
        (True, {"Condition": {"StringLike": {"aws:PrincipalOrgID": "o-*"}}}),
        (True, {"Condition": {"StringEqualsIfExists": {"aws:PrincipalOrgID": "o-abcdefghij"}}}),
        (True, {"Condition": {"ForAllValues:StringEquals": {"aws:PrincipalOrgID": "o-abcdefghij"}}}),
        (True, {"Condition": {"StringNotEquals": {"aws:PrincipalAccount": ACCOUNT}}}),
        (True, {"Condition": {"StringEquals": {"aws:PrincipalAccount": "${aws:username}"}}}),
        (True, {"Condition": {"StringEquals": {"aws:PrincipalAccount": [ACCOUNT, "*"]}}}),
        (False, {"Condition": {"IpAddress": {"aws:SourceIp": ["54.240.0.0/16", "10.0.0.0/8"]}}}),
        (True, {"Condition": {"IpAddress": {"aws:SourceIp": "0.0.0.0/1"}}}),
        (True, {"Condition": {"IpAddress": {"aws:SourceIp": ["54.240.0.0/16", "::/0"]}}}),
        (True, {"Condition": {"NotIpAddress": {"aws:SourceIp": "54.240.0.0/16"}}}),
        (False, {"Condition": {"StringEquals": {"aws:SourceVpc": "vpc-91237329"}}}),
        (True, {"Condition": {"StringLike": {"aws:SourceVpc": "vpc-*"}}}),
        (
            False,
            {
                "Condition": {
                    "ArnLike": {"s3:DataAccessPointArn": "arn:aws:s3:us-west-2:123456789012:accesspoint/*"}
                }
            },
        ),
        (True, {"Condition": {"Bool": {"aws:SecureTransport": "true"}}}),
    ],
)
def test_the_meaning_of_public(public: bool, more: dict[str, Any]) -> None:
    closed = statement("b", "s3:ListBucket", principal={"AWS": ACCOUNT})
    changed = statement("b", "s3:ListBucket") | more
    assert is_public(document(changed)) is public
    assert is_public(document(closed, changed)) is public
    assert is_public(json.dumps({"Version": "2012-10-17", "Statement": changed})) is public


# --- S3's condition keys


def test_a_policy_that_forces_tls(s3: S3) -> None:
    bucket = s3.bucket()
    put(
        s3,
        bucket,
        statement(
            bucket,
            "s3:*",
            Effect="Deny",
            Sid="RestrictToTLSRequestsOnly",
            Resource=[f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
            Condition={"Bool": {"aws:SecureTransport": "false"}},
        ),
    )
    with refused("AccessDenied", status=403):
        s3.of().get_bucket_location(Bucket=bucket)
    s3.of(tls=True).get_bucket_location(Bucket=bucket)


@pytest.mark.parametrize(
    ("condition", "allowed"),
    [
        ({"NumericLessThan": {"s3:TlsVersion": 1.2}}, True),
        ({"NumericLessThan": {"s3:TlsVersion": 1.4}}, False),
        ({"StringNotEquals": {"s3:signatureversion": "AWS4-HMAC-SHA256"}}, True),
        ({"StringEquals": {"s3:authType": "REST-HEADER"}}, False),
        ({"StringEquals": {"s3:authType": "REST-QUERY-STRING"}}, True),
        ({"StringEquals": {"s3:ResourceAccount": ACCOUNT}}, False),
        ({"NumericGreaterThan": {"s3:signatureAge": 0}}, True),
        ({"Null": {"s3:x-amz-content-sha256": "false"}}, False),
        ({"Null": {"aws:SourceVpce": "false"}}, True),
        ({"StringNotEquals": {"aws:SourceVpce": "vpce-1a2b3c4d"}}, False),
    ],
)
def test_conditions_on_the_request(s3: S3, condition: dict[str, Any], allowed: bool) -> None:
    bucket = s3.bucket()
    put(s3, bucket, statement(bucket, "s3:GetBucketLocation", Effect="Deny", Condition=condition))
    client = s3.of(tls=True)
    if allowed:
        client.get_bucket_location(Bucket=bucket)
    else:
        with refused("AccessDenied", status=403):
            client.get_bucket_location(Bucket=bucket)
