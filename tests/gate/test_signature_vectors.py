"""Signatures that AWS has published: its SigV4 test suite, and the worked examples of the S3 and IAM
manuals."""

from __future__ import annotations

from calendar import timegm
from time import strptime

import pytest
from signature_support import KEY_ID, SECRET, SUITE_KEY_ID, Request, check

from casemate.errors import AwsError

SUITE_SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
FORM = b"application/x-www-form-urlencoded"

# name: method, path, query, further headers, body, signature
SUITE: dict[str, tuple[str, bytes, bytes, dict[bytes, bytes], bytes, str]] = {
    "get-vanilla": (
        "GET",
        b"/",
        b"",
        {},
        b"",
        "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
    ),
    "get-vanilla-empty-query-key": (
        "GET",
        b"/",
        b"Param1=value1",
        {},
        b"",
        "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb",
    ),
    "get-vanilla-query-order-key-case": (
        "GET",
        b"/",
        b"Param2=value2&Param1=value1",
        {},
        b"",
        "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
    ),
    "get-vanilla-query-order-value": (
        "GET",
        b"/",
        b"Param1=value2&Param1=value1",
        {},
        b"",
        "5772eed61e12b33fae39ee5e7012498b51d56abc0abb7c60486157bd471c4694",
    ),
    "get-vanilla-query-unreserved": (
        "GET",
        b"/",
        b"-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz="
        b"-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
        {},
        b"",
        "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197",
    ),
    "get-vanilla-utf8-query": (
        "GET",
        b"/",
        b"\xe1\x88\xb4=bar",
        {},
        b"",
        "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04",
    ),
    "get-header-key-duplicate": (
        "GET",
        b"/",
        b"",
        {b"my-header1": b"value2,value2,value1"},
        b"",
        "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea",
    ),
    "get-header-value-order": (
        "GET",
        b"/",
        b"",
        {b"my-header1": b"value4,value1,value3,value2"},
        b"",
        "08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01",
    ),
    "get-header-value-trim": (
        "GET",
        b"/",
        b"",
        {b"my-header1": b"value1", b"my-header2": b'"a   b   c"'},
        b"",
        "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
    ),
    "get-unreserved": (
        "GET",
        b"/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
        b"",
        {},
        b"",
        "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f",
    ),
    "get-relative": (
        "GET",
        b"/example/..",
        b"",
        {},
        b"",
        "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
    ),
    "get-relative-relative": (
        "GET",
        b"/example1/example2/../..",
        b"",
        {},
        b"",
        "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
    ),
    "get-slash": (
        "GET",
        b"//",
        b"",
        {},
        b"",
        "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
    ),
    "get-slash-dot-slash": (
        "GET",
        b"/./",
        b"",
        {},
        b"",
        "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
    ),
    "get-slash-pointless-dot": (
        "GET",
        b"/./example",
        b"",
        {},
        b"",
        "ef75d96142cf21edca26f06005da7988e4f8dc83a165a80865db7089db637ec5",
    ),
    "get-slashes": (
        "GET",
        b"//example//",
        b"",
        {},
        b"",
        "9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84",
    ),
    "get-utf8": (
        "GET",
        b"/\xe1\x88\xb4",
        b"",
        {},
        b"",
        "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85",
    ),
    "post-vanilla": (
        "POST",
        b"/",
        b"",
        {},
        b"",
        "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
    ),
    "post-vanilla-query": (
        "POST",
        b"/",
        b"Param1=value1",
        {},
        b"",
        "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11",
    ),
    "post-header-key-sort": (
        "POST",
        b"/",
        b"",
        {b"my-header1": b"value1"},
        b"",
        "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c",
    ),
    "post-header-value-case": (
        "POST",
        b"/",
        b"",
        {b"my-header1": b"VALUE1"},
        b"",
        "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d",
    ),
    "post-x-www-form-urlencoded": (
        "POST",
        b"/",
        b"",
        {b"content-type": FORM},
        b"Param1=value1",
        "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
    ),
}


def seconds(timestamp: str) -> int:
    return timegm(strptime(timestamp, "%Y%m%dT%H%M%SZ"))


def signed_by(
    request: Request, key_id: str, scope: str, signature: str, also: tuple[bytes, ...] = ()
) -> Request:
    names = b";".join(sorted({*request.headers, *also}))
    value = b"AWS4-HMAC-SHA256 Credential=%b/%b/aws4_request, SignedHeaders=%b, Signature=%b" % (
        key_id.encode(),
        scope.encode(),
        names,
        signature.encode(),
    )
    return request.with_headers(authorization=value)


