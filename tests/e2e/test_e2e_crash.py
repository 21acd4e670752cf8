"""kill -9 in the middle of load: every acknowledged write is there afterwards, and every acknowledged call has its
audit record, once. Twenty kills on each database, in parts, so that they spread over the machine."""

from __future__ import annotations

import base64
import json
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest
from e2e_support import ADMIN, CLERK, KEY_ID, Wire, journal_of, seed_file
from postgres_support import PostgresServer
from server_support import Server, running_server

_PARTS, _ROUNDS = 4, 5
_THREADS = 4


@dataclass
class Model:
    """What one thread knows of its own things. A value is what was acknowledged last; ``asked`` holds what the
    call under way when the server died would have made of it: then both are right."""

    enabled: dict[str, bool] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    aliases: dict[str, str | None] = field(default_factory=dict)
    """The key that an alias names; None once it was deleted."""
    sealed: tuple[str, str] | None = None
    asked: tuple[str, str, Any] | None = None
    acknowledged: list[str] = field(default_factory=list)
    """Request ids of all answers, refusals too."""
    unexpected: list[str] = field(default_factory=list)

    def expect(self, kind: str, name: str, value: Any, found: Any) -> None:
        right = [value]
        if self.asked is not None and self.asked[:2] == (kind, name):
            right.append(self.asked[2])
        assert found in right, f"{kind} of {name} is {found}, acknowledged was {value} (asked: {self.asked})"


def load(server: Server, number: str, model: Model) -> None:
    """Write and read until the server is gone."""
    wire = Wire(server, ADMIN)
    other = Wire(server, CLERK)
    choose = random.Random(number)
    made = 0

    def call(status: int, operation: str, by: Wire = wire, **parameters: Any) -> Any:
        reply = by.kms(operation, **parameters)
        model.acknowledged.append(reply.request_id)
        if reply.status != status:
            model.unexpected.append(f"{operation}: {reply}")
        return reply.json if reply.body else {}

    def change(kind: str, name: str, value: Any, operation: str, **parameters: Any) -> None:
        model.asked = (kind, name, value)
        call(200, operation, **parameters)
        model.asked = None

    try:
        while True:
            if not model.enabled or choose.random() < 0.2:
                key = call(200, "CreateKey", Description=number)["KeyMetadata"]["KeyId"]
                model.enabled[key] = True
            key = choose.choice(list(model.enabled))
            what = choose.randrange(8)
            if what == 0:
                name = f"alias/{number}-{made}"
                change("alias", name, key, "CreateAlias", AliasName=name, TargetKeyId=key)
                model.aliases[name] = key
                made += 1
            elif what == 1 and (names := [name for name, of in model.aliases.items() if of]):
                name = choose.choice(names)
                change("alias", name, key, "UpdateAlias", AliasName=name, TargetKeyId=key)
                model.aliases[name] = key
            elif what == 2 and (names := [name for name, of in model.aliases.items() if of]):
                name = choose.choice(names)
                change("alias", name, None, "DeleteAlias", AliasName=name)
                model.aliases[name] = None
            elif what == 3:
                made += 1
                tag = {"TagKey": "made", "TagValue": str(made)}
                change("tag", key, str(made), "TagResource", KeyId=key, Tags=[tag])
                model.tags[key] = str(made)
            elif what == 4:
                wanted = not model.enabled[key]
                change("state", key, wanted, "EnableKey" if wanted else "DisableKey", KeyId=key)
                model.enabled[key] = wanted
            elif what == 5 and model.enabled[key]:
                text = base64.b64encode(f"{number} {made}".encode()).decode()
                model.sealed = (call(200, "Encrypt", KeyId=key, Plaintext=text)["CiphertextBlob"], text)
            elif what == 6:
                call(200, "GenerateDataKey", by=other, KeyId=KEY_ID, KeySpec="AES_256")
            else:
                call(400, "DescribeKey", by=other, KeyId="alias/nothing")
    except (OSError, HTTPException, ValueError):
        return  # the server is gone, perhaps in the middle of an answer
    finally:
        wire.close()
        other.close()


def checked(server: Server, model: Model) -> None:
    """The server that came back knows all that was acknowledged."""
    wire = Wire(server, ADMIN)
    try:
        for key, enabled in model.enabled.items():
            reply = wire.kms("DescribeKey", KeyId=key)
            assert reply.status == 200, f"an acknowledged key is lost: {reply}\n{server.log}"
            model.expect("state", key, enabled, reply.json["KeyMetadata"]["Enabled"])
            if key in model.tags or model.asked is not None:
                tags = {
                    tag["TagKey"]: tag["TagValue"]
                    for tag in wire.kms("ListResourceTags", KeyId=key).json["Tags"]
                }
                model.expect("tag", key, model.tags.get(key), tags.get("made"))
        for alias, key_of in model.aliases.items():
            reply = wire.kms("DescribeKey", KeyId=alias)
            assert reply.code in ("", "NotFoundException"), f"{reply}\n{server.log}"
            found = reply.json["KeyMetadata"]["KeyId"] if reply.status == 200 else None
            model.expect("alias", alias, key_of, found)
        if model.sealed is not None:
            blob, text = model.sealed
            reply = wire.kms("Decrypt", CiphertextBlob=blob)
            assert reply.code in ("", "DisabledException"), reply
            if not reply.code:
                assert reply.json["Plaintext"] == text
    finally:
        wire.close()


