"""How much less KMS is asked where buckets have keys."""

from __future__ import annotations

import json
import socket
from collections import Counter
from typing import Any
from urllib.parse import urlsplit

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from s3_support import REGION, S3, access_key
from server_support import casemate

MANY, FEW = 10_000, 100
_AT_ONCE = 100


def encrypted(s3: S3, key: str, *, bucket_key: bool) -> str:
    """A bucket whose objects are encrypted with that key."""
    bucket = s3.bucket()
    rule: dict[str, Any] = {
        "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key},
        "BucketKeyEnabled": bucket_key,
    }
    s3.of().put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})
    return bucket


def written(s3: S3, bucket: str, many: int) -> None:
    """Write so many small objects, a hundred at a time over one connection."""
    key = access_key("admin")
    signer = S3SigV4Auth(Credentials(key.id, key.secret), "s3", REGION)
    address = urlsplit(s3.server.endpoint)
    assert address.hostname is not None
    with socket.create_connection((address.hostname, address.port or 0), timeout=60) as connection:
        answers = connection.makefile("rb")
        for start in range(0, many, _AT_ONCE):
            sent = b""
            for number in range(start, start + _AT_ONCE):
                request = AWSRequest("PUT", f"{s3.server.endpoint}/{bucket}/{number}", data=b"x")
                signer.add_auth(request)
                lines = [f"PUT /{bucket}/{number} HTTP/1.1", f"Host: {address.netloc}", "Content-Length: 1"]
                lines += [f"{name}: {value}" for name, value in request.headers.items()]
                sent += "\r\n".join([*lines, "", "x"]).encode()
            connection.sendall(sent)
            for _ in range(_AT_ONCE):
                assert answers.readline() == b"HTTP/1.1 200 OK\r\n"
                length = 0
                while (line := answers.readline()) != b"\r\n":
                    name, _, value = line.partition(b":")
                    if name.lower() == b"content-length":
                        length = int(value)
                answers.read(length)


def test_ten_thousand_objects_under_a_bucket_key(s3: S3) -> None:
    key = s3.of(service="kms").create_key()["KeyMetadata"]["Arn"]
    many, few = encrypted(s3, key, bucket_key=True), encrypted(s3, key, bucket_key=False)
    written(s3, many, MANY)
    written(s3, few, FEW)
    shown = casemate("audit", "tail", "--json", "-n", "all", "--data", str(s3.server.data))
    asked: Counter[str] = Counter()
    for line in shown.stdout.splitlines():
        if '"kms.amazonaws.com"' in line and key in line:
            record = json.loads(line)
            context = (record["requestParameters"] or {}).get("encryptionContext", {})
            bucket = context.get("aws:s3:arn", "").removeprefix("arn:aws:s3:::").partition("/")[0]
            asked[bucket] += record["eventName"] == "GenerateDataKey"
    # Without it KMS is asked for each object; with it, for less than one in a hundred.
    assert asked[few] == FEW
    assert 0 < asked[many] <= MANY // 100
    assert len(s3.of().list_objects_v2(Bucket=many, StartAfter="9998")["Contents"]) == 1
