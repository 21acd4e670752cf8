"""A worker's gate with all services, in this process, and callers in it: for what services do by themselves."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from casemate.api import iam
from casemate.gate.acting import in_background
from casemate.gate.call import Call
from casemate.server.composition import Worker, open_data, open_worker
from casemate.server.config import Config
from casemate.server.first_start import first_start, prepare_data
from casemate.server.journal_cipher import JournalCipher
from casemate.store.journal_reader import read_journal

T = TypeVar("T")

ACCOUNT = "111122223333"
REGION = "us-east-1"


class Household:
    """A worker, and its administrator's calls."""

    def __init__(self, worker: Worker, administrator: str) -> None:
        self.worker = worker
        self.gate = worker.gate
        self._administrator = administrator

    def by_admin(self, work: Callable[[Call], T]) -> T:
        """What work returns, done by the administrator."""

        def run(call: Call) -> T:
            credential = self.gate.directory.credential(self._administrator, call.tx)
            assert credential is not None
            call.identity, call.account, call.region = credential.identity, ACCOUNT, REGION
            return work(call)

        return in_background(self.gate, run)

    def role(self, name: str, trusted: str, *statements: Any, **condition: Any) -> str:
        """A new role that a service may assume; its ARN."""
        trust = {
            "Effect": "Allow",
            "Principal": {"Service": trusted},
            "Action": "sts:AssumeRole",
            **condition,
        }

        def make(call: Call) -> str:
            made = iam.CreateRole.ask(call, {"RoleName": name, "AssumeRolePolicyDocument": document(trust)})
            iam.PutRolePolicy.ask(
                call, {"RoleName": name, "PolicyName": "own", "PolicyDocument": document(*statements)}
            )
            return made["Role"]["Arn"]

        return self.by_admin(make)

    def records(self, name: str) -> list[dict[str, Any]]:
        """The audit's records of an operation."""
        opened = self.worker.opened
        self.worker.journal.close()
        found = [
            json.loads(record)
            for _, record in read_journal(opened.config.journal, JournalCipher(opened.root))
        ]
        return [record for record in found if record["eventName"] == name]


def document(*statements: Any) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


@contextmanager
def household_in(folder: Path, database: str = "") -> Iterator[Household]:
    """database: a URL of PostgreSQL's, SQLite unless given."""
    config = Config(data=folder / "data", account=ACCOUNT, region=REGION, database=database)
    prepare_data(config)
    opened = open_data(config)
    administrator = first_start(opened)
    assert administrator is not None
    loop = asyncio.new_event_loop()
    worker = open_worker(config, 0, loop, opened)
    try:
        yield Household(worker, administrator.key.id)
    finally:
        worker.close()
        loop.close()
