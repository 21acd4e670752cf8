"""Which bucket a Host header names."""

from __future__ import annotations

import pytest

from casemate.gate.s3_address import S3Address

ADDRESS = S3Address(("casemate.example.com", "10.0.0.1"))


@pytest.mark.parametrize(
    ("host", "bucket"),
    [
        ("b.s3.amazonaws.com", "b"),
        ("b.s3.eu-west-1.amazonaws.com:443", "b"),
        ("b.s3-eu-west-1.amazonaws.com", "b"),
        ("b.s3.dualstack.us-gov-west-1.amazonaws.com", "b"),
        ("b.s3-fips.us-east-1.amazonaws.com", "b"),
        ("b.s3.cn-north-1.amazonaws.com.cn", "b"),
        ("my.dotted.s3.bucket.s3.us-east-1.amazonaws.com", "my.dotted.s3.bucket"),
        ("b.s3.localhost:4566", "b"),
        ("b.s3.us-east-1.localhost:4566", "b"),
        ("B.localhost", "b"),
        ("a.b.casemate.example.com:8443", "a.b"),
        ("s3.amazonaws.com", ""),
        ("s3.eu-west-1.amazonaws.com", ""),
        ("s3.localhost:4566", ""),
        ("s3.us-east-1.localhost", ""),
        ("localhost:4566", ""),
        ("casemate.example.com", ""),
        ("example.com", ""),
        ("10.0.0.1", ""),
        ("127.0.0.1:4566", ""),
        ("[::1]:4566", ""),
        ("kms.us-east-1.amazonaws.com", ""),
        ("", ""),
    ],
)
def test_buckets_of_hosts(host: str, bucket: str) -> None:
    assert ADDRESS.bucket(host.encode()) == bucket.encode()


def test_a_path_keeps_its_bytes() -> None:
    raw = b"//a/../%2F%2f b"
    assert ADDRESS.path(raw, {b"host": b"b.localhost"}) == b"/b" + raw
    assert ADDRESS.path(raw, {b"host": b"localhost"}) == raw
