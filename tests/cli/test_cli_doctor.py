"""``casemate doctor``: what it finds, and that it finds nothing where nothing is wrong."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import apsw
import pytest
from server_support import Server, casemate

from casemate.server.composition import open_data
from casemate.server.config import Config
from casemate.server.doctor import examine
from casemate.server.first_start import first_start, prepare_data
from casemate.server.journal_cipher import JournalCipher
from casemate.server.tls import own_certificate
from casemate.services.lambda_.execution.isolation import obstacle
from casemate.store.journal import Journal

SEED_KEY = "1234abcd-12ab-34cd-56ef-1234567890ab"


def make(data: Path) -> Config:
    """A directory as a server leaves it, with a KMS key and some audit records."""
    config = Config(data=data, port=0, tls_port=0, metrics_port=0)
    prepare_data(config)
    own_certificate(data / "tls")
    opened = open_data(config)
    first_start(opened)
    opened.store.write(lambda tx: opened.keys.create(tx, "111122223333", "us-east-1", 1e9, key_id=SEED_KEY))
    journal: Journal[None] = Journal(
        config.journal, JournalCipher(opened.root), lambda batch, error: None, worker="0"
    )
    for _ in range(5):
        journal.append(b"{}", None)
    journal.close()
    opened.close()
    return config


def problems(config: Config) -> str:
    return "\n".join(f"{each.what} -> {each.advice}" for each in examine(config) if not each.ok)


def test_all_is_well_with_a_server_that_runs(server: Server) -> None:
    server.client("kms").create_key()
    done = casemate("doctor", "--data", str(server.data), env={"CASEMATE_DEV": "true"})
    assert done.returncode == 0, done.stdout
    assert f"server: pid {server.running.pid} is healthy" in done.stdout
    assert "PROBLEM" not in done.stdout


def test_all_is_well_without_a_server(tmp_path: Path) -> None:
    config = make(tmp_path / "data")
    found = list(examine(config))
    assert [each for each in found if not each.ok] == []
    kinds = [each.what.partition(":")[0] for each in found]
    assert kinds == [
        *("permissions", "disk", "tls", "functions", "database", "seal", "keys", "jobs", "journal", "clock")
    ]


def test_how_functions_run_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = make(tmp_path / "data")

    def told(config: Config) -> str:
        (found,) = [each for each in examine(config) if each.what.startswith("functions: ")]
        assert found.ok, "a server need not run any"
        return found.what

    assert told(replace(config, lambda_isolation="none")) == (
        "functions: run without isolation, and may do whatever the server's user may"
    )
    monkeypatch.setenv("PATH", str(tmp_path))
    obstacle.cache_clear()
    assert told(config) == "functions: do not run: bubblewrap (bwrap) is not installed"
    obstacle.cache_clear()


def test_the_exit_status_tells_of_problems(tmp_path: Path) -> None:
    config = make(tmp_path / "data")
    (config.data / "credentials").chmod(0o644)
    done = casemate("doctor", "--data", str(config.data))
    assert done.returncode == 1
    assert f"PROBLEM  permissions: others may read {config.data / 'credentials'}" in done.stdout
    assert f"-> chmod go= {config.data / 'credentials'}" in done.stdout
    assert casemate("doctor", "--data", str(tmp_path / "nowhere")).returncode == 1


def altered(sql: str) -> Callable[[Config], None]:
    def alter(config: Config) -> None:
        database = apsw.Connection(str(config.data / "casemate.db"))
        database.execute(sql)
        assert database.changes() == 1
        database.close()

    return alter


def torn_page(config: Config) -> None:
    path = config.data / "casemate.db"
    content = bytearray(path.read_bytes())
    content[8192 : 8192 + 2000] = os.urandom(2000)
    path.write_bytes(content)


def journal_changed(config: Config) -> None:
    [path] = config.journal.iterdir()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def journal_in_the_future(config: Config) -> None:
    opened = open_data(config)
    later = time.time_ns() + 3600 * 10**9
    journal: Journal[None] = Journal(
        config.journal, JournalCipher(opened.root), lambda b, e: None, worker="1", now_ns=lambda: later
    )
    journal.append(b"{}", None)
    journal.close()
    opened.close()


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (altered("UPDATE kms_keys SET policy = policy || ' '"), f"keys: KMS key {SEED_KEY}"),
        (altered("UPDATE kms_backing_keys SET wrapped = zeroblob(93)"), f"keys: KMS key {SEED_KEY}"),
        (altered("UPDATE iam_access_keys SET user_name = ''"), "keys: access key AKIA"),
        (altered("UPDATE iam_access_keys SET status = 'Inactive'"), "keys: access key AKIA"),
        (altered("UPDATE iam_entities SET path = '/x/'"), "keys: user "),
        (
            altered(
                "UPDATE iam_entities SET content = replace(content, 'AdministratorAccess', 'ReadOnlyAccess')"
            ),
            "keys: user ",
        ),
        (
            altered(
                "INSERT INTO kms_key_stores VALUES ('111122223333', 'us-east-1', 'cks-1', 'n', 'AWS_CLOUDHSM', 1.0, "
                "'CONNECTED', '', '{}', zeroblob(93))"
            ),
            "keys: custom key store cks-1",
        ),
        (altered("UPDATE account_keys SET wrapped = zeroblob(80) WHERE account = '111122223333'"), "keys: "),
        (altered("UPDATE root_key SET record = zeroblob(80)"), "seal: "),
        (torn_page, "database: "),
        (lambda config: config.key_file.unlink(), "seal: the key file"),
        (lambda config: config.key_file.chmod(0o604), "others may read"),
        (journal_changed, "journal: "),
        (journal_in_the_future, "clock: the last audit record is"),
        (lambda config: (config.data / "tls" / "server.pem").write_text("x"), "tls: "),
        (lambda config: config.data.chmod(0o755), "others may read"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_damage_is_found(tmp_path: Path, damage: Callable[[Config], object], told: str) -> None:
    config = make(tmp_path / "data")
    damage(config)
    assert told in problems(config)


def test_a_port_in_use_is_found(tmp_path: Path) -> None:
    make(tmp_path / "data")
    with socket.create_server(("127.0.0.1", 0)) as other:
        config = Config(data=tmp_path / "data", port=other.getsockname()[1], tls_port=None, metrics_port=None)
        assert f"port: {config.port} of 127.0.0.1 cannot be had" in problems(config)


def test_a_server_that_does_not_answer_is_found(tmp_path: Path) -> None:
    from casemate.server.data_lock import lock_data
    from casemate.server.server_file import Running, announce

    config = make(tmp_path / "data")
    lock = lock_data(config.data)
    with socket.create_server(("127.0.0.1", 0)) as other:
        gone = other.getsockname()[1]
    announce(
        config.data,
        Running(
            pid=os.getpid(),
            host="127.0.0.1",
            port=gone,
            tls_port=None,
            metrics_port=None,
            region="us-east-1",
            dev=False,
            version="0",
        ),
    )
    assert f"server: pid {os.getpid()} does not answer" in problems(config)
    lock.release()


def test_a_certificate_that_ends_soon_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("casemate.server.tls.SERVER_DAYS", 20)
    config = make(tmp_path / "data")
    told = problems(config)
    assert "ends in 19 days" in told
    assert "Restart the server" in told
    mine = Config(
        data=config.data,
        port=0,
        tls_port=0,
        metrics_port=0,
        tls_cert=config.data / "tls" / "server.pem",
        tls_key=config.data / "tls" / "server.key",
    )
    assert "Renew it" in problems(mine)


def test_it_changes_nothing(tmp_path: Path) -> None:
    config = make(tmp_path / "data")

    def state() -> dict[str, bytes]:
        # The generations only say "look again", and the rest is what locks are held on.
        return {
            str(path): path.read_bytes()
            for path in config.data.rglob("*")
            if path.is_file() and path.name not in ("generations", "casemate.db-start", "casemate.db")
        }

    before = state()
    assert problems(config) == ""
    assert {name: content for name, content in state().items() if name in before} == before
    assert json.dumps(sorted(state())) == json.dumps(sorted(before))
