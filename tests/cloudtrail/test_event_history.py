"""The history of events without a server: what is gathered, shipped, looked up, expired; and what was altered."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from casemate.engine.envelope.errors import Tampered
from casemate.engine.envelope.hierarchy import RootKey
from casemate.server.composition import MIGRATIONS
from casemate.services.cloudtrail import page_tokens, pages, shipping, terms
from casemate.services.cloudtrail.archive import Archive
from casemate.services.cloudtrail.found_events import ATTRIBUTES, values
from casemate.services.cloudtrail.history import Found, History, Lookup
from casemate.services.cloudtrail.page_tokens import Place, Token
from casemate.store.blobs import open_blobs
from casemate.store.database import open_store
from casemate.store.jobs import Jobs
from casemate.store.journal_format import Position

NOW = 1_790_000_000
ACCOUNT, OTHER = "111122223333", "444455556666"
REGION = "us-east-1"
ROOT = RootKey(bytes(32))


class Clocked:
    def __init__(self, now: float) -> None:
        self.time = now

    def now(self) -> float:
        return self.time


def iso(time: int) -> str:
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def record(chance: random.Random, time: int, number: int) -> dict[str, Any]:
    user = f"user-{chance.randrange(4)}"
    identity = chance.choice(
        [
            {"type": "IAMUser", "userName": user, "accessKeyId": f"AKIA{user}"},
            {"type": "Root", "accessKeyId": "AKIAROOT"},
            {"type": "AssumedRole", "principalId": f"AROA:{user}", "accessKeyId": f"ASIA{number % 5}"},
            {"type": "AWSService", "invokedBy": "kms.amazonaws.com"},
        ]
    )
    resource = {
        "type": chance.choice(["AWS::KMS::Key", "AWS::S3::Bucket"]),
        "ARN": chance.choice(["arn:aws:s3:::bücket", f"arn:aws:kms:us-east-1:1:key/{chance.randrange(5)}"]),
        "accountId": ACCOUNT,
    }
    management = chance.random() < 0.8
    return {
        "userIdentity": identity,
        "eventTime": iso(time),
        "eventSource": chance.choice(["kms.amazonaws.com", "iam.amazonaws.com"]),
        "eventName": chance.choice(["Decrypt", "CreateUser", "ListKeys"]),
        "awsRegion": chance.choice([REGION, REGION, "eu-west-1"]),
        "readOnly": chance.random() < 0.5,
        "requestParameters": {"text": 'quoted "\n" ünd'},
        "resources": [resource] if chance.random() < 0.7 else None,
        "eventID": f"{time:08x}-0000-4000-8000-{number:012x}",
        "managementEvent": management,
        "eventType": "AwsApiCall",
        "recipientAccountId": chance.choice([ACCOUNT, ACCOUNT, OTHER, ""]),
    }


class House:
    """A history, and all that it was given."""

    def __init__(self, folder: Path, url: str, blobs: str = "") -> None:
        self.store = open_store(url, migrations=MIGRATIONS)
        self.clock = Clocked(NOW)
        self.folder = folder / "archive"
        self.archive = Archive(
            open_blobs(blobs or str(self.folder)), ROOT.wrapping_key("audit archive"), days=90
        )
        self.history = History(self.archive, ROOT.wrapping_key("audit history"))
        ship = shipping.shipper(self.store, self.archive, self.history.key, self.clock)
        self.jobs = Jobs(self.store, self.clock, {shipping.KIND: ship})
        self.all: list[tuple[Place, Mapping[str, Any]]] = []
        self.read = 0

    def gather(self, records: Sequence[Mapping[str, Any]]) -> None:
        """One reading of the journal."""
        gathering = self.history.gathering(self.clock)
        for each in records:
            self.read += 1
            position = Position(NOW * 10**9 + self.read * 10**6, "0-00-1", 1, self.read, 0, 0)
            text = json.dumps(each, separators=(",", ":"), ensure_ascii=False).encode()
            gathering.see(position, text, each)
            self.all.append(
                (Place(pages.seconds_of(each["eventTime"]), position.time_ns, each["eventID"]), each)
            )
        keep = gathering.pack()
        self.store.write(lambda tx: keep(tx, {"0-00-1": 1}))

    def ship(self, later: float = 2 * 3600.0) -> None:
        """Let time pass, and what is to be shipped be shipped."""
        self.clock.time += later
        self.jobs.run_due()

    def find(self, lookup: Lookup, limit: int) -> Sequence[Found]:
        return self.store.read(lambda tx: self.history.find(tx, lookup, limit))

    def expected(self, lookup: Lookup) -> list[Place]:
        """What a lookup means, by looking at everything."""
        return sorted(
            (
                place
                for place, each in self.all
                if (each["recipientAccountId"], each["awsRegion"]) == (lookup.account, lookup.region)
                and each["managementEvent"]
                and lookup.start <= place.time <= lookup.end
                and (lookup.after is None or place < lookup.after)
                and (not lookup.key or lookup.value in values(each, lookup.key))
            ),
            reverse=True,
        )

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self.store.read(lambda tx: tx.all(sql))


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path, f"sqlite://{tmp_path}/history.db")
    yield made
    made.store.close()


def some(chance: random.Random, count: int, hours: int = 3) -> list[dict[str, Any]]:
    """Records of the last hours before NOW, as the journal has them: nearly by time."""
    times = sorted(NOW - chance.randrange(hours * 3600) for _ in range(count))
    return [
        record(chance, max(0, time - chance.choice([0, 0, 0, 90])), chance.getrandbits(47)) for time in times
    ]


ANYTHING = Lookup(ACCOUNT, REGION, "", "", 0, NOW + 10)


def lookups(chance: random.Random, house: House) -> Iterator[Lookup]:
    yield ANYTHING
    for key in ATTRIBUTES:
        place, each = chance.choice(house.all)
        found = values(each, key)
        value = found[0] if found else "absent"
        yield ANYTHING._replace(key=key, value=value)
        yield ANYTHING._replace(key=key, value=value, start=place.time - 1800, end=place.time)
        yield ANYTHING._replace(key=key, value="absent\n")


@pytest.mark.parametrize("seed", range(2))
def test_lookups_find_what_is_meant_wherever_it_is(tmp_path: Path, database: str, seed: int) -> None:
    house = House(tmp_path, database, "memory://" if seed == 1 else "")
    chance = random.Random(seed)
    try:
        records = some(chance, 150)
        for start in range(0, 150, 30):
            house.gather(records[start : start + 30])
            if start == 90:
                house.ship(0)
        before = {lookup: house.find(lookup, 1000) for lookup in lookups(random.Random(seed), house)}
        house.ship(shipping.EVERY)
        assert house.rows("SELECT 1 FROM cloudtrail_archive"), "some of it is in files"
        for lookup, found in before.items():
            expected = house.expected(lookup)
            assert [each.place for each in found] == expected
            assert [each.place for each in house.find(lookup, 1000)] == expected
            assert [each.place for each in house.find(lookup, 7)] == expected[:7]
        for lookup in lookups(chance, house):
            paged, after = [], None
            while page := house.find(lookup._replace(after=after), 17):
                paged += [each.place for each in page]
                after = page[-1].place
            assert paged == house.expected(lookup)
        texts = {each.place.id: each.record for each in house.find(ANYTHING, 1000)}
        assert texts == {place.id: each for place, each in house.all if place.id in texts}
    finally:
        house.store.close()


def test_each_record_is_shipped_once(house: House) -> None:
    house.gather(some(random.Random(1), 200))
    assert len(house.rows("SELECT 1 FROM cloudtrail_readings")) == 1
    house.ship()
    house.ship()
    assert house.rows("SELECT 1 FROM cloudtrail_pages WHERE file = ''") == []
    assert house.rows("SELECT 1 FROM cloudtrail_readings") == [], "the journal may go on"
    kept = [entry for part in house.store.read(house.history.everything) for entry in part()]
    assert sorted(json.loads(entry.text)["eventID"] for entry in kept) == sorted(
        place.id for place, _ in house.all
    )
    assert {(entry.run, entry.segment) for entry in kept} == {("0-00-1", 1)}


def test_what_is_of_the_hour_waits(house: House) -> None:
    current = NOW // 3600 * 3600
    house.clock.time = current - shipping.EVERY
    house.gather([record(random.Random(1), current + 1, 1), record(random.Random(1), current - 1, 2)])
    house.clock.time = current + shipping.LATE - 1
    house.jobs.run_due()
    assert house.rows("SELECT 1 FROM cloudtrail_archive") == []
    house.ship(shipping.EVERY)
    assert house.rows("SELECT last FROM cloudtrail_archive") == [(current - 1,)]
    assert house.rows("SELECT last FROM cloudtrail_pages WHERE file = ''") == [(current + 1,)]


def test_a_crash_before_the_rows_leaves_a_blob_that_is_swept(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.gather(some(random.Random(1), 50))
    kept = house.store.read(lambda tx: shipping._held(tx, house.history.key, shipping._next(tx, NOW + 7200)))
    house.archive.write(kept)
    assert len(list(house.archive.blobs.list())) == 1
    house.ship()
    shipped = {blob for (blob,) in house.rows("SELECT blob FROM cloudtrail_archive")}
    assert len(shipped) == len(list(house.archive.blobs.list())) - 1
    assert len(house.find(ANYTHING._replace(end=NOW), 1000)) == len(house.expected(ANYTHING))
    # Blobs have their ages by the machine's clock.
    monkeypatch.setattr(shipping, "_SWEEP_EVERY", -300)
    house.ship(300)
    assert {blob.id for blob in house.archive.blobs.list()} == shipped


def test_what_is_too_old_goes(house: House) -> None:
    house.gather(some(random.Random(1), 50))
    house.ship()
    house.ship(89 * 86_400.0)
    assert house.find(ANYTHING, 1)
    house.ship(2 * 86_400.0)
    for table in ("archive", "pages", "terms", "readings"):
        assert house.rows(f"SELECT 1 FROM cloudtrail_{table}") == []
    assert list(house.archive.blobs.list()) == []


def test_too_much_is_shipped_before_its_hour_is_over(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipping, "_WAITING_BYTES", 20_000)
    house.clock.time = NOW // 3600 * 3600 + 1800
    for _ in range(10):
        house.gather([record(random.Random(i), int(house.clock.time) - 60, i) for i in range(10)])
    house.ship(shipping.EVERY)
    waiting = house.rows("SELECT CAST(SUM(bytes) AS INTEGER) FROM cloudtrail_pages WHERE file = ''")[0][0]
    assert (waiting or 0) <= 20_000
    assert len(house.find(ANYTHING, 1000)) == len(house.expected(ANYTHING))


def test_nothing_lies_there_in_the_clear(house: House) -> None:
    house.gather(some(random.Random(1), 50))
    for _ in range(2):
        stored = b"".join(
            path.read_bytes()
            for folder in (house.folder, house.folder.parent)
            for path in folder.rglob("*")
            if path.is_file()
        )
        for word in (b"CreateUser", b"user-1", b"AKIA", b"kms.amazonaws", b"PAR1"):
            assert word not in stored
        house.ship()


def test_files_that_were_swapped_or_altered_are_not_read(house: House) -> None:
    house.gather(some(random.Random(1), 50, hours=1))
    house.gather(some(random.Random(2), 50, hours=9))
    house.ship()
    files = house.rows("SELECT name, blob FROM cloudtrail_archive ORDER BY last")
    (first, blob), (second, other) = files[0], files[-1]

    def point(name: str, to: str) -> None:
        house.store.write(
            lambda tx: tx.run("UPDATE cloudtrail_archive SET blob = ? WHERE name = ?", (to, name))
        )

    point(first, other)
    point(second, blob)
    with pytest.raises(Tampered):
        house.find(ANYTHING, 1000)
    point(first, blob)
    point(second, other)
    assert house.find(ANYTHING, 1000)
    path = house.folder / other[-2:] / other
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(Tampered):
        house.find(ANYTHING, 1000)
    path.unlink()
    with pytest.raises(Tampered):
        house.find(ANYTHING, 1000)


@given(st.lists(st.text(max_size=20), max_size=90), st.text(max_size=20))
@settings(max_examples=20, deadline=None)
def test_terms_leave_out_no_value(found: list[str], other: str) -> None:
    encoded = terms.no_terms()
    for value in found:
        terms.add(
            encoded,
            {
                "userIdentity": {"userName": value},
                "eventName": value,
                "eventSource": value,
                "resources": [{"ARN": value, "type": value}],
            },
        )
    stored = terms.encode(encoded)
    for number, name in enumerate(terms.INDEXED):
        of_one = terms.of_attribute(stored, number)
        assert of_one == terms.encode_one(encoded[number])
        if name in ("EventName", "Username", "ResourceName", "ResourceType"):
            assert all(terms.may_have(of_one, value) for value in found if value)
            assert not terms.may_have(of_one, other) or other in found or len(found) > 1


_SETTINGS = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@given(
    st.integers(0, 1 << 40), st.integers(0, 1 << 62), st.text(), st.integers(0, 1 << 40), st.integers(0, 7200)
)
@_SETTINGS
def test_a_token_is_read_as_it_was_written(time: int, order: int, id_: str, until: int, age: int) -> None:
    token = Token(Place(time, order, id_), until)
    written = page_tokens.write(token, "asked", NOW)
    read = page_tokens.read(written, "asked", NOW + age)
    assert read == (token if age <= page_tokens.GOOD_FOR else None)
    assert page_tokens.read(written, "otherwise", NOW) is None


@given(st.text())
@_SETTINGS
def test_what_is_no_token_is_none(text: str) -> None:
    assert page_tokens.read(text, "asked", NOW) is None
