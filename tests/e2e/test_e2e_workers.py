"""Several workers are one server: what one is told, all honour at their next request."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e_support import ACCOUNT, ADMIN, CLERK, CLERK_ARN, ROOT_MAY_ALL, Wire, journal_of, policy, seed_file
from server_support import Server, running_server

_WORKERS = 3
DENY = {"Effect": "Deny", "Principal": {"AWS": CLERK_ARN}, "Action": "kms:Encrypt", "Resource": "*"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("workers")
    with running_server(folder, "--workers", str(_WORKERS), "--seed", str(seed_file(folder))) as started:
        yield started


def spread(server: Server) -> list[Wire]:
    """So many connections that every worker has some."""
    return [Wire(server, CLERK) for _ in range(8 * _WORKERS)]


def test_a_policy_change_is_honoured_by_the_next_request_at_every_worker(server: Server) -> None:
    admin = Wire(server, ADMIN)
    key = admin.kms("CreateKey").json["KeyMetadata"]["KeyId"]
    wires = spread(server)
    try:
        for denied in (False, True) * 6:
            statements = (ROOT_MAY_ALL, DENY) if denied else (ROOT_MAY_ALL,)
            changed = admin.kms("PutKeyPolicy", KeyId=key, PolicyName="default", Policy=policy(*statements))
            assert changed.status == 200, changed
            codes = {wire.kms("Encrypt", KeyId=key, Plaintext="eA==").code for wire in wires}
            assert codes == {"AccessDeniedException" if denied else ""}, f"denied: {denied}"
    finally:
        for wire in [admin, *wires]:
            wire.close()


def test_it_is_so_under_load_too(server: Server) -> None:
    """Threads hammer all workers; none ever sees an answer that an acknowledged change has made wrong."""
    admin = Wire(server, ADMIN)
    key = admin.kms("CreateKey").json["KeyMetadata"]["KeyId"]
    lock = threading.Lock()
    # Changes are counted when they are asked for and when they are acknowledged: between the two both answers
    # are right, and otherwise only one is. Even: allowed.
    asked = acknowledged = 0
    stop = threading.Event()
    wrong: list[str] = []
    calls = 0

    def hammer() -> None:
        nonlocal calls
        wires = [Wire(server, CLERK) for _ in range(_WORKERS * 2)]
        while not stop.is_set():
            for wire in wires:
                before = acknowledged
                reply = wire.kms("Encrypt", KeyId=key, Plaintext="eA==")
                after = asked
                with lock:
                    calls += 1
                if before == after and reply.code != ("AccessDeniedException" if before % 2 else ""):
                    wrong.append(f"{reply} after change {before}")
        for wire in wires:
            wire.close()

    threads = [threading.Thread(target=hammer) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for number in range(1, 41):
            asked = number
            statements = (ROOT_MAY_ALL, DENY) if number % 2 else (ROOT_MAY_ALL,)
            reply = admin.kms("PutKeyPolicy", KeyId=key, PolicyName="default", Policy=policy(*statements))
            acknowledged = number
            assert reply.status == 200, reply
            stop.wait(0.02)
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)
        admin.close()
    assert wrong == []
    assert calls > 100


def test_what_one_worker_made_the_others_find_at_once(server: Server) -> None:
    admins = [Wire(server, ADMIN) for _ in range(4 * _WORKERS)]
    try:
        for number in range(10):
            first = admins[number % len(admins)]
            key = first.kms("CreateKey").json["KeyMetadata"]["KeyId"]
            alias = f"alias/made-{number}"
            assert first.kms("CreateAlias", AliasName=alias, TargetKeyId=key).status == 200
            for wire in admins:
                found = wire.kms("DescribeKey", KeyId=alias)
                assert found.status == 200, found
                assert found.json["KeyMetadata"]["KeyId"] == key
            assert first.kms("DisableKey", KeyId=key).status == 200
            for wire in admins:
                assert wire.kms("Encrypt", KeyId=alias, Plaintext="eA==").code == "DisabledException"
            assert first.kms("DeleteAlias", AliasName=alias).status == 200
            assert {wire.kms("DescribeKey", KeyId=alias).code for wire in admins} == {"NotFoundException"}
    finally:
        for wire in admins:
            wire.close()


def test_all_workers_records_are_one_journal(tmp_path: Path) -> None:
    ids = []
    with running_server(tmp_path, "--workers", str(_WORKERS), "--seed", str(seed_file(tmp_path))) as own:
        wires = [Wire(own, ADMIN) for _ in range(4 * _WORKERS)]
        for _ in range(3):
            for wire in wires:
                ids.append(wire.kms("GenerateRandom", NumberOfBytes=1).request_id)  # noqa: PERF401
        for wire in wires:
            wire.close()
        segments = list((own.data / "journal").iterdir())
        assert len(segments) >= _WORKERS, "every worker writes its own"
        assert own.stop() == 0
    records = journal_of(tmp_path / "data")
    for request_id in ids:
        assert sum(request_id.encode() in record for record in records) == 1
    assert all(ACCOUNT.encode() in record for record in records)