@pytest.mark.parametrize("name", SUITE)
def test_suite(name: str) -> None:
    method, path, query, headers, body, signature = SUITE[name]
    base = {b"host": b"example.amazonaws.com", b"x-amz-date": b"20150830T123600Z"}
    request = Request(method, path, query, {**base, **headers}, body)
    signed = signed_by(request, SUITE_KEY_ID, "20150830/us-east-1/service", signature)
    check(signed, secret=SUITE_SECRET, now=seconds("20150830T123600Z"))
    with pytest.raises(AwsError, match="InvalidSignatureException"):
        check(signed, secret=SUITE_SECRET + "x", now=seconds("20150830T123600Z"))


def test_iam_manual_list_users() -> None:
    headers = {
        b"host": b"iam.amazonaws.com",
        b"content-type": b"application/x-www-form-urlencoded; charset=utf-8",
        b"x-amz-date": b"20150830T123600Z",
    }
    request = Request("GET", b"/", b"Action=ListUsers&Version=2010-05-08", headers)
    signature = "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
    signed = signed_by(request, SUITE_KEY_ID, "20150830/us-east-1/iam", signature)
    check(signed, "query", secret=SUITE_SECRET, now=seconds("20150830T123600Z"))


HOST = {b"host": b"examplebucket.s3.amazonaws.com", b"x-amz-date": b"20130524T000000Z"}
EMPTY = b"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
S3: dict[str, tuple[str, bytes, bytes, dict[bytes, bytes], bytes, str]] = {
    "get object": (
        "GET",
        b"/test.txt",
        b"",
        {**HOST, b"range": b"bytes=0-9", b"x-amz-content-sha256": EMPTY},
        b"",
        "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
    ),
    "put object": (
        "PUT",
        b"/test%24file.text",
        b"",
        {
            b"host": HOST[b"host"],
            b"date": b"Fri, 24 May 2013 00:00:00 GMT",
            b"x-amz-date": HOST[b"x-amz-date"],
            b"x-amz-storage-class": b"REDUCED_REDUNDANCY",
            b"x-amz-content-sha256": b"44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
        },
        b"Welcome to Amazon S3.",
        "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
    ),
    "get bucket lifecycle": (
        "GET",
        b"/",
        b"lifecycle",
        {**HOST, b"x-amz-content-sha256": EMPTY},
        b"",
        "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
    ),
    "list objects": (
        "GET",
        b"/",
        b"max-keys=2&prefix=J",
        {**HOST, b"x-amz-content-sha256": EMPTY},
        b"",
        "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
    ),
}


@pytest.mark.parametrize("name", S3)
def test_s3_manual_header(name: str) -> None:
    method, path, query, headers, body, signature = S3[name]
    request = Request(method, path, query, headers, body)
    signed = signed_by(request, KEY_ID, "20130524/us-east-1/s3", signature)
    claim, payload = check(signed, "s3", now=seconds("20130524T001000Z"))
    assert claim.s3, "the credential's scope is S3's"
    assert payload.kind == "hash", "the payload's hash is declared"


def test_s3_manual_date_header_alone() -> None:
    method, path, query, headers, body, signature = S3["put object"]
    request = Request(method, path, query, headers, body)
    signed = signed_by(request, KEY_ID, "20130524/us-east-1/s3", signature)
    # Without x-amz-date the Date header is the time; the signature, which covered x-amz-date, no longer
    # holds.
    with pytest.raises(AwsError, match="SignatureDoesNotMatch"):
        check(signed.with_headers(x_amz_date=None), "s3", now=seconds("20130524T000000Z"))


PRESIGNED = (
    b"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3"
    b"%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
    b"&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
)


def test_s3_manual_presigned() -> None:
    request = Request("GET", b"/test.txt", PRESIGNED, {b"host": HOST[b"host"]})
    claim, payload = check(request, "s3", secret=SECRET, now=seconds("20130524T235959Z"))
    assert claim.form == "query"
    assert claim.presigned is not None
    assert claim.presigned.expires == 86400
    assert payload.kind == "unsigned"
    with pytest.raises(AwsError) as caught:
        check(request, "s3", now=seconds("20130525T000001Z"))
    assert (caught.value.code, caught.value.message) == ("AccessDenied", "Request has expired")
    assert caught.value.fields == {
        "X-Amz-Expires": "86400",
        "Expires": "2013-05-25T00:00:00Z",
        "ServerTime": "2013-05-25T00:00:01Z",
    }


def test_number_of_vectors() -> None:
    assert (len(SUITE), len(S3)) == (22, 4), "a vector that does not run protects nothing"
