"""Trails in PostgreSQL, with several workers."""

from __future__ import annotations

from pathlib import Path

from cloudtrail_support import trail_server
from trails_support import delivered, eventually, keys_in, make_trail


def test_trails_on_postgresql(tmp_path: Path, postgres_url: str) -> None:
    with trail_server(tmp_path, "--workers", "2", env={"CASEMATE_DATABASE": postgres_url}) as trail:
        name, bucket = make_trail(trail, EnableLogFileValidation=True, IsMultiRegionTrail=True)
        client = trail.of()
        client.put_insight_selectors(TrailName=name, InsightSelectors=[{"InsightType": "ApiCallRateInsight"}])
        made = {trail.of(service="kms").create_key()["KeyMetadata"]["KeyId"] for _ in range(5)}
        trail.advance("5m")

        def found() -> set[str]:
            records = [each for each in delivered(trail, bucket) if each["eventName"] == "CreateKey"]
            ids = [each["responseElements"]["keyMetadata"]["keyId"] for each in records]
            assert len(ids) == len(set(ids))
            return set(ids)

        eventually(found, made.issubset)
        trail.advance("65m")
        eventually(lambda: [key for key in keys_in(trail, bucket) if "-Digest/" in key])
        status = eventually(
            lambda: client.get_trail_status(Name=name), lambda found: "LatestDigestDeliveryTime" in found
        )
        assert "LatestDeliveryError" not in status
        client.delete_trail(Name=name)
        assert client.list_trails()["Trails"] == []
