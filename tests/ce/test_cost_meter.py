"""Usage out of the journal: counted once, whatever happens; and keys by the hours of their lives."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from cost_support import by_name, cost, encrypt, groups
from server_support import Server, casemate, running_server

from casemate.engine.envelope.hierarchy import RootKey
from casemate.server.composition import BILLED, MIGRATIONS, OBSERVERS, open_data
from casemate.server.config import Config
from casemate.server.journal_cipher import JournalCipher
from casemate.services.ce.meter import Meter
from casemate.store.database import open_store
from casemate.store.journal import Journal
from casemate.store.journal_format import JournalTampered


@pytest.fixture
def dev(tmp_path: Path) -> Iterator[Server]:
    with running_server(tmp_path, "--dev") as server:
        yield server


def move_to(server: Server, moment: str) -> None:
    done = casemate("clock", "--data", str(server.data), "--set", moment)
    assert done.returncode == 0, done.stderr


def new_key(server: Server) -> str:
    key: str = server.client("kms").create_key()["KeyMetadata"]["KeyId"]
    return key


def test_a_killed_server_loses_and_repeats_nothing(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        key = new_key(server)
        encrypt(server, key, 7)
        assert by_name(cost(server, "--by", "operation"))["kms:Encrypt"] == "7"
        encrypt(server, key, 6)
        server.kill()
    with running_server(tmp_path) as server:
        encrypt(server, key, 5)
        assert by_name(cost(server, "--by", "operation"))["kms:Encrypt"] == "18"
        assert by_name(cost(server, "--by", "operation"))["kms:Encrypt"] == "18"
        assert groups(server, "OPERATION")[("Encrypt",)] == "18"
    assert by_name(cost(server, "--by", "operation"))["kms:Encrypt"] == "18", "without a server"


def test_all_workers_are_counted_and_two_that_count_agree(tmp_path: Path) -> None:
    with running_server(tmp_path, "--workers", "2") as server:
        key = new_key(server)
        for _ in range(6):
            encrypt(server, key, 3)
        opened = open_data(Config(data=server.data))
        meters = [
            Meter(opened.store, opened.config.journal, JournalCipher(opened.root), BILLED, OBSERVERS)
            for _ in range(2)
        ]
        meters[0].catch_up()
        assert meters[1].catch_up() == 0
        opened.close()
        assert by_name(cost(server, "--by", "operation"))["kms:Encrypt"] == "18"


class Counted:
    """A journal of small segments, and a meter of it."""

    def __init__(self, folder: Path, url: str) -> None:
        self.store = open_store(url, migrations=MIGRATIONS)
        self.folder = folder / "journal"
        self._cipher = JournalCipher(RootKey(bytes(32)))
        self.meter = Meter(self.store, self.folder, self._cipher, BILLED, OBSERVERS)
        self.durable = threading.Event()

    def journal(self, worker: str) -> Journal[None]:
        return Journal(
            self.folder, self._cipher, lambda *_: self.durable.set(), worker=worker, segment_bytes=4096
        )

    def calls(self) -> int:
        row = self.store.read(lambda tx: tx.one("SELECT CAST(SUM(calls) AS INTEGER) FROM ce_requests"))
        return int(row[0] or 0) if row is not None else 0


@pytest.fixture
def counted(tmp_path: Path, database: str) -> Iterator[Counted]:
    made = Counted(tmp_path, database)
    yield made
    made.store.close()


def event(**more: Any) -> bytes:
    return json.dumps(
        {
            "userIdentity": {"accountId": "111122223333", "principalId": "111122223333"},
            "eventTime": "2026-11-25T13:00:00Z",
            "eventSource": "kms.amazonaws.com",
            "eventName": "Encrypt",
            "awsRegion": "us-east-1",
            "requestParameters": {"encryptionContext": {"errorCode": "x"}},
            "eventType": "AwsApiCall",
            "recipientAccountId": "111122223333",
            **more,
        }
    ).encode()


def write(journal: Journal[None], *records: bytes) -> None:
    for record in records:
        journal.append(record, None)
    journal.close()


def write_one_by_one(counted: Counted, journal: Journal[None], times: int) -> None:
    """In frames of their own."""
    for _ in range(times):
        counted.durable.clear()
        journal.append(event(), None)
        assert counted.durable.wait(60)


def test_a_reading_that_was_overtaken_counts_nothing_twice(counted: Counted) -> None:
    write(counted.journal("00-1"), *[event()] * 4)
    first = counted.meter
    second = Meter(counted.store, counted.folder, JournalCipher(RootKey(bytes(32))), BILLED, OBSERVERS)
    keep = first._keep

    def overtaken(*args: Any) -> None:
        first._keep = keep  # type: ignore[method-assign]
        second.catch_up()
        keep(*args)

    first._keep = overtaken  # type: ignore[method-assign, assignment]
    assert first.catch_up() == 0, "it began again, and found that all was counted"
    assert counted.calls() == 4


def test_segments_may_be_removed(counted: Counted) -> None:
    journal = counted.journal("00-1")
    write_one_by_one(counted, journal, 25)
    assert counted.meter.catch_up() == 25
    segments = sorted(counted.folder.iterdir())
    assert len(segments) > 2
    segments[0].unlink()
    write_one_by_one(counted, journal, 25)
    assert counted.meter.catch_up() == 25, "what was removed had been counted"
    write_one_by_one(counted, journal, 50)
    for segment in sorted(counted.folder.iterdir())[:-1]:
        segment.unlink()
    write(journal, event())
    left = counted.meter.catch_up()
    assert 1 <= left < 51, "what was removed had not, and is lost; the rest is counted"
    write(counted.journal("00-2"), event(), event())
    assert counted.meter.catch_up() == 2
    for segment in counted.folder.iterdir():
        segment.unlink()
    assert counted.meter.catch_up() == 0
    assert counted.calls() == 52 + left


def test_what_does_not_count(counted: Counted) -> None:
    write(
        counted.journal("00-1"),
        event(),
        event(errorCode="AccessDeniedException"),
        event(eventType="AwsServiceEvent"),
        event(recipientAccountId="444455556666"),
        event(userIdentity={"invokedBy": "AWS Internal"}),
        event(eventSource="sts.amazonaws.com"),
    )
    assert counted.meter.catch_up() == 6
    assert counted.calls() == 1


@pytest.mark.parametrize(
    ("name", "spec", "usage_type"),
    [
        ("Encrypt", "SYMMETRIC_DEFAULT", "KMS-Requests"),
        ("GenerateMac", "HMAC_256", "KMS-Requests"),
        ("Sign", "RSA_2048", "KMS-Requests-Asymmetric-RSA_2048"),
        ("Decrypt", "RSA_4096", "KMS-Requests-Asymmetric"),
        ("GetPublicKey", "ECC_NIST_P256", "KMS-Requests-Asymmetric"),
        ("Verify", "ML_DSA_65", "KMS-Requests-Asymmetric"),
        ("DescribeKey", "RSA_4096", "KMS-Requests"),
        ("GenerateDataKeyPair", "SYMMETRIC_DEFAULT", "KMS-Requests-GenerateDatakeyPair-ECC"),
    ],
)
def test_requests_cost_by_the_kind_of_key(counted: Counted, name: str, spec: str, usage_type: str) -> None:
    """Of a key that is gone by now, too."""
    key_id = "1234abcd-12ab-34cd-56ef-1234567890ab"
    arn = f"arn:aws:kms:us-east-1:111122223333:key/{key_id}"
    counted.store.write(
        lambda tx: tx.run(
            "INSERT INTO kms_key_ends (account, region, key_id, key_spec, created, rotations, ended) "
            "VALUES ('111122223333', 'us-east-1', ?, ?, 0.0, '[]', 1.0)",
            (key_id, spec),
        )
    )
    write(
        counted.journal("00-1"),
        event(
            eventName=name,
            resources=[{"accountId": "111122223333", "type": "AWS::KMS::Key", "ARN": arn}],
            requestParameters={"keyPairSpec": "ECC_NIST_P256"},
        ),
    )
    counted.meter.catch_up()
    rows = counted.store.read(lambda tx: tx.all("SELECT operation, usage_type, resource FROM ce_requests"))
    assert rows == [(name, usage_type, arn)]


def test_a_journal_that_was_altered_counts_up_to_there(counted: Counted) -> None:
    write(counted.journal("00-1"), event(), event())
    assert counted.meter.catch_up() == 2
    journal = counted.journal("00-2")
    write_one_by_one(counted, journal, 3)
    journal.close()
    segment = sorted(counted.folder.glob("*-00-2-*"))[0]
    data = bytearray(segment.read_bytes())
    data[data.rfind(b"CMjf", 0, data.rfind(b"CMjf")) + 20] ^= 1
    segment.write_bytes(data)
    for _ in range(2):
        with pytest.raises(JournalTampered):
            counted.meter.catch_up()
    assert counted.calls() == 4


def test_a_key_is_paid_for_until_its_deletion_is_scheduled(dev: Server) -> None:
    kms = dev.client("kms")
    move_to(dev, "2030-04-01T00:00:10Z")
    kept, cancelled, deleted = (new_key(dev) for _ in range(3))
    move_to(dev, "2030-04-11T00:00:10Z")
    kms.schedule_key_deletion(KeyId=cancelled, PendingWindowInDays=30)
    kms.schedule_key_deletion(KeyId=deleted, PendingWindowInDays=7)
    move_to(dev, "2030-04-16T00:00:10Z")
    assert by_name(cost(dev))["KMS-Keys"] == _keys((361, 241, 241))
    kms.cancel_key_deletion(KeyId=cancelled)
    assert by_name(cost(dev))["KMS-Keys"] == _keys((361, 361, 241)), "as though it had never been scheduled"
    move_to(dev, "2030-05-01T00:00:10Z")
    with pytest.raises(kms.exceptions.NotFoundException):
        kms.describe_key(KeyId=deleted)
    april = cost(dev, "--month", "2030-04", "--by", "key")
    assert april["complete"] is True
    arns = {each["name"].rpartition("/")[2]: each["cost"] for each in april["costs"]}
    assert arns[kept][:5] == arns[cancelled][:5] == "1"
    assert Decimal(arns[deleted]).quantize(Decimal("1e-6")) == Decimal("0.334722")


def _keys(hours: tuple[int, ...]) -> str:
    amount = sum(Decimal(each) for each in hours) / 720
    return f"{amount:.10f}".rstrip("0").rstrip(".")


def test_two_rotations_are_paid_for(dev: Server) -> None:
    kms = dev.client("kms")
    move_to(dev, "2030-04-01T00:00:10Z")
    key = new_key(dev)
    for _ in range(3):
        kms.rotate_key_on_demand(KeyId=key)
        casemate("clock", "--data", str(dev.data), "--advance", "1s")
    move_to(dev, "2030-05-15T00:00:10Z")
    april = cost(dev, "--month", "2030-04")
    assert by_name(april)["KMS-Keys"] == "3"


def test_the_seed_keys_are_paid_for_too(tmp_path: Path) -> None:
    seed = tmp_path / "seed.toml"
    seed.write_text(
        '[[accounts]]\nid = "111122223333"\n[[accounts.kms_keys]]\nid = "1234abcd-12ab-34cd-56ef-1234567890ab"\n'
    )
    with running_server(tmp_path, "--dev", "--seed", str(seed)) as server:
        names = by_name(cost(server, "--by", "key"))
    assert "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab" in names


def test_a_reset_forgets_what_was_used(dev: Server) -> None:
    encrypt(dev, new_key(dev), 3)
    assert cost(dev)["costs"] != []
    encrypt(dev, new_key(dev), 3)
    assert casemate("reset", "--data", str(dev.data)).returncode == 0
    assert cost(dev)["costs"] == []
    encrypt(dev, new_key(dev), 2)
    assert by_name(cost(dev, "--by", "operation"))["kms:Encrypt"] == "2"


def test_tables_and_plots(dev: Server, tmp_path: Path) -> None:
    key = new_key(dev)
    encrypt(dev, key, 2)
    done = casemate("cost", "--data", str(dev.data), "--by", "key", "--plot")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "so far: what this use costs on AWS" in lines[0]
    assert key in lines[1]
    assert lines[2].split()[0] == "total"
    assert "█" in lines[-1]
    both = by_name(cost(dev, "--by", "region,operation"))
    assert both["us-east-1  kms:Encrypt"] == "2"
    file = tmp_path / "costs.svg"
    done = casemate("cost", "--data", str(dev.data), "--plot", str(file), "--by", "operation")
    assert (done.returncode, done.stderr) == (0, f"{file} is written.\n")
    drawing = ElementTree.parse(file).getroot()
    assert drawing.tag.endswith("svg")
    titles = [each.text or "" for each in drawing.iter() if each.tag.endswith("title")]
    assert any(title.startswith("KMS-Keys, ") for title in titles)


@pytest.mark.parametrize(
    "args",
    [
        ("--month", "2026-13"),
        ("--month", "yesterday"),
        ("--plot", "costs.png"),
        ("--account", "999999999999"),
    ],
)
def test_wrong_usage_is_told(dev: Server, args: tuple[str, ...]) -> None:
    done = casemate("cost", "--data", str(dev.data), *args)
    assert done.returncode == 2
    assert done.stderr.startswith("casemate: ")
