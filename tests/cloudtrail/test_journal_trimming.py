"""What is removed of the audit journal: what was read, and is in the archive; never what anybody needs."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from casemate.engine.envelope.hierarchy import RootKey
from casemate.server.composition import BILLED, MIGRATIONS
from casemate.server.journal_cipher import JournalCipher
from casemate.services.ce.meter import Meter
from casemate.services.cloudtrail import shipping
from casemate.services.cloudtrail.archive import Archive
from casemate.services.cloudtrail.history import History
from casemate.store.blobs import open_blobs
from casemate.store.database import Tx, open_store
from casemate.store.jobs import Jobs
from casemate.store.journal import Journal
from casemate.store.journal_reader import read_journal

NOW = 1_790_000_000.0


class Clocked:
    time = NOW

    def now(self) -> float:
        return self.time


def event(number: int) -> bytes:
    return json.dumps(
        {
            "userIdentity": {"accountId": "111122223333", "principalId": "111122223333"},
            "eventTime": "2026-09-21T14:13:20Z",
            "eventSource": "kms.amazonaws.com",
            "eventName": "Encrypt",
            "awsRegion": "us-east-1",
            "requestParameters": {"padding": "x" * 300},
            "eventType": "AwsApiCall",
            "managementEvent": True,
            "eventID": f"6ab0{number:04x}-0000-4000-8000-{number:012x}",
            "recipientAccountId": "111122223333",
        }
    ).encode()


class House:
    def __init__(self, folder: Path) -> None:
        root = RootKey(bytes(32))
        self.store = open_store(f"sqlite://{folder}/house.db", migrations=MIGRATIONS)
        self.folder = folder / "journal"
        self.cipher = JournalCipher(root)
        self.clock = Clocked()
        archive = Archive(open_blobs("memory://"), root.wrapping_key("audit archive"), 90)
        self.history = History(archive, root.wrapping_key("audit history"))
        ship = shipping.shipper(self.store, archive, self.history.key, self.clock)
        self.jobs = Jobs(self.store, self.clock, {shipping.KIND: ship})
        self.meter = Meter(
            self.store, self.folder, self.cipher, BILLED, (), [lambda: self.history.gathering(self.clock)]
        )
        self.durable = threading.Event()
        self.written = 0

    def journal(self, worker: str) -> Journal[None]:
        return Journal(
            self.folder, self.cipher, lambda *_: self.durable.set(), worker=worker, segment_bytes=4096
        )

    def write(self, journal: Journal[None], count: int) -> None:
        """In frames of their own."""
        for _ in range(count):
            self.written += 1
            self.durable.clear()
            journal.append(event(self.written), None)
            assert self.durable.wait(60)

    def ship(self) -> None:
        self.clock.time += 7200
        self.jobs.run_due()

    def files(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())

    def kept(self) -> list[str]:
        """The ids of what is in the history and the archive."""
        parts = self.store.read(self.history.everything)
        return sorted(json.loads(entry.text)["eventID"] for part in parts for entry in part())

    def counted(self) -> int:
        row = self.store.read(lambda tx: tx.one("SELECT CAST(SUM(calls) AS INTEGER) FROM ce_requests"))
        return 0 if row is None else int(row[0] or 0)

    def trim(self) -> None:
        self.meter.trim(History.held)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    made.store.close()


def test_segments_go_once_they_are_in_the_archive(house: House) -> None:
    journal = house.journal("00-1")
    house.write(journal, 30)
    before = house.files()
    assert len(before) > 2
    house.trim()
    assert house.files() == before, "what was read is not yet in the archive"
    house.ship()
    house.trim()
    # The last record is in the last segment, or the next one was begun right after it.
    assert house.files() in (before[-1:], before[-2:])
    house.write(journal, 30)
    house.trim()
    assert house.files()[0] in before[-2:], "what was read from it on is not in the archive"
    house.ship()
    house.trim()
    assert len(house.files()) <= 2
    journal.close()
    assert house.counted() == 60
    assert house.kept() == sorted(json.loads(event(number))["eventID"] for number in range(1, 61))


def test_runs_that_have_ended_go_as_a_whole(house: House) -> None:
    for worker in ("00-1", "01-2", "00-3"):
        journal = house.journal(worker)
        house.write(journal, 12)
        journal.close()
    house.ship()
    house.trim()
    house.ship()
    house.trim()
    assert {name.split("-", 1)[1][:4] for name in house.files()} == {"00-3", "01-2"}
    house.trim()
    assert house.counted() == 36, "nothing was counted anew"
    assert len(house.kept()) == 36
    rows = house.store.read(lambda tx: tx.all("SELECT run FROM ce_positions"))
    assert {run.split("-", 1)[1] for (run,) in rows} == {"00-3", "01-2"}


def test_a_run_that_ended_is_read_before_it_goes(house: House) -> None:
    first = house.journal("00-1")
    house.write(first, 12)
    house.journal("00-2").close()
    house.trim()
    house.ship()
    house.trim()
    assert house.counted() == 12
    assert all("-00-1-" not in name for name in house.files())
    assert list(read_journal(house.folder, house.cipher)) == []


def test_others_may_hold_segments(house: House) -> None:
    journal = house.journal("00-1")
    house.write(journal, 40)
    house.meter.catch_up()
    house.ship()
    (run,) = {name.rsplit("-", 1)[0] for name in house.files()}

    def held(tx: Tx) -> list[dict[str, Any]]:
        return [{run: 3, "another-00-machine": 1}]

    house.meter.trim(held)
    assert house.files()[0] == f"{run}-000003.journal"
    journal.close()
