"""CORS: rules, preflights, and answers to other origins' pages."""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import pytest
from s3_support import S3, refused

RULE: dict[str, Any] = {
    "ID": "app",
    "AllowedOrigins": ["https://*.example.com"],
    "AllowedMethods": ["GET", "PUT"],
    "AllowedHeaders": ["x-amz-*", "Content-Type"],
    "ExposeHeaders": ["ETag", "x-amz-version-id"],
    "MaxAgeSeconds": 600,
}
VARY = "Origin, Access-Control-Request-Headers, Access-Control-Request-Method"


def put(s3: S3, bucket: str, *rules: dict[str, Any]) -> None:
    s3.of().put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": list(rules)})


def ask(s3: S3, method: str, path: str, headers: Mapping[str, str]) -> tuple[int, dict[str, str], str]:
    parts = urlsplit(s3.server.endpoint)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port)
    try:
        connection.request(method, path, headers=dict(headers))
        answer = connection.getresponse()
        found = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, found, answer.read().decode()
    finally:
        connection.close()


def preflight(
    s3: S3, path: str, origin: str = "https://www.example.com", method: str = "PUT", headers: str = ""
) -> tuple[int, dict[str, str], str]:
    asked = {"Origin": origin, "Access-Control-Request-Method": method}
    if headers:
        asked["Access-Control-Request-Headers"] = headers
    return ask(s3, "OPTIONS", path, asked)


def test_rules_are_put_shown_and_removed(s3: S3) -> None:
    bucket = s3.bucket()
    with refused("NoSuchCORSConfiguration", "The CORS configuration does not exist", 404):
        s3.of().get_bucket_cors(Bucket=bucket)
    put(s3, bucket, RULE)
    assert s3.of().get_bucket_cors(Bucket=bucket)["CORSRules"] == [RULE]
    s3.of().delete_bucket_cors(Bucket=bucket)
    with refused("NoSuchCORSConfiguration", status=404):
        s3.of().get_bucket_cors(Bucket=bucket)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"AllowedMethods": ["PATCH"]}, "InvalidRequest"),
        ({"AllowedOrigins": ["https://*.*"]}, "InvalidRequest"),
        ({"AllowedHeaders": ["*-*"]}, "InvalidRequest"),
        ({"ExposeHeaders": ["x-*"]}, "InvalidRequest"),
        ({"ExposeHeaders": ["a\nb"]}, "MalformedXML"),
        ({"AllowedOrigins": ["https://exämple.com"]}, "MalformedXML"),
    ],
)
def test_rules_that_cannot_be(s3: S3, change: dict[str, Any], code: str) -> None:
    bucket = s3.bucket()
    with refused(code):
        put(s3, bucket, RULE | change)
    with refused("MalformedXML"):
        put(s3, bucket, *[RULE] * 101)


def test_a_preflight_is_answered_by_the_buckets_rules(s3: S3) -> None:
    bucket = s3.bucket()
    status, _, text = preflight(s3, f"/{bucket}/a")
    assert status == 403
    assert "CORSResponse: CORS is not enabled for this bucket." in text
    assert "<ResourceType>OBJECT</ResourceType>" in text
    put(s3, bucket, RULE)
    status, headers, _ = preflight(s3, f"/{bucket}/a", headers="X-Amz-Date, content-type")
    assert status == 200
    assert headers["access-control-allow-origin"] == "https://www.example.com"
    assert headers["access-control-allow-credentials"] == "true"
    assert headers["access-control-allow-methods"] == "GET, PUT"
    assert headers["access-control-allow-headers"] == "x-amz-date, content-type"
    assert headers["access-control-expose-headers"] == "ETag, x-amz-version-id"
    assert headers["access-control-max-age"] == "600"
    assert headers["vary"] == VARY
    for other in (
        {"origin": "https://example.org"},
        {"method": "DELETE"},
        {"headers": "authorization"},
        {"origin": "http://www.example.com"},
    ):
        status, headers, text = preflight(s3, f"/{bucket}", **other)
        assert status == 403
        assert "access-control-allow-origin" not in headers
        assert "<Code>AccessForbidden</Code>" in text
        assert "<ResourceType>BUCKET</ResourceType>" in text
    # Whatever comes after a presigned URL's question mark changes nothing.
    assert (
        preflight(s3, f"/{bucket}/a?X-Amz-Credential=x%2F20260101%2Fus-east-1%2Fs3%2Faws4_request")[0] == 200
    )


def test_everybody(s3: S3) -> None:
    bucket = s3.bucket()
    put(s3, bucket, {"AllowedOrigins": ["*"], "AllowedMethods": ["GET"]})
    status, headers, _ = preflight(s3, f"/{bucket}/a", method="GET")
    assert status == 200
    assert headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in headers
    assert preflight(s3, f"/{bucket}/a", method="GET", headers="x-any")[0] == 403
    assert preflight(s3, f"/{bucket}/a", method="PATCH")[0] == 400
    assert ask(s3, "OPTIONS", f"/{bucket}/a", {"Access-Control-Request-Method": "GET"})[0] == 400


def test_a_bucket_in_the_hosts_name(s3: S3) -> None:
    bucket = s3.bucket()
    put(s3, bucket, RULE)
    asked = {
        "Origin": "https://a.example.com",
        "Access-Control-Request-Method": "GET",
        "Host": f"{bucket}.localhost",
    }
    assert ask(s3, "OPTIONS", "/key", asked)[0] == 200
    assert ask(s3, "OPTIONS", "/", asked)[0] == 200


def test_answers_have_the_rules_headers_refusals_too(s3: S3) -> None:
    bucket = s3.bucket()
    origin = {"Origin": "https://www.example.com"}
    assert "access-control-allow-origin" not in ask(s3, "GET", f"/{bucket}?location", origin)[1]
    put(s3, bucket, RULE)
    status, headers, _ = ask(s3, "GET", f"/{bucket}?location", origin)
    assert status == 403
    assert headers["access-control-allow-origin"] == "https://www.example.com"
    assert headers["access-control-expose-headers"] == "ETag, x-amz-version-id"
    assert headers["vary"] == VARY
    status, headers, _ = ask(s3, "GET", f"/{bucket}?location", {"Origin": "https://example.org"})
    assert "access-control-allow-origin" not in headers
    assert "access-control-allow-origin" not in ask(s3, "DELETE", f"/{bucket}?cors", origin)[1]


def test_other_services_answer_as_the_server_is_configured(s3: S3) -> None:
    status, headers, _ = preflight(s3, "/", method="POST")
    assert status == 200
    assert headers["access-control-allow-origin"] == "*"
    # Nor is a path that is no bucket's refused.
    assert preflight(s3, "/2015-03-31/functions", method="POST")[0] == 200
