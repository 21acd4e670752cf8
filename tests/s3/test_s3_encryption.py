"""Objects that are encrypted by KMS's keys, in two layers, by customers' own keys; and what that asks of KMS."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from typing import Any

import boto3
import botocore.handlers
import pytest
from botocore.config import Config as ClientConfig
from s3_support import ACCOUNT, OTHER_ACCOUNT, REGION, S3, access_key, allow, new_name, refused, user_arn
from server_support import casemate

LARGE = os.urandom(700_000)


@pytest.fixture(scope="module")
def bucket(s3: S3) -> str:
    return s3.bucket()


@pytest.fixture(scope="module")
def key(s3: S3) -> str:
    arn: str = s3.of(service="kms").create_key()["KeyMetadata"]["Arn"]
    return arn


def read(client: Any, bucket: str, name: str, **more: Any) -> bytes:
    content: bytes = client.get_object(Bucket=bucket, Key=name, **more)["Body"].read()
    return content


def kms_calls(s3: S3, bucket: str) -> list[dict[str, Any]]:
    """What the audit has of KMS's calls for a bucket."""
    shown = casemate("audit", "tail", "--json", "-n", "all", "--data", str(s3.server.data), env=s3.env)
    assert shown.returncode == 0, shown.stderr
    records = [json.loads(line) for line in shown.stdout.splitlines()]
    return [
        one
        for one in records
        if one["eventSource"] == "kms.amazonaws.com"
        and f":::{bucket}" in json.dumps(one["requestParameters"])
    ]


@pytest.mark.parametrize("content", [b"small", LARGE])
@pytest.mark.parametrize("algorithm", ["aws:kms", "aws:kms:dsse"])
def test_kms(s3: S3, bucket: str, key: str, algorithm: str, content: bytes) -> None:
    client, name = s3.of(), f"{algorithm} {len(content)}"
    put = client.put_object(
        Bucket=bucket, Key=name, Body=content, ServerSideEncryption=algorithm, SSEKMSKeyId=key
    )
    assert (put["ServerSideEncryption"], put["SSEKMSKeyId"]) == (algorithm, key)
    assert put["ETag"] != f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'
    got = client.get_object(Bucket=bucket, Key=name)
    assert got["Body"].read() == content
    assert (got["ServerSideEncryption"], got["SSEKMSKeyId"]) == (algorithm, key)
    assert "BucketKeyEnabled" not in got
    assert read(client, bucket, name, Range="bytes=3-") == content[3:]


@pytest.mark.parametrize("form", ["id", "arn", "alias", "alias arn"])
def test_a_key_by_all_its_names(s3: S3, bucket: str, key: str, form: str) -> None:
    alias = f"alias/{new_name()}"
    s3.of(service="kms").create_alias(AliasName=alias, TargetKeyId=key)
    named = {
        "id": key.rpartition("/")[2],
        "arn": key,
        "alias": alias,
        "alias arn": f"arn:aws:kms:{REGION}:{ACCOUNT}:{alias}",
    }[form]
    client = s3.of()
    put = client.put_object(
        Bucket=bucket, Key=form, Body=b"x", ServerSideEncryption="aws:kms", SSEKMSKeyId=named
    )
    assert put["SSEKMSKeyId"] == key
    assert read(client, bucket, form) == b"x"


def test_the_managed_key(s3: S3, bucket: str) -> None:
    client = s3.of()
    put = client.put_object(Bucket=bucket, Key="managed", Body=b"x", ServerSideEncryption="aws:kms")
    described = s3.of(service="kms").describe_key(KeyId="alias/aws/s3")["KeyMetadata"]
    assert (put["SSEKMSKeyId"], described["KeyManager"]) == (described["Arn"], "AWS")
    assert read(client, bucket, "managed") == b"x"


def test_what_kms_is_asked(s3: S3, key: str) -> None:
    client, bucket = s3.of(), s3.bucket()
    context = base64.b64encode(json.dumps({"team": "red"}).encode()).decode()
    for body in (b"x", LARGE):
        client.put_object(
            Bucket=bucket,
            Key="told",
            Body=body,
            ServerSideEncryption="aws:kms",
            SSEKMSKeyId=key,
            SSEKMSEncryptionContext=context,
        )
        assert read(client, bucket, "told") == body
        client.head_object(Bucket=bucket, Key="told")
    calls = kms_calls(s3, bucket)
    assert [call["eventName"] for call in calls] == ["GenerateDataKey", "Decrypt"] * 2
    for call in calls:
        assert call["requestParameters"]["encryptionContext"] == {
            "aws:s3:arn": f"arn:aws:s3:::{bucket}/told",
            "team": "red",
        }
        assert call["userIdentity"]["arn"] == user_arn("admin")
        assert call["userIdentity"]["invokedBy"] == "s3.amazonaws.com"


