"""What waits to be sent to other machines, in rows of a table, and the threads of a worker that send it.

A table of such rows has the columns id, account, due (seconds since the epoch) and sealed, and an index by account,
due and id. Accounts take turns, and none has more threads than are free: one whose endpoints are slow keeps no other
waiting. A row that has begun is left to its thread for a lease, after which, should the worker have died, another one
begins it again: what is sent is sent at least once.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from casemate.gate.gate import Gate
    from casemate.store.database import Row, Tx

log = logging.getLogger("casemate.gate")

THREADS = 32
_IDLE = 0.25
"""Seconds between two looks at what is due."""
_LEASE = 90.0
"""Longer than anything that is sent may take."""


class Told:
    """Whether one of this process's transactions has put something into the table."""

    def __init__(self) -> None:
        self.event = threading.Event()


class Senders:
    """One worker's threads, between ``start`` and ``stop``. table: whose rows; told: set when there is something new;
    send: what is done with a row, given its id, account and sealed content. It removes the row, or lets it be due
    later; what it raises is logged without its text, and the row is begun again after its lease."""

    def __init__(self, gate: Gate, table: str, told: Told, send: Callable[[str, str, bytes], None]) -> None:
        self._gate = gate
        self._table = table
        self._told = told
        self._send = send
        self._stopped = False
        self._busy: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._last = ""
        self.threads = ThreadPoolExecutor(THREADS, thread_name_prefix=table)
        self._loop_thread: threading.Thread | None = None

    def start(self) -> None:
        self._loop_thread = threading.Thread(target=self._loop, name=f"{self._table} turns", daemon=True)
        self._loop_thread.start()

    def stop(self) -> None:
        """Begin nothing more, and let end what is under way. What waits is sent later, or by others."""
        self._stopped = True
        self._told.event.set()
        if self._loop_thread is not None:
            self._loop_thread.join()
        self.threads.shutdown(wait=True)

    def _loop(self) -> None:
        told = self._told.event
        while not self._stopped:
            told.wait(_IDLE)
            told.clear()
            try:
                while not self._stopped and self.begin():
                    pass
            except Exception as error:
                log.error("nothing of %s can be sent now: %s", self._table, type(error).__name__)

    def begin(self) -> bool:
        """Begin with a row that is due; whether there was one that may begin."""
        now, store = self._gate.clock.now(), self._gate.store
        account = store.read(lambda tx: self._next_account(tx, now))
        if account is None:
            return False
        self._last = account
        row = store.write(
            lambda tx: tx.one(
                f"UPDATE {self._table} SET due = ? WHERE id = (SELECT id FROM {self._table} "
                "WHERE account = ? AND due <= ? ORDER BY due, id LIMIT 1 /*pg FOR UPDATE SKIP LOCKED */) "
                "RETURNING id, account, sealed",
                (now + _LEASE, account, now),
            )
        )
        if row is None:
            # Another worker has it.
            return False
        with self._lock:
            self._busy[account] += 1
        self.threads.submit(self._run, *row)
        return True

    def _next_account(self, tx: Tx, now: float) -> str | None:
        """The account whose turn it is: the first after the last one that has something due and a thread to spare."""
        with self._lock:
            free = THREADS - self._busy.total()
            full = {account for account, busy in self._busy.items() if busy >= free}
        if free <= 0:
            return None
        account, turned = self._last, False
        while True:
            row = tx.one(
                f"SELECT account FROM {self._table} WHERE account > ? ORDER BY account LIMIT 1", (account,)
            )
            if row is None:
                if turned:
                    return None
                account, turned = "", True
                continue
            account = row[0]
            if turned and account > self._last:
                return None
            if account not in full and tx.one(
                f"SELECT 1 FROM {self._table} WHERE account = ? AND due <= ? LIMIT 1", (account, now)
            ):
                return str(account)

    def _run(self, row_id: str, account: str, sealed: bytes) -> None:
        try:
            self._send(row_id, account, sealed)
        except Exception as error:
            log.error("a row of %s could not be sent: %s", self._table, type(error).__name__)
        finally:
            with self._lock:
                self._busy[account] -= 1
                if not self._busy[account]:
                    del self._busy[account]
            self._told.event.set()


def remove(tx: Tx, table: str, row_id: str) -> None:
    """Nothing more is to be sent of a row."""
    tx.run(f"DELETE FROM {table} WHERE id = ?", (row_id,))


def put(tx: Tx, table: str, row_id: str, account: str, due: float, sealed: bytes) -> None:
    """Let something be sent, or sent again, from then on."""
    tx.run(
        f"INSERT INTO {table} (id, account, due, sealed) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (id) DO UPDATE SET due = excluded.due, sealed = excluded.sealed",
        (row_id, account, due, sealed),
    )


def turn(tx: Tx, table: str, owner: str, name: str, most: float, now: float) -> float:
    """When the next of what may be so often a second at most may be, which is then taken. table: has the columns
    owner, name (together its key) and upto."""
    step = 1.0 / most
    row = tx.one(
        f"INSERT INTO {table} (owner, name, upto) VALUES (?, ?, ?) ON CONFLICT (owner, name) DO UPDATE SET "
        f"upto = CASE WHEN {table}.upto > ? THEN {table}.upto ELSE ? END + ? RETURNING upto",
        (owner, name, now + step, now, now, step),
    )
    assert row is not None
    return float(row[0]) - step


def take(tx: Tx, table: str, columns: str, after: str, most: int, due: float | None = None) -> list[Row]:
    """Take rows away, up to so many, of which each account that has some gets its share, from the one after ``after``
    on. The oldest of each account; of a table with the column due, those that are due by then."""
    names = _accounts(tx, table, after, most, due)
    taken: list[Row] = []
    until, oldest = ("", "id") if due is None else ("AND due <= ? ", "due, id")
    for at, account in enumerate(names):
        share = -(-(most - len(taken)) // (len(names) - at))
        given = (account, share) if due is None else (account, due, share)
        taken += tx.all(
            f"DELETE FROM {table} WHERE id IN (SELECT id FROM {table} WHERE account = ? {until}"
            f"ORDER BY {oldest} LIMIT ? /*pg FOR UPDATE SKIP LOCKED */) RETURNING {columns}",
            given,
        )
    return taken


def _accounts(tx: Tx, table: str, after: str, most: int, due: float | None) -> list[str]:
    """Accounts that have rows, by then due, up to so many, from the one after ``after`` on, and round."""
    found = list[str]()
    for start, end in ((after, None), ("", after)):
        account = start
        while len(found) < most:
            row = tx.one(
                f"SELECT account FROM {table} WHERE account > ? ORDER BY account LIMIT 1", (account,)
            )
            if row is None or (end is not None and row[0] > end):
                break
            account = row[0]
            if due is None or tx.one(
                f"SELECT 1 FROM {table} WHERE account = ? AND due <= ? LIMIT 1", (account, due)
            ):
                found.append(account)
    return found
