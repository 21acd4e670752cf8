"""Access control lists, in buckets where they count: how they are put, and what they decide."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st
from s3_support import ACCOUNT, OTHER_ACCOUNT, REGION, S3, allow, owned, refused, user_arn
from test_s3_forms import post, presigned
from test_s3_object_access import fetched, objects
from test_s3_policies import OPEN, put, statement

from casemate.errors import AwsError
from casemate.gate.canonical_user import canonical_user
from casemate.services.s3 import acl_rules

OWNER, OTHER = canonical_user(ACCOUNT), canonical_user(OTHER_ACCOUNT)
ALL = "http://acs.amazonaws.com/groups/global/AllUsers"
AUTHENTICATED = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"
LOGS = "http://acs.amazonaws.com/groups/s3/LogDelivery"


def listed(s3: S3, ownership: str = "ObjectWriter", **blocks: bool) -> str:
    """A bucket where lists count, and nothing is blocked but what is said to be."""
    bucket = s3.bucket(ObjectOwnership=ownership)
    s3.of().put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=OPEN | blocks)
    return bucket


def grants(answer: dict[str, Any]) -> list[tuple[str, str]]:
    """Who has what, of an answer with a list."""
    return [
        (each["Grantee"].get("ID") or each["Grantee"]["URI"], each["Permission"]) for each in answer["Grants"]
    ]


def document(*named: tuple[str, str], owner: str = OWNER) -> dict[str, Any]:
    return {
        "Owner": {"ID": owner},
        "Grants": [
            {
                "Grantee": {"Type": "Group", "URI": who}
                if who.startswith("http")
                else {"Type": "CanonicalUser", "ID": who},
                "Permission": permission,
            }
            for who, permission in named
        ],
    }


def sent(s3: S3, path: str, body: bytes = b"1", method: str = "PUT", **headers: str) -> int:
    """An unsigned request's status."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(f"{s3.server.endpoint}/{path}", body, names, method=method)
    try:
        with urllib.request.urlopen(request) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def denied(call: Callable[..., object], *arguments: Any) -> None:
    """Expect a refusal, also of HEAD, which has no body that could name it."""
    with pytest.raises(ClientError) as caught:
        call(*arguments)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


# --- how lists are put


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("private", []),
        ("public-read", [(ALL, "READ")]),
        ("public-read-write", [(ALL, "READ"), (ALL, "WRITE")]),
        ("authenticated-read", [(AUTHENTICATED, "READ")]),
        ("aws-exec-read", [(acl_rules._EC2_ID, "READ")]),
        ("log-delivery-write", [(LOGS, "WRITE"), (LOGS, "READ_ACP")]),
        # Of a bucket's own list these are not taken notice of.
        ("bucket-owner-read", []),
        ("bucket-owner-full-control", []),
    ],
)
def test_canned_lists_of_buckets(s3: S3, name: str, more: list[tuple[str, str]]) -> None:
    bucket = listed(s3)
    s3.of().put_bucket_acl(Bucket=bucket, ACL=name)
    found = s3.of().get_bucket_acl(Bucket=bucket)
    assert found["Owner"] == {"ID": OWNER}
    assert grants(found) == [(OWNER, "FULL_CONTROL"), *more]


def test_lists_by_headers_and_by_documents(s3: S3) -> None:
    client, bucket = s3.of(), listed(s3)
    client.put_object(Bucket=bucket, Key="k", Body=b"1")
    client.put_bucket_acl(
        Bucket=bucket,
        GrantFullControl=f'id="{OWNER}"',
        GrantRead=f"uri={ALL}, id={OTHER}",
        GrantWriteACP=f"id={OTHER}",
    )
    wanted = [(OWNER, "FULL_CONTROL"), (ALL, "READ"), (OTHER, "READ"), (OTHER, "WRITE_ACP")]
    assert grants(client.get_bucket_acl(Bucket=bucket)) == wanted
    # What is not said is not granted, to the owner either.
    client.put_object_acl(Bucket=bucket, Key="k", GrantReadACP=f"id={OTHER}")
    assert grants(client.get_object_acl(Bucket=bucket, Key="k")) == [(OTHER, "READ_ACP")]
    policy = document((OWNER, "FULL_CONTROL"), (AUTHENTICATED, "READ"), (AUTHENTICATED, "READ"))
    for put_acl, get_acl, named in (
        (client.put_bucket_acl, client.get_bucket_acl, {"Bucket": bucket}),
        (client.put_object_acl, client.get_object_acl, {"Bucket": bucket, "Key": "k"}),
    ):
        put_acl(**named, AccessControlPolicy=policy)
        assert grants(get_acl(**named)) == [(OWNER, "FULL_CONTROL"), (AUTHENTICATED, "READ")]