def test_a_default_of_the_bucket(s3: S3, key: str) -> None:
    client, bucket = s3.of(), s3.bucket()
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}}
    client.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})
    assert client.put_object(Bucket=bucket, Key="d", Body=b"x")["SSEKMSKeyId"] == key
    own = client.put_object(Bucket=bucket, Key="own", Body=b"x", ServerSideEncryption="AES256")
    assert own["ServerSideEncryption"] == "AES256"
    # Copied onto itself, an object is encrypted anew.
    copied = client.copy_object(
        Bucket=bucket, Key="own", CopySource=f"{bucket}/own", ServerSideEncryption="aws:kms", SSEKMSKeyId=key
    )
    assert copied["SSEKMSKeyId"] == key
    assert read(client, bucket, "own") == b"x"


def test_who_may_not_use_the_key(s3: S3, bucket: str, key: str) -> None:
    on_objects = allow("s3:PutObject", "s3:GetObject", resource=f"arn:aws:s3:::{bucket}/*")
    s3.may("nobody", on_objects)
    nobody, admin = s3.of("nobody"), s3.of()
    encrypted = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key}
    admin.put_object(Bucket=bucket, Key="guarded", Body=b"x", **encrypted)
    for body in (b"x", LARGE):
        with refused("AccessDenied", status=403):
            nobody.put_object(Bucket=bucket, Key="guarded", Body=body, **encrypted)
    with refused("AccessDenied", status=403):
        nobody.get_object(Bucket=bucket, Key="guarded")
    # It may be told of without the key.
    assert nobody.head_object(Bucket=bucket, Key="guarded")["SSEKMSKeyId"] == key
    via = {"StringEquals": {"kms:ViaService": f"s3.{REGION}.amazonaws.com"}}
    of_object = {"StringEquals": {"kms:EncryptionContext:aws:s3:arn": f"arn:aws:s3:::{bucket}/guarded"}}
    s3.may(
        "nobody",
        on_objects,
        allow("kms:Decrypt", resource=key, Condition=via),
        allow("kms:GenerateDataKey", resource=key, Condition=of_object),
    )
    assert read(nobody, bucket, "guarded") == b"x"
    nobody.put_object(Bucket=bucket, Key="guarded", Body=LARGE, **encrypted)
    assert read(nobody, bucket, "guarded") == LARGE
    with refused("AccessDenied", status=403):
        nobody.put_object(Bucket=bucket, Key="other", Body=b"x", **encrypted)


def test_a_key_of_another_account(s3: S3) -> None:
    theirs = s3.of("stranger", service="kms").create_key(
        Policy=json.dumps(
            {
                "Version": "2012-10-17",
                "Statement": [
                    {"Effect": "Allow", "Principal": {"AWS": account}, "Action": "kms:*", "Resource": "*"}
                    for account in (OTHER_ACCOUNT, ACCOUNT)
                ],
            }
        )
    )["KeyMetadata"]["Arn"]
    client, bucket = s3.of(), s3.bucket()
    put = client.put_object(
        Bucket=bucket, Key="k", Body=b"x", ServerSideEncryption="aws:kms", SSEKMSKeyId=theirs
    )
    assert put["SSEKMSKeyId"] == theirs
    assert read(client, bucket, "k") == b"x"


def test_a_key_that_cannot_be_used(s3: S3, bucket: str) -> None:
    client, kms = s3.of(), s3.of(service="kms")
    key = kms.create_key()["KeyMetadata"]["Arn"]
    encrypted: dict[str, Any] = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key}
    client.put_object(Bucket=bucket, Key="off", Body=b"x", **encrypted)
    kms.disable_key(KeyId=key)
    with refused("KMS.DisabledException"):
        client.get_object(Bucket=bucket, Key="off")
    with refused("KMS.DisabledException"):
        client.put_object(Bucket=bucket, Key="off", Body=b"x", **encrypted)
    with refused("KMS.NotFoundException"):
        client.put_object(
            Bucket=bucket, Key="off", Body=b"x", ServerSideEncryption="aws:kms", SSEKMSKeyId="alias/none"
        )
    kms.enable_key(KeyId=key)
    assert read(client, bucket, "off") == b"x"


