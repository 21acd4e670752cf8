"""Delivers what is in the outbox, by threads that wait for nobody's transaction: to functions, HTTP endpoints and
mail servers, and again what failed.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from casemate.engine.egress.hosts import Hosts
from casemate.engine.egress.mail import Mail, MailFailed
from casemate.engine.envelope.errors import Tampered
from casemate.gate.acting import in_background
from casemate.services.sns import mails, posting
from casemate.services.sns.delivering import PURPOSE, Delivery, Told, attempt, failed, remove, store
from casemate.services.sns.posting import Failure
from casemate.services.sns.retries import HTTP_PROTOCOLS, MAIL_PROTOCOLS
from casemate.services.sns.topics import Topics

if TYPE_CHECKING:
    from casemate.gate.gate import Gate
    from casemate.store.database import Tx

log = logging.getLogger("casemate.sns")

_THREADS = 32
_IDLE = 0.25
"""Seconds between two looks at what is due."""
_LEASE = 90.0
"""Seconds for which a delivery is left to the worker that has begun it: longer than any takes."""


class Deliverer:
    """One worker's deliveries out of the outbox, between ``start`` and ``stop``. Accounts take turns, and none has
    more threads than are free: an account whose endpoints are slow keeps no other waiting."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._topics: Topics = gate.parts[Topics]
        self._told: Told = gate.parts[Told]
        self._hosts: Hosts = gate.parts[Hosts]
        self._mail: Mail = gate.parts[Mail]
        self._stopped = False
        self._busy: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._last = ""
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="sns-deliver")
        self._loop_thread: threading.Thread | None = None

    def start(self) -> None:
        self._loop_thread = threading.Thread(target=self._loop, name="sns-deliverer", daemon=True)
        self._loop_thread.start()

    def stop(self) -> None:
        """Begin nothing more, and let end what is under way. What waits is delivered later, or by others."""
        self._stopped = True
        self._told.event.set()
        if self._loop_thread is not None:
            self._loop_thread.join()
        self._threads.shutdown(wait=True)

    def _loop(self) -> None:
        told = self._told.event
        while not self._stopped:
            told.wait(_IDLE)
            told.clear()
            try:
                while not self._stopped and self._begin():
                    pass
            except Exception as error:
                log.error("messages cannot be delivered now: %s", type(error).__name__)

    def _begin(self) -> bool:
        """Begin one delivery that is due; whether there was one that may begin."""
        now, rows = self._gate.clock.now(), self._gate.store
        account = rows.read(lambda tx: self._next_account(tx, now))
        if account is None:
            return False
        self._last = account
        row = rows.write(
            lambda tx: tx.one(
                "UPDATE sns_deliveries SET due = ? WHERE id = (SELECT id FROM sns_deliveries "
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
        self._threads.submit(self._run, *row)
        return True

    def _next_account(self, tx: Tx, now: float) -> str | None:
        """The account whose turn it is: the first after the last one that has something due and a thread to spare."""
        with self._lock:
            free = _THREADS - self._busy.total()
            full = {account for account, busy in self._busy.items() if busy >= free}
        if free <= 0:
            return None
        account, turned = self._last, False
        while True:
            row = tx.one(
                "SELECT account FROM sns_deliveries WHERE account > ? ORDER BY account LIMIT 1", (account,)
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
                "SELECT 1 FROM sns_deliveries WHERE account = ? AND due <= ? LIMIT 1", (account, now)
            ):
                return str(account)

    def _run(self, row_id: str, account: str, sealed: bytes) -> None:
        try:
            key = self._gate.store.read(lambda tx: self._topics.keyring.account_key(account, tx))
            delivery = Delivery.read(key.unwrap(sealed, PURPOSE, row_id))
            if not self._arranged(delivery, row_id):
                return
            if delivery.protocol in HTTP_PROTOCOLS:
                self._end(delivery, row_id, posting.post(delivery, self._hosts))
            elif delivery.protocol in MAIL_PROTOCOLS:
                self._end(delivery, row_id, _mailed(delivery, row_id, self._mail))
            else:
                in_background(self._gate, lambda base: attempt(base, delivery, row_id, stored=True))
        except Tampered as error:
            log.error("a delivery of account %s is dropped: %s", account, error)
            self._gate.store.write(lambda tx: remove(tx, row_id))
        except Exception as error:
            # Its lease runs out, and it is tried again.
            log.error("a message could not be delivered: %s", type(error).__name__)
        finally:
            with self._lock:
                self._busy[account] -= 1
                if not self._busy[account]:
                    del self._busy[account]
            self._told.event.set()

    def _arranged(self, delivery: Delivery, row_id: str) -> bool:
        """Whether it may be now. What may be so often a second at most waits for its turn, which is arranged once."""
        now, topics = self._gate.clock.now(), self._topics
        if not delivery.most or 0 < delivery.turn <= now:
            return True

        def arrange(tx: Tx) -> bool:
            turn = _turn(tx, delivery, now)
            if turn <= now:
                return True
            store(tx, topics, row_id, delivery._replace(turn=turn), turn)
            return False

        return self._gate.store.write(arrange)

    def _end(self, delivery: Delivery, row_id: str, failure: Failure | None) -> None:
        if failure is None:
            self._gate.store.write(lambda tx: remove(tx, row_id))
        else:
            in_background(
                self._gate,
                lambda base: failed(base, delivery, row_id, failure.why, final=failure.final),
            )


def _turn(tx: Tx, delivery: Delivery, now: float) -> float:
    """When a subscription's next delivery may be, which is then taken."""
    step = 1.0 / delivery.most
    row = tx.one(
        "INSERT INTO sns_paces (topic, subscription, upto) VALUES (?, ?, ?) "
        "ON CONFLICT (topic, subscription) DO UPDATE SET "
        "upto = CASE WHEN sns_paces.upto > ? THEN sns_paces.upto ELSE ? END + ? RETURNING upto",
        (delivery.topic, delivery.subscription, now + step, now, now, step),
    )
    assert row is not None
    return float(row[0]) - step


def _mailed(delivery: Delivery, row_id: str, mail: Mail) -> Failure | None:
    """What went wrong; None when the mail server has it."""
    notice = delivery.notice
    try:
        mail.send(
            to=delivery.endpoint,
            name=notice.sender or mails.SENDER,
            subject=notice.subject,
            text=notice.text,
            id=row_id,
        )
    except MailFailed as error:
        return Failure(str(error), error.final)
    return None