def test_lists_that_are_refused(s3: S3) -> None:
    client, bucket = s3.of(), listed(s3)
    client.put_object(Bucket=bucket, Key="k", Body=b"1")
    many = [(canonical_user(str(number)), "READ") for number in range(101)]
    for call, named in (
        (client.put_bucket_acl, {"Bucket": bucket}),
        (client.put_object_acl, {"Bucket": bucket, "Key": "k"}),
    ):

        def refuses(code: str, text: str | None = None, status: int = 400, **asked: Any) -> None:
            with refused(code, text, status):
                call(**named, **asked)  # noqa: B023 - of this round

        refuses("MissingSecurityHeader", "Your request was missing a required header")
        refuses(
            "InvalidRequest",
            "Specifying both Canned ACLs and Header Grants is not allowed",
            ACL="private",
            GrantRead=f"id={OTHER}",
        )
        refuses(
            "UnexpectedContent",
            "This request does not support content",
            ACL="private",
            AccessControlPolicy=document((OWNER, "FULL_CONTROL")),
        )
        for text in ("", "id", f"id={OTHER} id={OTHER}", f"name={OTHER}", f'id="{OTHER}'):
            refuses("InvalidArgument", "Argument format not recognized", GrantRead=text)
        refuses("InvalidArgument", "Invalid id", GrantRead="id=111122223333")
        refuses(
            "InvalidArgument", "Invalid group uri", GrantRead="uri=http://acs.amazonaws.com/groups/s3/Nobody"
        )
        refuses("InvalidArgument", ACL="public")
        by_mail = {
            "Grantee": {"Type": "AmazonCustomerByEmail", "EmailAddress": "a@b.c"},
            "Permission": "READ",
        }
        for mail in (
            {"GrantRead": "emailAddress=a@b.c"},
            {"AccessControlPolicy": {"Owner": {"ID": OWNER}, "Grants": [by_mail]}},
        ):
            refuses("MethodNotAllowed", status=405, **mail)
        refuses("AccessDenied", status=403, AccessControlPolicy=document(owner=OTHER))
        for malformed in (
            {"Grants": document((OTHER, "READ"))["Grants"]},
            {"Owner": {"ID": OWNER}},
            document((OTHER, "READ_ALL")),
            document(*many),
            {"Owner": {"ID": OWNER}, "Grants": [{"Permission": "READ"}]},
            {"Owner": {"ID": OWNER}, "Grants": [{"Grantee": {"Type": "Group"}, "Permission": "READ"}]},
            {"Owner": {"ID": OWNER}, "Grants": [{"Grantee": {"Type": "Group", "URI": ALL}}]},
        ):
            refuses("MalformedACLError", AccessControlPolicy=malformed)
    client.put_bucket_acl(Bucket=bucket, AccessControlPolicy=document(*many[:100]))
    assert grants(client.get_object_acl(Bucket=bucket, Key="k")) == [(OWNER, "FULL_CONTROL")]


def test_public_lists_are_blocked(s3: S3) -> None:
    client, bucket = s3.of(), listed(s3, BlockPublicAcls=True)
    client.put_object(Bucket=bucket, Key="k", Body=b"1")
    for public in ({"ACL": "public-read"}, {"GrantRead": f"uri={AUTHENTICATED}"}):
        with refused(
            "AccessDenied",
            f"User: {user_arn('admin')} is not authorized to perform: s3:PutBucketAcl on resource: "
            f'"arn:aws:s3:::{bucket}" because public ACLs are prevented by the BlockPublicAcls setting in S3 Block '
            "Public Access.",
            403,
        ):
            client.put_bucket_acl(Bucket=bucket, **public)
        for call, more in (
            (client.put_object_acl, {}),
            (client.put_object, {"Body": b"2"}),
            (
                client.copy_object,
                {"CopySource": {"Bucket": bucket, "Key": "k"}, "MetadataDirective": "REPLACE"},
            ),
            (client.create_multipart_upload, {}),
        ):
            with refused("AccessDenied", status=403):
                call(Bucket=bucket, Key="k", **public, **more)
    client.put_object(Bucket=bucket, Key="k", Body=b"3", ACL="aws-exec-read")


