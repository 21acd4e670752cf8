"""A trail of a server that is killed again and again: no event is missing, and none is there twice."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from cloudtrail_support import Trail, trail_server
from trails_support import delivered, eventually, make_trail

_KILLS = 2
_KEYS = 12


def test_each_event_is_in_one_file(tmp_path: Path) -> None:
    config = tmp_path / "casemate.toml"
    config.write_text("cloudtrail_interval = 1\n")
    acknowledged: set[str] = set()
    bucket = ""
    for _ in range(_KILLS):
        with trail_server(tmp_path, "--config", str(config)) as trail:
            if not bucket:
                _, bucket = make_trail(trail, EnableLogFileValidation=True)
            acknowledged |= _made(trail)
            # In the middle of whatever it is at: reading, writing a file, taking its events away.
            trail.advance("2s")
            trail.server.kill()
    with trail_server(tmp_path, "--config", str(config)) as trail:
        acknowledged |= _made(trail)
        trail.advance("5s")
        eventually(lambda: set(_delivered(trail, bucket)), acknowledged.issubset)
        found = Counter(_delivered(trail, bucket))
        assert set(found.values()) == {1}
        events = Counter(each["eventID"] for each in delivered(trail, bucket))
        assert set(events.values()) == {1}


def _made(trail: Trail) -> set[str]:
    """The ids of keys that were made, of each of which there is one record."""
    kms = trail.of(service="kms")
    return {kms.create_key()["KeyMetadata"]["KeyId"] for _ in range(_KEYS)}


def _delivered(trail: Trail, bucket: str) -> list[str]:
    return [
        each["responseElements"]["keyMetadata"]["keyId"]
        for each in delivered(trail, bucket)
        if each["eventName"] == "CreateKey"
    ]
