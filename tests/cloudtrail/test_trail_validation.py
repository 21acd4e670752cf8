"""Log file validation, by the AWS CLI's own ``aws cloudtrail validate-logs``."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cloudtrail_support import ACCOUNT, REGION, Trail, access_key
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from server_support import refused
from trails_support import content, eventually, keys_in, make_trail, trail_arn


@pytest.fixture(name="trail")
def _trail(moving: Trail) -> Trail:
    return moving


def validate(trail: Trail, name: str, since: datetime, until: datetime) -> Any:
    key = access_key("admin")
    return subprocess.run(
        [
            *(str(Path(sys.executable).with_name("aws")), "cloudtrail", "validate-logs", "--verbose"),
            *("--trail-arn", trail_arn(name), "--start-time", since.isoformat()),
            *("--end-time", until.isoformat()),
        ],
        env={
            **os.environ,
            "AWS_ACCESS_KEY_ID": key.id,
            "AWS_SECRET_ACCESS_KEY": key.secret,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_REGION": REGION,
            "AWS_ENDPOINT_URL": trail.server.endpoint,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def digests(trail: Trail, bucket: str) -> list[str]:
    return sorted(key for key in keys_in(trail, bucket) if "/CloudTrail-Digest/" in key)


def logs(trail: Trail, bucket: str) -> list[str]:
    return sorted(key for key in keys_in(trail, bucket) if "/CloudTrail/" in key)


def hours(trail: Trail, bucket: str, count: int) -> None:
    """Let that many digests be made, of an hour with a log file each."""
    for _ in range(count):
        before, there = len(logs(trail, bucket)), len(digests(trail, bucket))
        trail.of(service="kms").create_key()
        trail.advance("5m")
        eventually(lambda: logs(trail, bucket), partial(_more_than, before))
        trail.advance("1h")
        eventually(lambda: digests(trail, bucket), partial(_more_than, there))


def _more_than(count: int, found: list[str]) -> bool:
    return len(found) > count


def test_an_honest_trail_is_valid_and_a_dishonest_one_is_not(trail: Trail) -> None:
    s3 = trail.of(service="s3")
    name, bucket = make_trail(trail, EnableLogFileValidation=True)
    since = trail.of().get_trail_status(Name=name)["StartLoggingTime"] - timedelta(minutes=1)
    hours(trail, bucket, 3)
    made, written = digests(trail, bucket), logs(trail, bucket)
    until = trail.of().get_trail_status(Name=name)["LatestDigestDeliveryTime"] + timedelta(hours=1)

    honest = validate(trail, name, since, until)
    assert honest.returncode == 0, honest.stdout + honest.stderr
    assert f"{len(made)}/{len(made)} digest files valid" in honest.stdout
    assert "INVALID" not in honest.stdout + honest.stderr
    first, second, third = (content(trail, bucket, key) for key in made)
    assert "previousDigestSignature" in first
    assert first["previousDigestSignature"] is None
    assert second["previousDigestS3Object"] == made[0]
    head = s3.head_object(Bucket=bucket, Key=made[0])["Metadata"]
    assert second["previousDigestSignature"] == head["signature"]
    assert head["signature-algorithm"] == "SHA256withRSA"
    assert third["digestStartTime"] == second["digestEndTime"]
    in_digests = [file["s3Object"] for each in (first, second, third) for file in each["logFiles"]]
    assert in_digests == written[: len(in_digests)]
    assert f"{len(in_digests)}/{len(in_digests)} log files valid" in honest.stdout

    # One byte of a file, another file, and a digest.
    altered, gone = third["logFiles"][0]["s3Object"], first["logFiles"][0]["s3Object"]
    body = gzip.decompress(s3.get_object(Bucket=bucket, Key=altered)["Body"].read())
    s3.put_object(Bucket=bucket, Key=altered, Body=gzip.compress(body.replace(b"R", b"r", 1)))
    s3.delete_object(Bucket=bucket, Key=gone)
    s3.delete_object(Bucket=bucket, Key=made[1])
    found = validate(trail, name, since, until)
    assert found.returncode == 1
    assert f"s3://{bucket}/{altered}\tINVALID: hash value doesn't match" in found.stderr
    assert f"s3://{bucket}/{gone}\tINVALID: not found" in found.stderr
    assert f"s3://{bucket}/{made[1]}\tINVALID: not found" in found.stderr

    # A digest that somebody else has signed.
    from cryptography.hazmat.primitives.asymmetric import rsa

    forged: RSAPrivateKey = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    digest = s3.get_object(Bucket=bucket, Key=made[2])["Body"].read()
    signature = forged.sign(b"anything", PKCS1v15(), SHA256()).hex()
    s3.put_object(
        Bucket=bucket,
        Key=made[2],
        Body=digest,
        Metadata={"signature": signature, "signature-algorithm": "SHA256withRSA"},
    )
    found = validate(trail, name, since, until)
    assert f"s3://{bucket}/{made[2]}\tINVALID: signature verification failed" in found.stderr


def test_public_keys_are_those_of_a_time_and_a_region(trail: Trail) -> None:
    _, bucket = make_trail(trail, EnableLogFileValidation=True)
    hours(trail, bucket, 1)
    digest = content(trail, bucket, digests(trail, bucket)[0])
    end = datetime.fromisoformat(digest["digestEndTime"])
    found = trail.of().list_public_keys(StartTime=end, EndTime=end)["PublicKeyList"]
    assert digest["digestPublicKeyFingerprint"] in {key["Fingerprint"] for key in found}
    for key in found:
        assert key["ValidityStartTime"] <= end < key["ValidityEndTime"]
        assert key["Value"][:1] == b"\x30"
    assert trail.of(region="ap-south-1").list_public_keys()["PublicKeyList"] == []
    long_ago = datetime(2001, 1, 1, tzinfo=UTC)
    assert trail.of().list_public_keys(StartTime=long_ago, EndTime=long_ago)["PublicKeyList"] == []
    with refused("InvalidTimeRangeException", "The start time must be before the end time."):
        trail.of().list_public_keys(StartTime=end, EndTime=long_ago)


def test_a_chain_ends_with_logging_and_begins_anew(trail: Trail) -> None:
    name, bucket = make_trail(trail, EnableLogFileValidation=True)
    hours(trail, bucket, 1)
    trail.of().stop_logging(Name=name)
    trail.advance("65m")
    eventually(lambda: len(digests(trail, bucket)) == 2)
    trail.advance("3h")
    trail.of().start_logging(Name=name)
    hours(trail, bucket, 1)
    made = digests(trail, bucket)
    assert len(made) == 3
    assert content(trail, bucket, made[1])["previousDigestS3Object"] == made[0]
    assert content(trail, bucket, made[2])["previousDigestS3Object"] is None
    assert content(trail, bucket, made[0])["awsAccountId"] == ACCOUNT


def test_a_key_signs_for_90_days(trail: Trail) -> None:
    name, bucket = make_trail(trail, EnableLogFileValidation=True)
    start = trail.of().get_trail_status(Name=name)["StartLoggingTime"]
    hours(trail, bucket, 1)
    trail.advance("91d")
    hours(trail, bucket, 1)
    made = digests(trail, bucket)
    first, last = content(trail, bucket, made[0]), content(trail, bucket, made[-1])
    used = [each["digestPublicKeyFingerprint"] for each in (first, last)]
    assert used[0] != used[1]
    end = datetime.fromisoformat(last["digestEndTime"])
    found = trail.of().list_public_keys(StartTime=start, EndTime=end)["PublicKeyList"]
    listed = [key["Fingerprint"] for key in found]
    assert listed.index(used[0]) < listed.index(used[1])