def test_parameters_that_do_not_go_together(s3: S3, bucket: str, key: str) -> None:
    client = s3.of()
    for wrong in ({"SSEKMSKeyId": key}, {"ServerSideEncryption": "AES256", "SSEKMSKeyId": key}):
        with refused(
            "InvalidArgument",
            "Server Side Encryption with AWS KMS managed key requires HTTP header "
            "x-amz-server-side-encryption : aws:kms",
        ):
            client.put_object(Bucket=bucket, Key="p", Body=b"x", **wrong)
    with refused("InvalidEncryptionAlgorithmError"):
        client.put_object(Bucket=bucket, Key="p", Body=b"x", ServerSideEncryption="aws:fsx")
    with refused("InvalidArgument"):
        client.put_object(
            Bucket=bucket, Key="p", Body=b"x", ServerSideEncryption="aws:kms", SSEKMSEncryptionContext="bm8="
        )


@pytest.mark.parametrize("bucket_key", [False, True])
@pytest.mark.parametrize("content", [b"small", LARGE])
def test_another_key_for_what_is_there(s3: S3, key: str, content: bytes, bucket_key: bool) -> None:
    client, kms, bucket = s3.of(), s3.of(service="kms"), s3.bucket()
    put = client.put_object(Bucket=bucket, Key="k", Body=content, Metadata={"m": "1"})
    first = kms.create_key()["KeyMetadata"]["Arn"]
    for arn in (first, key):
        client.update_object_encryption(
            Bucket=bucket,
            Key="k",
            ObjectEncryption={"SSEKMS": {"KMSKeyArn": arn, "BucketKeyEnabled": bucket_key}},
        )
        got = client.get_object(Bucket=bucket, Key="k")
        assert got["Body"].read() == content
        assert (got["ServerSideEncryption"], got["SSEKMSKeyId"]) == ("aws:kms", arn)
        assert got.get("BucketKeyEnabled", False) == bucket_key
        assert (got["ETag"], got["Metadata"]) == (put["ETag"], {"m": "1"})
    # The key before it is not needed any more.
    kms.disable_key(KeyId=first)
    assert read(client, bucket, "k", Range="bytes=2-") == content[2:]
    s3.may("nobody", allow("s3:GetObject", resource=f"arn:aws:s3:::{bucket}/*"))
    with refused("AccessDenied", status=403):
        s3.of("nobody").get_object(Bucket=bucket, Key="k")


def test_keys_that_are_not_changed(s3: S3, bucket: str, key: str) -> None:
    client = s3.of()

    def update(name: str, arn: str = key, **more: Any) -> None:
        client.update_object_encryption(
            Bucket=more.get("Bucket", bucket), Key=name, ObjectEncryption={"SSEKMS": {"KMSKeyArn": arn}}
        )

    client.put_object(Bucket=bucket, Key="two", Body=b"x", ServerSideEncryption="aws:kms:dsse")
    with refused("InvalidRequest"):
        update("two")
    client.put_object(Bucket=bucket, Key="one", Body=b"x")
    with refused("AccessDenied", status=403):
        update("one", key.replace(ACCOUNT, OTHER_ACCOUNT))
    with refused("KMS.NotFoundException"):
        update("one", key[:-1] + ("0" if key[-1] != "0" else "1"))
    with refused("NoSuchKey", status=404):
        update("none")
    locked = s3.bucket(ObjectLockEnabledForBucket=True)
    client.put_object(Bucket=locked, Key="held", Body=b"x", ObjectLockLegalHoldStatus="ON")
    with refused("AccessDenied", status=403):
        update("held", Bucket=locked)
    s3.may("nobody", allow("s3:PutObject", "kms:*"))
    with refused("AccessDenied", status=403):
        s3.of("nobody").update_object_encryption(
            Bucket=bucket, Key="one", ObjectEncryption={"SSEKMS": {"KMSKeyArn": key}}
        )
    assert client.head_object(Bucket=bucket, Key="one")["ServerSideEncryption"] == "AES256"