@given(st.text(st.sampled_from('iduri=", \\t0aé') | st.characters(), max_size=80))
def test_any_header_is_read_or_refused(text: str) -> None:
    acl: acl_rules.Acl | None = ()
    code = ""
    try:
        acl = acl_rules.asked({"GrantRead": text}, ACCOUNT)
    except AwsError as refusal:
        code = refusal.code
    assert bool(acl) == (code == "")
    assert code in ("", "InvalidArgument", "MethodNotAllowed")
    assert all(grant.permission == "READ" for grant in acl or ())


# --- what a bucket's list decides


def test_a_bucket_list_lets_another_account(s3: S3) -> None:
    client, bucket = s3.of(), listed(s3)
    stranger, powerless = s3.of("stranger"), s3.of("powerless")

    def only(permission: str) -> None:
        named = ((OWNER, "FULL_CONTROL"), (OTHER, permission))
        client.put_bucket_acl(Bucket=bucket, AccessControlPolicy=document(*named))

    asked: dict[str, tuple[Callable[[Any], object], ...]] = {
        "READ": (
            lambda who: who.list_objects_v2(Bucket=bucket),
            lambda who: who.list_object_versions(Bucket=bucket),
            lambda who: who.list_multipart_uploads(Bucket=bucket),
            lambda who: who.head_bucket(Bucket=bucket),
        ),
        "READ_ACP": (lambda who: who.get_bucket_acl(Bucket=bucket),),
        "WRITE": (lambda who: who.put_object(Bucket=bucket, Key="k", Body=b"1"),),
        "WRITE_ACP": (lambda who: who.put_bucket_acl(Bucket=bucket, ACL="private"),),
    }
    for permission in (*asked, "FULL_CONTROL"):
        for needed, calls in asked.items():
            for call in calls:
                only(permission)
                if permission in (needed, "FULL_CONTROL"):
                    call(stranger)
                else:
                    denied(call, stranger)
                # It is the account's, whose users need its own say as well.
                only(permission)
                denied(call, powerless)
    only("FULL_CONTROL")
    with refused("AccessDenied", status=403):
        stranger.get_bucket_policy(Bucket=bucket)
    put(
        s3, bucket, statement(bucket, "s3:ListBucket", Effect="Deny", principal={"AWS": user_arn("stranger")})
    )
    with refused("AccessDenied", status=403):
        stranger.list_objects_v2(Bucket=bucket)


def test_who_may_write_may_not_touch_what_is_others(s3: S3) -> None:
    client, bucket, stranger = s3.of(), listed(s3), s3.of("stranger")
    client.put_bucket_acl(Bucket=bucket, GrantWrite=f"id={OTHER}")
    client.put_object(Bucket=bucket, Key="ours", Body=b"1")
    for body in (b"1", b"2"):
        stranger.put_object(Bucket=bucket, Key="theirs", Body=body, ACL="bucket-owner-read")
    with refused("AccessDenied", status=403):
        stranger.put_object(Bucket=bucket, Key="ours", Body=b"2")
    with refused("AccessDenied", status=403):
        stranger.delete_object(Bucket=bucket, Key="ours")
    with refused("AccessDenied", status=403):
        stranger.create_multipart_upload(Bucket=bucket, Key="ours")
    answer = stranger.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "ours"}, {"Key": "theirs"}]})
    assert [each["Key"] for each in answer["Deleted"]] == ["theirs"]
    assert [each["Code"] for each in answer["Errors"]] == ["AccessDenied"]
    upload = stranger.create_multipart_upload(Bucket=bucket, Key="new")["UploadId"]
    named = {"Bucket": bucket, "Key": "new", "UploadId": upload}
    part = stranger.upload_part(**named, PartNumber=1, Body=b"1")["ETag"]
    assert stranger.list_parts(**named)["Owner"] == {"ID": OTHER}
    with refused("AccessDenied", status=403):
        s3.of("powerless").list_parts(**named)
    stranger.complete_multipart_upload(**named, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part}]})
    assert client.list_objects(Bucket=bucket, Prefix="new")["Contents"][0]["Owner"] == {"ID": OTHER}
    upload = stranger.create_multipart_upload(Bucket=bucket, Key="new")["UploadId"]
    stranger.abort_multipart_upload(Bucket=bucket, Key="new", UploadId=upload)


