"""Delivers what is in the outbox, by threads that wait for nobody's transaction: to functions, HTTP endpoints and
mail servers, and again what failed.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from casemate.engine.egress.hosts import Hosts
from casemate.engine.egress.mail import Mail, MailFailed
from casemate.engine.envelope.errors import Tampered
from casemate.gate import turns
from casemate.gate.acting import in_background
from casemate.gate.turns import Senders
from casemate.services.sns import mails, posting
from casemate.services.sns.delivering import PURPOSE, TABLE, Delivery, Told, attempt, failed, store
from casemate.services.sns.posting import Failure
from casemate.services.sns.retries import HTTP_PROTOCOLS, MAIL_PROTOCOLS
from casemate.services.sns.topics import Topics

if TYPE_CHECKING:
    from casemate.gate.gate import Gate
    from casemate.store.database import Tx

log = logging.getLogger("casemate.sns")


class Deliverer(Senders):
    """One worker's deliveries out of the outbox, between ``start`` and ``stop``."""

    def __init__(self, gate: Gate) -> None:
        super().__init__(gate, TABLE, gate.parts[Told], self._deliver)
        self._topics: Topics = gate.parts[Topics]
        self._hosts: Hosts = gate.parts[Hosts]
        self._mail: Mail = gate.parts[Mail]

    def _deliver(self, row_id: str, account: str, sealed: bytes) -> None:
        gate = self._gate
        key = gate.store.read(lambda tx: self._topics.keyring.account_key(account, tx))
        try:
            delivery = Delivery.read(key.unwrap(sealed, PURPOSE, row_id))
        except Tampered as error:
            log.error("a delivery of account %s is dropped: %s", account, error)
            gate.store.write(lambda tx: turns.remove(tx, TABLE, row_id))
            return
        if not self._arranged(delivery, row_id):
            return
        if delivery.protocol in HTTP_PROTOCOLS:
            self._end(delivery, row_id, posting.post(delivery, self._hosts))
        elif delivery.protocol in MAIL_PROTOCOLS:
            self._end(delivery, row_id, _mailed(delivery, row_id, self._mail))
        else:
            in_background(gate, lambda base: attempt(base, delivery, row_id, stored=True))

    def _arranged(self, delivery: Delivery, row_id: str) -> bool:
        """Whether it may be now. What may be so often a second at most waits for its turn, which is arranged once."""
        now, topics = self._gate.clock.now(), self._topics
        if not delivery.most or 0 < delivery.turn <= now:
            return True

        def arrange(tx: Tx) -> bool:
            turn = turns.turn(tx, "sns_paces", delivery.topic, delivery.subscription, delivery.most, now)
            if turn <= now:
                return True
            store(tx, topics, row_id, delivery._replace(turn=turn), turn)
            return False

        return self._gate.store.write(arrange)

    def _end(self, delivery: Delivery, row_id: str, failure: Failure | None) -> None:
        if failure is None:
            self._gate.store.write(lambda tx: turns.remove(tx, TABLE, row_id))
        else:
            in_background(
                self._gate,
                lambda base: failed(base, delivery, row_id, failure.why, final=failure.final),
            )


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