@pytest.mark.parametrize("content", [b"small", LARGE])
def test_a_customers_key(s3: S3, content: bytes) -> None:
    bucket = _with_customers_keys(s3)
    client, secret = s3.of(tls=True), os.urandom(32)
    mine: dict[str, Any] = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": secret}
    put = client.put_object(Bucket=bucket, Key="c", Body=content, **mine)
    assert (
        put["SSECustomerKeyMD5"]
        == base64.b64encode(hashlib.md5(secret, usedforsecurity=False).digest()).decode()
    )
    assert "ServerSideEncryption" not in put
    assert read(client, bucket, "c", **mine) == content
    assert client.head_object(Bucket=bucket, Key="c", **mine)["SSECustomerAlgorithm"] == "AES256"
    with refused(
        "InvalidRequest",
        "The object was stored using a form of Server Side Encryption. The correct parameters must be provided to "
        "retrieve the object.",
    ):
        client.get_object(Bucket=bucket, Key="c")
    with refused("AccessDenied", status=403):
        client.get_object(
            Bucket=bucket, Key="c", SSECustomerAlgorithm="AES256", SSECustomerKey=os.urandom(32)
        )
    with refused("400", status=400):
        client.head_object(Bucket=bucket, Key="c")
    # From the customer's key to S3's.
    client.copy_object(
        Bucket=bucket,
        Key="copy",
        CopySource=f"{bucket}/c",
        CopySourceSSECustomerAlgorithm="AES256",
        CopySourceSSECustomerKey=secret,
    )
    assert read(client, bucket, "copy") == content
    with refused("InvalidRequest", "The encryption parameters are not applicable to this object."):
        client.get_object(Bucket=bucket, Key="copy", **mine)


def _with_customers_keys(s3: S3) -> str:
    """A bucket that takes them: new ones do not."""
    bucket = s3.bucket()
    rule = {
        "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"},
        "BlockedEncryptionTypes": {"EncryptionType": ["NONE"]},
    }
    s3.of().put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})
    return bucket


def test_a_customers_key_that_is_none(s3: S3) -> None:
    bucket, secret = _with_customers_keys(s3), os.urandom(32)
    subject = "Requests specifying Server Side Encryption with Customer provided keys must "
    md5 = base64.b64encode(hashlib.md5(secret, usedforsecurity=False).digest()).decode()
    encoded = base64.b64encode(secret).decode()
    plain = raw_client(s3, tls=False)
    with refused("InvalidRequest", subject + "be made over a secure connection."):
        plain.put_object(
            Bucket=bucket,
            Key="k",
            Body=b"x",
            SSECustomerAlgorithm="AES256",
            SSECustomerKey=encoded,
            SSECustomerKeyMD5=md5,
        )
    client = raw_client(s3, tls=True)
    for parameters, text in (
        (("", encoded, md5), subject + "provide a valid encryption algorithm."),
        (("AES256", "", md5), subject + "provide an appropriate secret key."),
        (("AES256", encoded, ""), subject + "provide the client calculated MD5 of the secret key."),
        (("AES256", encoded[:20], md5), "The secret key was invalid for the specified algorithm."),
        (
            ("AES256", encoded, base64.b64encode(b"0" * 16).decode()),
            "The calculated MD5 hash of the key did not match the hash that was provided.",
        ),
    ):
        names = ("SSECustomerAlgorithm", "SSECustomerKey", "SSECustomerKeyMD5")
        given = {name: value for name, value in zip(names, parameters, strict=True) if value}
        with refused("InvalidArgument", text):
            client.put_object(Bucket=bucket, Key="k", Body=b"x", **given)
    blocked = s3.bucket()
    with refused("AccessDenied", status=403):
        s3.of(tls=True).put_object(
            Bucket=blocked, Key="k", Body=b"x", SSECustomerAlgorithm="AES256", SSECustomerKey=secret
        )