def test_a_public_bucket(s3: S3) -> None:
    client, bucket = s3.of(), listed(s3)
    url = f"{s3.server.endpoint}/{bucket}"
    assert fetched(url)[0] == 403
    client.put_bucket_acl(Bucket=bucket, ACL="public-read-write")
    client.put_object(Bucket=bucket, Key="ours", Body=b"1")
    assert fetched(url)[0] == 200
    assert sent(s3, f"{bucket}/k") == 200
    # What nobody signed is nobody's: the bucket's owner may remove it, and not read it.
    assert sent(s3, f"{bucket}/k") == 200
    assert fetched(f"{url}/k") == (200, b"1")
    assert sent(s3, f"{bucket}/ours") == 403
    with refused("AccessDenied", status=403):
        client.get_object(Bucket=bucket, Key="k")
    assert sent(s3, f"{bucket}/mine", x_amz_acl="bucket-owner-full-control") == 200
    assert client.get_object(Bucket=bucket, Key="mine")["Body"].read() == b"1"
    assert grants(client.get_object_acl(Bucket=bucket, Key="mine")) == [
        (acl_rules._ANONYMOUS_ID, "FULL_CONTROL"),
        (OWNER, "FULL_CONTROL"),
    ]
    client.delete_object(Bucket=bucket, Key="k")
    # Users of the bucket's own account are everybody, too; those of others need their account's say.
    s3.may("nobody", allow("s3:GetBucketLocation"))
    s3.of("nobody").list_objects_v2(Bucket=bucket)
    s3.of("stranger").list_objects_v2(Bucket=bucket)
    with refused("AccessDenied", status=403):
        s3.of("powerless").list_objects_v2(Bucket=bucket)
    client.put_public_access_block(
        Bucket=bucket, PublicAccessBlockConfiguration=OPEN | {"IgnorePublicAcls": True}
    )
    assert fetched(url)[0] == 403
    assert sent(s3, f"{bucket}/k") == 403
    with refused("AccessDenied", status=403):
        s3.of("nobody").list_objects_v2(Bucket=bucket)
    assert len(grants(client.get_bucket_acl(Bucket=bucket))) == 3
    client.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=OPEN)
    client.put_bucket_acl(Bucket=bucket, ACL="authenticated-read")
    assert fetched(url)[0] == 403
    s3.of("stranger").list_objects_v2(Bucket=bucket)


# --- what an object's list decides


def test_an_objects_list_lets_others(s3: S3) -> None:
    client, bucket = s3.of(), listed(s3)
    url = f"{s3.server.endpoint}/{bucket}/k"
    client.put_object(Bucket=bucket, Key="k", Body=b"1", ACL="public-read")
    assert fetched(url) == (200, b"1")
    assert fetched(url + "?acl")[0] == 403
    client.put_object_acl(Bucket=bucket, Key="k", ACL="authenticated-read")
    assert fetched(url)[0] == 403
    stranger = s3.of("stranger")
    stranger.get_object(Bucket=bucket, Key="k")
    stranger.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=["ETag"])
    with refused("AccessDenied", status=403):
        s3.of("powerless").get_object(Bucket=bucket, Key="k")
    calls: tuple[tuple[str, Callable[[], object]], ...] = (
        ("READ", lambda: stranger.get_object(Bucket=bucket, Key="k")),
        ("READ_ACP", lambda: stranger.get_object_acl(Bucket=bucket, Key="k")),
        ("WRITE_ACP", lambda: stranger.put_object_acl(Bucket=bucket, Key="k", ACL="private")),
    )
    for permission, call in calls:
        for granted in ("READ", "READ_ACP", "WRITE_ACP", "FULL_CONTROL", "WRITE"):
            named = ((OWNER, "FULL_CONTROL"), (OTHER, granted))
            client.put_object_acl(Bucket=bucket, Key="k", AccessControlPolicy=document(*named))
            if granted in (permission, "FULL_CONTROL"):
                call()
            else:
                with refused("AccessDenied", status=403):
                    call()
    client.put_object_acl(Bucket=bucket, Key="k", ACL="public-read")
    client.put_public_access_block(
        Bucket=bucket, PublicAccessBlockConfiguration=OPEN | {"IgnorePublicAcls": True}
    )
    assert fetched(url)[0] == 403
    # Where lists are disabled they say nothing, and are not forgotten.
    client.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=OPEN)
    owned(s3, bucket, "BucketOwnerEnforced")
    assert fetched(url)[0] == 403
    assert grants(client.get_object_acl(Bucket=bucket, Key="k")) == [(OWNER, "FULL_CONTROL")]
    owned(s3, bucket, "BucketOwnerPreferred")
    assert fetched(url) == (200, b"1")


