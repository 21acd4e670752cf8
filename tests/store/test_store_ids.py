"""Ids sort by time and never meet."""

from __future__ import annotations

import threading
import time
import uuid

from casemate.store.ids import new_id


def test_ids_are_version_7_uuids_of_now() -> None:
    before = time.time()
    one = uuid.UUID(new_id())
    assert (one.version, one.variant) == (7, uuid.RFC_4122)
    assert before - 0.01 <= (one.int >> 80) / 1000 <= time.time() + 10


def test_later_ids_sort_after_earlier_ones() -> None:
    ids = [new_id() for _ in range(20_000)]
    assert ids == sorted(ids)
    assert len(set(ids)) == len(ids)
    assert {len(each) for each in ids} == {32}


def test_threads_get_different_ids() -> None:
    ids: list[str] = []
    threads = [threading.Thread(target=lambda: ids.extend(new_id() for _ in range(2000))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(ids)) == 8000
