"""What trails deliver: log files, as AWS lays them out, each event once."""

from __future__ import annotations

import json
import re
from typing import Any

from cloudtrail_support import ACCOUNT, REGION, Trail
from trails_support import (
    delivered,
    eventually,
    keys_in,
    make_trail,
)

_KEY = re.compile(
    rf"AWSLogs/{ACCOUNT}/CloudTrail/([a-z0-9-]+)/\d{{4}}/\d\d/\d\d/"
    rf"{ACCOUNT}_CloudTrail_\1_\d{{8}}T\d{{4}}Z_[A-Za-z0-9]{{16}}\.json\.gz"
)


def test_management_events_come_into_the_bucket(trail: Trail) -> None:
    name, bucket = make_trail(trail)
    kms = trail.of(service="kms")
    key_id = kms.create_key()["KeyMetadata"]["KeyId"]
    trail.of(service="kms", region="eu-west-1").create_key()
    trail.advance("5m")

    def found() -> list[Any]:
        return [each for each in delivered(trail, bucket) if key_id in json.dumps(each)]

    (record,) = eventually(found)
    assert (record["eventName"], record["awsRegion"], record["recipientAccountId"]) == (
        "CreateKey",
        REGION,
        ACCOUNT,
    )
    assert record["userIdentity"]["userName"] == "admin"
    assert all(_KEY.fullmatch(key) for key in keys_in(trail, bucket))
    assert {each["awsRegion"] for each in delivered(trail, bucket)} == {REGION}
    status = trail.of().get_trail_status(Name=name)
    assert status["IsLogging"] is True
    assert status["LatestDeliveryTime"] >= status["StartLoggingTime"]
    assert "LatestDeliveryError" not in status
    head = trail.of(service="s3").head_object(Bucket=bucket, Key=keys_in(trail, bucket)[0])
    assert (head["ContentType"], head["ContentEncoding"]) == ("application/json", "gzip")