def test_each_version_has_its_list(s3: S3) -> None:
    client, bucket = s3.of(), listed(s3)
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    old = client.put_object(Bucket=bucket, Key="k", Body=b"1")["VersionId"]
    new = client.put_object(Bucket=bucket, Key="k", Body=b"2", ACL="public-read")["VersionId"]
    url = f"{s3.server.endpoint}/{bucket}/k"
    assert fetched(url) == (200, b"2")
    assert fetched(f"{url}?versionId={old}")[0] == 403
    client.put_object_acl(Bucket=bucket, Key="k", VersionId=old, ACL="public-read")
    client.put_object_acl(Bucket=bucket, Key="k", ACL="private")
    assert fetched(f"{url}?versionId={old}") == (200, b"1")
    assert fetched(url)[0] == 403
    assert fetched(f"{url}?versionId={new}")[0] == 403
    with refused("MethodNotAllowed", status=405):
        marker = client.delete_object(Bucket=bucket, Key="k")["VersionId"]
        client.put_object_acl(Bucket=bucket, Key="k", VersionId=marker, ACL="private")
    with refused("NoSuchKey", status=404):
        client.put_object_acl(Bucket=bucket, Key="k", ACL="private")
    with refused("NoSuchVersion", status=404):
        client.get_object_acl(Bucket=bucket, Key="k", VersionId="0" * 32)


def test_copies_uploads_and_forms_have_the_list_they_ask_for(s3: S3) -> None:
    client, bucket = s3.of(), listed(s3)
    client.put_object(Bucket=bucket, Key="k", Body=b"1", ACL="public-read")
    source = {"Bucket": bucket, "Key": "k"}
    client.copy_object(Bucket=bucket, Key="plain", CopySource=source)
    assert grants(client.get_object_acl(Bucket=bucket, Key="plain")) == [(OWNER, "FULL_CONTROL")]
    client.copy_object(Bucket=bucket, Key="copy", CopySource=source, ACL="authenticated-read")
    upload = client.create_multipart_upload(Bucket=bucket, Key="upload", ACL="authenticated-read")["UploadId"]
    named = {"Bucket": bucket, "Key": "upload", "UploadId": upload}
    part = {"PartNumber": 1, "ETag": client.upload_part(**named, PartNumber=1, Body=b"1")["ETag"]}
    client.complete_multipart_upload(**named, MultipartUpload={"Parts": [part]})
    url, fields = presigned(s3, bucket, "form", acl="authenticated-read")
    assert post(url, fields)[0] == 204
    for key in ("copy", "upload", "form"):
        found = grants(client.get_object_acl(Bucket=bucket, Key=key))
        assert found == [(OWNER, "FULL_CONTROL"), (AUTHENTICATED, "READ")]


# --- objects that are another account's


def foreign(s3: S3, bucket: str, key: str = "k", **asked: Any) -> Any:
    """Have a stranger, whom the bucket's policy lets, write an object; the stranger's client."""
    put(
        s3,
        bucket,
        objects(
            bucket, "s3:PutObject", "s3:GetObject", principal={"AWS": [OTHER_ACCOUNT, user_arn("nobody")]}
        ),
    )
    stranger = s3.of("stranger")
    stranger.put_object(Bucket=bucket, Key=key, Body=b"1", **asked)
    return stranger