def raw_client(s3: S3, *, tls: bool) -> Any:
    """A client that sends a customer's key as it is given, also over a connection that is not secure."""
    user = access_key("admin")
    client = boto3.client(
        "s3",
        aws_access_key_id=user.id,
        aws_secret_access_key=user.secret,
        region_name=REGION,
        endpoint_url=s3.server.tls_endpoint if tls else s3.server.endpoint,
        verify=str(s3.server.ca_bundle) if tls else None,
        config=ClientConfig(retries={"total_max_attempts": 1}),
    )
    for handler in ("sse_md5", "copy_source_sse_md5"):
        client.meta.events.unregister(
            "before-parameter-build.s3.PutObject", getattr(botocore.handlers, handler)
        )
    return client


def test_bucket_keys(s3: S3, key: str) -> None:
    client, bucket = s3.of(), s3.bucket()
    rule = {
        "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key},
        "BucketKeyEnabled": True,
    }
    client.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})
    many = 20
    for number in range(many):
        assert client.put_object(Bucket=bucket, Key=str(number), Body=str(number).encode())[
            "BucketKeyEnabled"
        ]
    for number in range(many):
        assert read(client, bucket, str(number)) == str(number).encode()
    calls = kms_calls(s3, bucket)
    assert len(calls) <= 2
    for call in calls:
        assert call["requestParameters"]["encryptionContext"] == {"aws:s3:arn": f"arn:aws:s3:::{bucket}"}
    # Another caller has another bucket key, which KMS gives only to who may.
    on_objects = allow("s3:PutObject", "s3:GetObject", resource=f"arn:aws:s3:::{bucket}/*")
    s3.may("nobody", on_objects)
    with refused("AccessDenied", status=403):
        s3.of("nobody").get_object(Bucket=bucket, Key="1")
    s3.may("nobody", on_objects, allow("kms:Decrypt", resource=key))
    assert read(s3.of("nobody"), bucket, "1") == b"1"
    # And so has a session of the same user, and after a change of IAM everybody asks again.
    before = len(kms_calls(s3, bucket))
    made = s3.of(service="sts").get_session_token()["Credentials"]
    session = boto3.client(
        "s3",
        aws_access_key_id=made["AccessKeyId"],
        aws_secret_access_key=made["SecretAccessKey"],
        aws_session_token=made["SessionToken"],
        region_name=REGION,
        endpoint_url=s3.server.endpoint,
        config=ClientConfig(s3={"addressing_style": "path"}),
    )
    for who in (client, session, client, session):
        assert read(who, bucket, "1") == b"1"
    assert len(kms_calls(s3, bucket)) == before + 2
    before = len(kms_calls(s3, bucket))
    client.put_object(
        Bucket=bucket,
        Key="without",
        Body=b"x",
        ServerSideEncryption="aws:kms",
        SSEKMSKeyId=key,
        BucketKeyEnabled=False,
    )
    assert kms_calls(s3, bucket)[before]["requestParameters"]["encryptionContext"] == {
        "aws:s3:arn": f"arn:aws:s3:::{bucket}/without"
    }


@pytest.mark.parametrize("bucket_key", [False, True])
def test_a_copy_from_another_region(s3: S3, bucket: str, bucket_key: bool) -> None:
    """What is copied is decrypted where it is, and encrypted where it comes to."""
    far = s3.of(region="eu-west-1")
    kms = s3.of(region="eu-west-1", service="kms")
    source, key = s3.bucket("eu-west-1"), kms.create_key()["KeyMetadata"]["Arn"]
    far.put_object(
        Bucket=source,
        Key="k",
        Body=LARGE,
        ServerSideEncryption="aws:kms",
        SSEKMSKeyId=key,
        BucketKeyEnabled=bucket_key,
    )
    client = s3.of()
    named = {"Bucket": source, "Key": "k"}
    copied = client.copy_object(Bucket=bucket, Key="k", CopySource=named, ServerSideEncryption="aws:kms")
    assert ":us-east-1:" in copied["SSEKMSKeyId"]
    assert read(client, bucket, "k") == LARGE
    upload = client.create_multipart_upload(Bucket=bucket, Key="parts")["UploadId"]
    of_upload = {"Bucket": bucket, "Key": "parts", "UploadId": upload}
    part = client.upload_part_copy(**of_upload, PartNumber=1, CopySource=named)["CopyPartResult"]
    client.complete_multipart_upload(
        **of_upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    )
    assert read(client, bucket, "parts") == LARGE
    kms.disable_key(KeyId=key)
    other = s3.of("root")
    with refused("KMS.DisabledException"):
        other.copy_object(Bucket=bucket, Key="l", CopySource=named)