def all_there(server: Server, models: list[Model]) -> None:
    """What earlier kills have left, later ones have not taken."""
    kms = server.client("kms", ADMIN)
    keys = {key["KeyId"] for page in kms.get_paginator("list_keys").paginate() for key in page["Keys"]}
    assert {key for model in models for key in model.enabled} <= keys
    found = {
        alias["AliasName"]: alias["TargetKeyId"]
        for page in kms.get_paginator("list_aliases").paginate()
        for alias in page["Aliases"]
    }
    for model in models:
        for alias, key in model.aliases.items():
            model.expect("alias", alias, key, found.get(alias))


def audited(records: list[bytes], models: list[Model]) -> int:
    """Every acknowledged request is in the journal once. How many there were."""
    ids = Counter(json.loads(record)["requestID"] for record in records)
    acknowledged = [request_id for model in models for request_id in model.acknowledged]
    assert len(set(acknowledged)) == len(acknowledged), "request ids are unique"
    wrong = {request_id: ids[request_id] for request_id in acknowledged if ids[request_id] != 1}
    assert not wrong, f"acknowledged, but not recorded once: {wrong}"
    return len(acknowledged)


def loaded(server: Server, name: str) -> tuple[list[Model], list[threading.Thread]]:
    models = [Model() for _ in range(_THREADS)]
    threads = [
        threading.Thread(target=load, args=(server, f"{name}-{number}", model), daemon=True)
        for number, model in enumerate(models)
    ]
    for thread in threads:
        thread.start()
    return models, threads


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """'' for SQLite in the data directory."""
    if request.param == "sqlite":
        yield ""
        return
    postgres: PostgresServer = request.getfixturevalue("postgres_server")
    url = postgres.new_database()
    yield url
    postgres.drop_database(url)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("part", range(_PARTS))
def test_nothing_acknowledged_is_lost_by_kill_9(tmp_path: Path, database_url: str, part: int) -> None:
    env = {"CASEMATE_DATABASE": database_url}
    seed = str(seed_file(tmp_path))
    everything: list[Model] = []
    killed = 0
    while True:
        with running_server(tmp_path, "--seed", seed, env=env) as server:
            for model in everything[-_THREADS:]:
                checked(server, model)
            if killed == _ROUNDS:
                all_there(server, everything)
                break
            models, threads = loaded(server, f"{part}-{killed}")
            while sum(len(model.acknowledged) for model in models) < 20:
                time.sleep(0.001)
            time.sleep(random.uniform(0.0, 0.4))
            server.kill()
            for thread in threads:
                thread.join(30)
                assert not thread.is_alive(), "a client hangs after the server's death"
        everything += models
        killed += 1
    unexpected = [each for model in everything for each in model.unexpected]
    assert unexpected == [], f"{unexpected}\n{server.log}"
    total = audited(journal_of(tmp_path / "data", database_url), everything)
    assert total >= 20 * _ROUNDS
    assert sum(len(model.enabled) for model in everything) >= _ROUNDS, "there were writes"


@pytest.mark.timeout(240)
def test_a_worker_that_dies_takes_nothing_along(tmp_path: Path) -> None:
    """Workers are killed one by one while the server goes on; their clients notice, and nothing is lost."""
    everything: list[Model] = []
    with running_server(tmp_path, "--workers", "2", "--seed", str(seed_file(tmp_path))) as server:
        tree = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")
        for killed in range(2):  # the supervisor gives up after five quick deaths
            models, threads = loaded(server, f"w-{killed}")
            while sum(len(model.acknowledged) for model in models) < 20:
                time.sleep(0.001)
            for pid in tree.read_text().split():
                time.sleep(random.uniform(0.0, 0.1))
                os.kill(int(pid), signal.SIGKILL)
            for thread in threads:
                thread.join(5)
            everything += models
            stop = time.monotonic() + 30
            while True:
                try:
                    for model in models:
                        checked(server, model)
                    break
                except (OSError, HTTPException):
                    assert time.monotonic() < stop, "no worker takes the dead one's place"
                    time.sleep(0.05)
        for thread in threads:
            thread.join(1)
    audited(journal_of(tmp_path / "data"), everything)
