"""Buckets whose requesters pay."""

from __future__ import annotations

from s3_support import OTHER_ACCOUNT, S3, new_name, refused
from test_s3_object_access import fetched
from test_s3_policies import put, statement, unblocked


def test_requesters_pay_who_say_so(s3: S3) -> None:
    client, bucket, stranger = s3.of(), unblocked(s3), s3.of("stranger")
    assert client.get_bucket_request_payment(Bucket=bucket)["Payer"] == "BucketOwner"
    put(
        s3,
        bucket,
        statement(bucket, "s3:GetObject", "s3:PutObject", Resource=f"arn:aws:s3:::{bucket}/*"),
        statement(bucket, "s3:ListBucket", "s3:PutBucketRequestPayment", principal={"AWS": OTHER_ACCOUNT}),
    )
    client.put_object(Bucket=bucket, Key="k", Body=b"1")
    url = f"{s3.server.endpoint}/{bucket}/k"
    assert fetched(url) == (200, b"1")
    client.put_bucket_request_payment(Bucket=bucket, RequestPaymentConfiguration={"Payer": "Requester"})
    assert client.get_bucket_request_payment(Bucket=bucket)["Payer"] == "Requester"
    # The owner's users need say nothing; who signs nothing has nothing to pay with.
    assert "RequestCharged" not in client.get_object(Bucket=bucket, Key="k")
    assert fetched(url)[0] == 403
    assert fetched(url, **{"x-amz-request-payer": "requester"})[0] == 403
    own = new_name()
    stranger.create_bucket(Bucket=own)
    named = {"Bucket": bucket, "Key": "k"}
    for call, asked in (
        (stranger.get_object, named),
        (stranger.put_object, {**named, "Body": b"2"}),
        (stranger.list_objects_v2, {"Bucket": bucket}),
        (stranger.copy_object, {"Bucket": own, "Key": "k", "CopySource": named}),
    ):
        with refused("AccessDenied", status=403):
            call(**asked)
        assert call(**asked, RequestPayer="requester")["RequestCharged"] == "requester"
    with refused("NoSuchKey", status=404):
        stranger.get_object(Bucket=bucket, Key="none", RequestPayer="requester")
    with refused("AccessDenied", status=403):
        stranger.put_bucket_request_payment(
            Bucket=bucket, RequestPaymentConfiguration={"Payer": "BucketOwner"}
        )
    with refused("MalformedXML"):
        client.put_bucket_request_payment(Bucket=bucket, RequestPaymentConfiguration={"Payer": "Nobody"})
    client.put_bucket_request_payment(Bucket=bucket, RequestPaymentConfiguration={"Payer": "BucketOwner"})
    stranger.get_object(**named)
