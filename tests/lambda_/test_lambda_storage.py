"""Functions and their events in both databases, without a server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pytest
from lambda_support import ACCOUNT, ECHO, REGION

from casemate.engine.envelope.errors import Tampered
from casemate.engine.envelope.hierarchy import RootKey
from casemate.gate.keyring import Keyring
from casemate.services.lambda_ import packages
from casemate.services.lambda_.event_queue import LEASE, Event, EventQueue
from casemate.services.lambda_.functions import Functions
from casemate.services.lambda_.mapping_rows import LEASE as MAPPING_LEASE
from casemate.services.lambda_.mapping_rows import NOTHING, Mapping, Mappings
from casemate.services.lambda_.naming import Place
from casemate.services.lambda_.rows import Alias, EventConfig, Permissions, Row, Version
from casemate.store.database import Store, Tx, open_store
from casemate.store.migrate import discover

PLACE = Place(ACCOUNT, REGION, "stored")


class Stored(NamedTuple):
    store: Store
    functions: Functions
    queue: EventQueue
    mappings: Mappings


@pytest.fixture
def stored(database: str) -> Iterator[Stored]:
    store = open_store(
        database, migrations=[discover("casemate.gate"), discover("casemate.services.lambda_")]
    )
    keyring = Keyring(RootKey.generate())
    yield Stored(store, Functions(store, keyring), EventQueue(store, keyring), Mappings(keyring))
    store.close()


def _version(tx: Tx, number: int = 0) -> Version:
    code = packages.store(tx, packages.checked(ECHO))
    return Version(number, {"Runtime": "python3.11", "Role": "r"}, "", "", code, 1.5, f"revision-{number}")


def test_a_function_is_read_as_it_was_stored(stored: Stored) -> None:
    row = Row(
        PLACE,
        "id",
        2,
        {"tag": "value"},
        3,
        {"live": Alias("1", "now", {"2": 0.5}, "r")},
        {"live": Permissions({"one": {"Sid": "one"}}, {"arn": "AIDA"}, "r")},
        {"$LATEST": EventConfig(1.0, 1, 60, "", "arn:dest")},
    )

    def make(tx: Tx) -> tuple[Version, Version]:
        latest = _version(tx)
        stored.functions.create(tx, row, latest)
        one = latest._replace(number=1)
        stored.functions.add(tx, PLACE, one)
        return latest, one

    latest, one = stored.store.write(make)

    def look(tx: Tx) -> None:
        entry = stored.functions.load(tx, PLACE)
        assert entry is not None
        assert (entry.row, entry.latest) == (row, latest)
        assert stored.functions.versions(tx, PLACE, -1, 10) == [latest, one]
        assert stored.functions.versions(tx, PLACE, 0, 10) == [one]
        assert packages.load(tx, latest.code) == ECHO
        assert stored.functions.reserved(tx, ACCOUNT, REGION, "another") == 3
        assert stored.functions.reserved(tx, ACCOUNT, REGION, "stored") == 0
        assert list(stored.functions.all_versions(tx, ACCOUNT, REGION, ("stored", 0), 10)) == [(PLACE, one)]

    stored.store.read(look)
    stored.store.write(lambda tx: stored.functions.delete(tx, PLACE))
    assert stored.store.read(lambda tx: tx.all("SELECT * FROM lambda_code")) == []
    assert stored.store.read(lambda tx: stored.functions.load(tx, PLACE)) is None


def test_rows_that_were_altered_or_moved_are_not_used(stored: Stored) -> None:
    def make(tx: Tx) -> Version:
        latest = _version(tx)
        stored.functions.create(tx, Row(PLACE, "id"), latest)
        stored.functions.add(tx, PLACE, latest._replace(number=1))
        return latest

    latest = stored.store.write(make)
    stored.store.write(lambda tx: tx.run("UPDATE lambda_versions SET version = 2 WHERE version = 1"))
    with pytest.raises(Tampered):
        stored.store.read(lambda tx: stored.functions.versions(tx, PLACE, 0, 10))
    stored.store.write(lambda tx: tx.run("UPDATE lambda_functions SET name = 'another'"))
    stored.store.write(lambda tx: tx.run("UPDATE lambda_versions SET name = 'another' WHERE version = 0"))
    with pytest.raises(Tampered):
        stored.store.read(lambda tx: stored.functions.load(tx, PLACE._replace(name="another")))
    stored.store.write(lambda tx: tx.run("UPDATE lambda_code SET frame = 7"))
    with pytest.raises(Tampered):
        stored.store.read(lambda tx: packages.load(tx, latest.code))


def _event(number: int, begun: float = 100.0) -> Event:
    return Event(f"id-{number}", PLACE, "live", b'{"n": 1}', "", "trace", begun)


def test_an_event_is_one_workers_until_its_lease_runs_out(stored: Stored) -> None:
    queue, write = stored.queue, stored.store.write
    assert queue.next_due() is None
    write(lambda tx: queue.put(tx, _event(1)))
    write(lambda tx: queue.put(tx, _event(2, 101.0)))
    assert queue.next_due() == 100.0
    assert queue.take(99.0, set()) is None
    first = queue.take(200.0, set())
    assert first is not None
    assert first.event == _event(1)
    second = queue.take(200.0, set())
    assert second is not None
    assert second.event == _event(2, 101.0)
    assert queue.take(200.0, set()) is None
    assert queue.next_due() == 200.0 + LEASE
    queue.renew([first], 230.0)
    late = 200.0 + LEASE + 1
    assert queue.take(late, {"id-2"}) is None, "this worker has it still"
    again = queue.take(late, set())
    assert again is not None
    assert again.event.id == "id-2"
    assert not write(lambda tx: queue.finish(tx, second)), "it is another's by now"
    assert write(lambda tx: queue.finish(tx, again))
    write(lambda tx: queue.put_back(tx, first, first.event._replace(attempts=1), 500.0))
    assert queue.next_due() == 500.0
    last = queue.take(500.0, set())
    assert last is not None
    assert last.event.attempts == 1
    assert write(lambda tx: queue.finish(tx, last))
    assert queue.next_due() is None


def test_an_event_that_was_altered_is_dropped(stored: Stored) -> None:
    stored.store.write(lambda tx: stored.queue.put(tx, _event(1)))
    stored.store.write(lambda tx: stored.queue.put(tx, _event(2)))
    stored.store.write(lambda tx: tx.run("UPDATE lambda_events SET id = 'id-3' WHERE id = 'id-1'"))
    taken = stored.queue.take(200.0, set())
    assert taken is not None
    assert taken.event.id == "id-2"
    assert stored.queue.take(200.0, set()) is None
    left = stored.store.read(lambda tx: tx.all("SELECT id FROM lambda_events"))
    assert [tuple(row) for row in left] == [("id-2",)]


def test_one_worker_holds_a_mapping_until_its_lease_runs_out(stored: Stored) -> None:
    mappings, store = stored.mappings, stored.store
    source = f"arn:aws:sqs:{REGION}:{ACCOUNT}:one"
    made = Mapping(ACCOUNT, REGION, "m-1", source, "f", "", True, 10, 0, 2, True, ('{"a": [1]}',), 5.0)
    other = made._replace(id="m-2", enabled=False)
    store.write(lambda tx: mappings.put(tx, made))
    store.write(lambda tx: mappings.put(tx, other))
    assert store.read(lambda tx: mappings.find(tx, ACCOUNT, REGION, "m-1")) == (made, NOTHING)
    assert store.read(lambda tx: mappings.page(tx, ACCOUNT, REGION, "m-1", 5)) == [(other, NOTHING)]

    def hold(holder: str, now: float) -> bool:
        return store.write(lambda tx: mappings.hold(tx, made, holder, now))

    assert hold("a", 100.0)
    assert not hold("b", 101.0)
    assert hold("a", 105.0)
    assert not hold("b", 104.0 + MAPPING_LEASE)
    assert hold("b", 105.0 + MAPPING_LEASE)
    store.write(lambda tx: mappings.release(tx, "b"))
    assert hold("a", 106.0 + MAPPING_LEASE)
    # A change keeps who holds it, and what came of its messages.
    store.write(lambda tx: mappings.tell(tx, made, "OK"))
    store.write(lambda tx: mappings.put(tx, made._replace(batch=5)))
    assert store.read(lambda tx: mappings.find(tx, ACCOUNT, REGION, "m-1")) == (made._replace(batch=5), "OK")
    assert not hold("b", 107.0 + MAPPING_LEASE)
    store.write(lambda tx: tx.run("UPDATE lambda_mappings SET id = 'm-3' WHERE id = 'm-1'"))
    with pytest.raises(Tampered):
        store.read(lambda tx: mappings.find(tx, ACCOUNT, REGION, "m-3"))
    assert store.read(mappings.every) == [other]
    store.write(lambda tx: mappings.delete(tx, other))
    assert store.read(lambda tx: mappings.find(tx, ACCOUNT, REGION, "m-2")) is None


def test_events_of_accounts_that_run_enough_wait(stored: Stored) -> None:
    stored.store.write(lambda tx: stored.queue.put(tx, _event(1)))
    assert stored.queue.take(200.0, set(), [ACCOUNT]) is None
    assert stored.queue.take(200.0, set(), ["444455556666"]) is not None
