"""A server that is killed while it ships: every acknowledged call is in the history, once, and in the audit, once."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from threading import Thread

from cloudtrail_support import REGION, Trail, trail_server
from server_support import casemate

KILLS = 3
CALLS = 12


def test_nothing_is_lost_and_nothing_twice(tmp_path: Path) -> None:
    chance = random.Random(7)
    called: list[str] = []

    def call(trail: Trail) -> None:
        for _ in range(CALLS):
            answer = trail.of(service="kms").list_keys()
            called.append(answer["ResponseMetadata"]["RequestId"])

    for _ in range(KILLS):
        with trail_server(tmp_path) as trail:
            call(trail)
            if chance.random() < 0.5:
                # What was gathered is shipped as soon as the clock has moved.
                trail.look_up("EventName", "ListKeys", least=CALLS)
            moving = Thread(
                target=casemate, args=("clock", "--data", str(trail.server.data), "--advance", "2h")
            )
            moving.start()
            moving.join(chance.random() * 0.6)
            trail.server.kill()
            moving.join()
    with trail_server(tmp_path) as trail:
        call(trail)
        trail.advance("2h")
        found = trail.look_up("EventName", "ListKeys", least=len(called))
        requests = [json.loads(each["CloudTrailEvent"])["requestID"] for each in found]
        assert sorted(requests) == sorted(called)
        trail.advance("2h")
        assert trail.look_up("EventName", "ListKeys") == found, "the same, now that all of it is shipped"
        shown = casemate("audit", "tail", "--data", str(trail.server.data), "-n", "all", "--json").stdout
        records = [json.loads(line) for line in shown.splitlines()]
        audited = Counter(each["requestID"] for each in records if each["eventName"] == "ListKeys")
        assert audited == Counter(called)
        assert {each["awsRegion"] for each in records if each["eventName"] == "ListKeys"} == {REGION}