def test_who_writes_owns(s3: S3) -> None:
    client, bucket = s3.of(), listed(s3)
    stranger = foreign(s3, bucket)
    (entry,) = client.list_objects_v2(Bucket=bucket, FetchOwner=True)["Contents"]
    assert entry["Owner"] == {"ID": OTHER}
    (version,) = client.list_object_versions(Bucket=bucket)["Versions"]
    assert version["Owner"] == {"ID": OTHER}
    assert stranger.get_object_acl(Bucket=bucket, Key="k")["Owner"] == {"ID": OTHER}
    # The owner's users may, as its policies say; the bucket's policy gives nobody anything, nor does its owner's.
    assert stranger.get_object(Bucket=bucket, Key="k")["Body"].read() == b"1"
    for who in ("admin", "root", "nobody", "powerless"):
        for name in ("get_object", "head_object", "get_object_acl"):
            denied(partial(getattr(s3.of(who), name), Bucket=bucket, Key="k"))
    with refused("AccessDenied", status=403):
        client.put_object_acl(Bucket=bucket, Key="k", ACL="bucket-owner-full-control")
    with refused("AccessDenied", status=403):
        client.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "k"})
    upload = client.create_multipart_upload(Bucket=bucket, Key="copy")["UploadId"]
    with refused("AccessDenied", status=403):
        client.upload_part_copy(
            Bucket=bucket,
            Key="copy",
            UploadId=upload,
            PartNumber=1,
            CopySource={"Bucket": bucket, "Key": "k"},
        )
    # It is in a bucket of another's, who may deny everybody, and remove it.
    deny = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{bucket}/*",
    }
    put(s3, bucket, deny)
    with refused("AccessDenied", status=403):
        stranger.get_object(Bucket=bucket, Key="k")
    client.delete_object(Bucket=bucket, Key="k")


def test_the_owner_lets_the_buckets_owner(s3: S3) -> None:
    client, bucket = s3.of(), listed(s3)
    stranger = foreign(s3, bucket, ACL="bucket-owner-read")
    assert client.get_object(Bucket=bucket, Key="k")["Body"].read() == b"1"
    s3.may("nobody", allow("s3:ListBucket"))
    with refused("AccessDenied", status=403):
        s3.of("nobody").get_object(Bucket=bucket, Key="k")
    with refused("AccessDenied", status=403):
        client.get_object_acl(Bucket=bucket, Key="k")
    stranger.put_object_acl(Bucket=bucket, Key="k", ACL="bucket-owner-full-control")
    assert grants(client.get_object_acl(Bucket=bucket, Key="k")) == [
        (OTHER, "FULL_CONTROL"),
        (OWNER, "FULL_CONTROL"),
    ]
    # Who may change the list does not change the owner by it.
    with refused("AccessDenied", status=403):
        client.put_object_acl(Bucket=bucket, Key="k", AccessControlPolicy=document((OWNER, "FULL_CONTROL")))
    client.put_object_acl(Bucket=bucket, Key="k", ACL="private")
    assert grants(stranger.get_object_acl(Bucket=bucket, Key="k")) == [(OTHER, "FULL_CONTROL")]


def test_the_buckets_owner_is_preferred(s3: S3) -> None:
    client, bucket = s3.of(), listed(s3, "BucketOwnerPreferred")
    stranger = foreign(s3, bucket, "given", ACL="bucket-owner-full-control")
    stranger.put_object(Bucket=bucket, Key="kept", Body=b"1")
    stranger.put_object(Bucket=bucket, Key="granted", Body=b"1", GrantFullControl=f"id={OWNER}")
    owners = {entry["Key"]: entry["Owner"]["ID"] for entry in client.list_objects(Bucket=bucket)["Contents"]}
    assert owners == {"given": OWNER, "kept": OTHER, "granted": OTHER}
    assert grants(client.get_object_acl(Bucket=bucket, Key="given")) == [(OWNER, "FULL_CONTROL")]
    with refused("AccessDenied", status=403):
        client.get_object(Bucket=bucket, Key="kept")
    # Where lists are disabled everything is the bucket's owner's, for as long as they are.
    owned(s3, bucket, "BucketOwnerEnforced")
    assert client.get_object(Bucket=bucket, Key="kept")["Body"].read() == b"1"
    owners = {entry["Key"]: entry["Owner"]["ID"] for entry in client.list_objects(Bucket=bucket)["Contents"]}
    assert set(owners.values()) == {OWNER}
    owned(s3, bucket, "ObjectWriter")
    with refused("AccessDenied", status=403):
        client.get_object(Bucket=bucket, Key="kept")


def test_policies_of_an_object_that_is_anothers_tell_its_buckets_account(s3: S3) -> None:
    bucket = listed(s3)
    stranger = foreign(s3, bucket)
    for key in ("aws:ResourceAccount", "s3:ResourceAccount"):
        s3.may("powerless", allow("s3:GetObject", Condition={"StringEquals": {key: ACCOUNT}}))
        assert s3.of("powerless").get_object(Bucket=bucket, Key="k")["Body"].read() == b"1"
    assert stranger.get_object(Bucket=bucket, Key="k")["ContentLength"] == 1


# --- policies about lists


def test_policies_see_the_lists_that_are_asked_for(s3: S3) -> None:
    bucket, stranger = listed(s3), s3.of("stranger")
    whom = {"AWS": OTHER_ACCOUNT}
    full = {"StringEquals": {"s3:x-amz-acl": "bucket-owner-full-control"}}
    put(s3, bucket, objects(bucket, "s3:PutObject", principal=whom, Condition=full))
    with refused("AccessDenied", status=403):
        stranger.put_object(Bucket=bucket, Key="k", Body=b"1")
    stranger.put_object(Bucket=bucket, Key="k", Body=b"1", ACL="bucket-owner-full-control")
    given = {"StringEquals": {"s3:x-amz-grant-full-control": f"id={OWNER}"}}
    put(s3, bucket, objects(bucket, "s3:PutObject", principal=whom, Condition=given))
    stranger.put_object(Bucket=bucket, Key="k", Body=b"1", GrantFullControl=f"id={OWNER}")
    with refused("AccessDenied", status=403):
        stranger.put_object(Bucket=bucket, Key="k", Body=b"1", GrantFullControl=f"id={OTHER}")
    public = {"StringEquals": {"s3:x-amz-acl": "public-read"}}
    put(
        s3,
        bucket,
        objects(bucket, "s3:PutObjectAcl", Effect="Deny", Condition=public),
        statement(bucket, "s3:PutBucketAcl", Effect="Deny", Condition=public),
    )
    with refused("AccessDenied", status=403):
        s3.of().put_bucket_acl(Bucket=bucket, ACL="public-read")
    s3.of().put_bucket_acl(Bucket=bucket, ACL="private")
    with refused("AccessDenied", status=403):
        s3.of().put_object(Bucket=bucket, Key="mine", Body=b"1", ACL="public-read")
    s3.of().put_object(Bucket=bucket, Key="mine", Body=b"1", ACL="authenticated-read")


def test_policies_name_accounts_by_their_canonical_ids(s3: S3) -> None:
    bucket = s3.bucket()
    s3.of().put_object(Bucket=bucket, Key="k", Body=b"1")
    put(s3, bucket, objects(bucket, "s3:GetObject", principal={"CanonicalUser": OTHER}))
    assert s3.of("stranger").get_object(Bucket=bucket, Key="k")["ContentLength"] == 1
    with refused("AccessDenied", status=403):
        s3.of("powerless").get_object(Bucket=bucket, Key="k")


def test_event_bridge_is_told_of_new_lists(s3: S3) -> None:
    bucket = listed(s3)
    s3.of().put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"EventBridgeConfiguration": {}}
    )
    queue = s3.of(service="sqs").create_queue(QueueName=bucket)["QueueUrl"]
    arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{bucket}"
    allowed = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [{**allowed, "Resource": arn}]})
    s3.of(service="sqs").set_queue_attributes(QueueUrl=queue, Attributes={"Policy": policy})
    events = s3.of(service="events")
    pattern = {
        "source": ["aws.s3"],
        "detail-type": ["Object ACL Updated"],
        "detail": {"bucket": {"name": [bucket]}},
    }
    events.put_rule(Name=bucket, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=bucket, Targets=[{"Id": "queue", "Arn": arn}])
    s3.of().put_object(Bucket=bucket, Key="k", Body=b"1")
    s3.of().put_object_acl(Bucket=bucket, Key="k", ACL="public-read")
    (message,) = s3.of(service="sqs").receive_message(QueueUrl=queue, WaitTimeSeconds=20)["Messages"]
    assert json.loads(message["Body"])["detail"]["object"]["key"] == "k"
