"""The queues of all accounts: their rows, and what of them is in memory.

A row is bound as a whole under the account's key. What was altered or moved in the database is not used.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from casemate.engine.envelope.errors import Tampered
from casemate.engine.policy import Policy, parse, with_names
from casemate.errors import AwsError
from casemate.gate.resource import Resource, Value
from casemate.services.sqs import attributes
from casemate.services.sqs.naming import Place
from casemate.services.sqs.refusals import unusable
from casemate.store.cache import Cache
from casemate.store.ids import new_id

if TYPE_CHECKING:
    from casemate.gate.call import Call
    from casemate.gate.keyring import Keyring
    from casemate.store.database import Row, Store, Tx

log = logging.getLogger("casemate.sqs")

DOMAIN = "sqs.queues"

_PURPOSE = "sqs queue"
_SELECT = "SELECT account, region, name, id, created, settings, dead_letters, seal FROM sqs_queues "
_OF_ONE = "WHERE account = ? AND region = ? AND name = ?"


class QueueRow(NamedTuple):
    """A queue as it is stored. created: seconds since the epoch; attributes: those that were set; principals: the
    unique ids of those whom the policy names, by ARN; modified: seconds since the epoch; contents: which messages are
    its; purged: when it was, 0 if never."""

    place: Place
    id: str
    created: int
    attributes: Mapping[str, str]
    tags: Mapping[str, str]
    principals: Mapping[str, str]
    modified: int
    contents: str
    purged: float = 0.0

    @property
    def policy(self) -> str:
        return self.attributes.get("Policy", "")

    def number(self, name: str) -> int:
        """The value of a numeric attribute."""
        return attributes.number(self.attributes, name)


class Queue(Resource):
    """A queue as operations use it. redrive: where messages go that are received too often."""

    __slots__ = ("redrive", "row")

    def __init__(
        self, row: QueueRow, policy: Policy | None = None, *, missing: AwsError | None = None
    ) -> None:
        super().__init__(
            row.place.arn, row.place.account, policy=policy, type="AWS::SQS::Queue", missing=missing
        )
        self.row = row
        text = row.attributes.get("RedrivePolicy")
        self.redrive = None if text is None else attributes.read_redrive(text)

    @property
    def place(self) -> Place:
        return self.row.place

    def tags(self) -> Mapping[str, str]:
        return self.row.tags

    def condition(self, key: str, call: Call, request: Mapping[str, Any]) -> Value:  # noqa: ARG002
        return of_request(key, request)


def of_request(key: str, request: Mapping[str, Any]) -> Value:
    """aws:RequestTag/..., aws:TagKeys."""
    tags = request.get("tags", request.get("Tags"))
    if key == "aws:tagkeys":
        keys = request.get("TagKeys")
        return list(keys if keys is not None else tags or ()) or None
    if key.startswith("aws:requesttag/") and isinstance(tags, Mapping):
        return next((str(value) for name, value in tags.items() if name.lower() == key[15:]), None)
    return None


def absent(place: Place, missing: AwsError | None = None) -> Queue:
    """A queue that is not there, as policies see it."""
    return Queue(QueueRow(place, "", 0, {}, {}, {}, 0, ""), missing=missing)


class Queues:
    """SQS's queues, one per worker: ``call.part(Queues)``."""

    def __init__(self, store: Store, keyring: Keyring) -> None:
        self.keyring = keyring
        self._cache: Cache[Place, Queue | None] = Cache(store, DOMAIN, self.load)

    def __repr__(self) -> str:
        return "<Queues>"

    def find(self, call: Call, place: Place) -> Queue | None:
        """The queue; None when there is none. Raises Miss, and InternalFailure for one whose row was altered."""
        try:
            return call.fetch(self._cache, place)
        except Tampered as error:
            log.error("queue %s is not used: %s", place.arn, error)
            raise unusable() from error

    def known(self, call: Call, place: Place) -> Queue | None:
        """The same from memory, in a write too: for what changes no queue. Whoever changes one in the same group of
        commits comes after."""
        try:
            return self._cache.get(place, call.tx)
        except Tampered as error:
            log.error("queue %s is not used: %s", place.arn, error)
            raise unusable() from error

    def load(self, tx: Tx, place: Place) -> Queue | None:
        """The queue as this transaction sees it. Raises Tampered."""
        row = tx.one(_SELECT + _OF_ONE, place)
        return None if row is None else _queue(self._opened(tx, row))

    def after(self, tx: Tx, account: str, region: str, name: str, prefix: str, limit: int) -> list[Place]:
        """The account's queues by name: those after that one, whose names begin with the prefix."""
        rows = tx.all(
            "SELECT name FROM sqs_queues WHERE account = ? AND region = ? AND name > ? AND substr(name, 1, ?) = ? "
            "ORDER BY name LIMIT ?",
            (account, region, name, len(prefix), prefix, limit),
        )
        return [Place(account, region, row[0]) for row in rows]

    def sources(self, tx: Tx, target: Place, name: str, limit: int) -> list[Place]:
        """The queues whose dead-letter queue it is, by name: those after that one."""
        rows = tx.all(
            "SELECT account, region, name FROM sqs_queues WHERE dead_letters = ? AND name > ? ORDER BY name LIMIT ?",
            (target.arn, name, limit),
        )
        return [Place(*row) for row in rows]

    def every(self, tx: Tx, after: str, limit: int) -> list[QueueRow]:
        """All accounts' queues by id, those after one. Rows that were altered are left out."""
        found = []
        for row in tx.all(_SELECT + "WHERE id > ? ORDER BY id LIMIT ?", (after, limit)):
            try:
                found.append(self._opened(tx, row))
            except Tampered as error:
                log.error("queue %s of account %s is not used: %s", row[2], row[0], error)
        return found

    # Changing, in a write's transaction.

    def create(self, tx: Tx, row: QueueRow) -> QueueRow:
        row = row._replace(id=new_id(), contents=new_id())
        tx.run(
            "INSERT INTO sqs_queues (account, region, name, id, created, settings, dead_letters, seal) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            self._sealed(tx, row),
        )
        tx.bump(DOMAIN)
        return row

    def save(self, tx: Tx, row: QueueRow) -> None:
        *_, settings, dead_letters, seal = self._sealed(tx, row)
        tx.run(
            f"UPDATE sqs_queues SET settings = ?, dead_letters = ?, seal = ? {_OF_ONE}",
            (settings, dead_letters, seal, *row.place),
        )
        tx.bump(DOMAIN)

    def delete(self, tx: Tx, row: QueueRow) -> None:
        """Remove the queue. Its messages' rows go by and by; nobody finds them any more."""
        tx.run(f"DELETE FROM sqs_queues {_OF_ONE}", row.place)
        for table in ("sqs_sequences", "sqs_remembered"):
            tx.run(f"DELETE FROM {table} WHERE queue = ?", (row.id,))
        self.empty(tx, row)
        tx.bump(DOMAIN)

    def empty(self, tx: Tx, row: QueueRow) -> None:
        """Let the messages' rows be removed."""
        account, region, _ = row.place
        tx.run(
            "INSERT INTO sqs_emptied (contents, account, region) VALUES (?, ?, ?)",
            (row.contents, account, region),
        )

    # What rows are bound to.

    def _sealed(self, tx: Tx, row: QueueRow) -> tuple[Any, ...]:
        text = json.dumps([row.attributes, row.tags, row.principals, row.modified, row.contents, row.purged])
        redrive = row.attributes.get("RedrivePolicy")
        dead_letters = "" if redrive is None else attributes.read_redrive(redrive).target.arn
        seal = self.keyring.account_key(row.place.account, tx).wrap(
            b"", _PURPOSE, *_bound(row.place, row.id, row.created, text)
        )
        return (*row.place, row.id, row.created, text, dead_letters, seal)

    def _opened(self, tx: Tx, columns: Row) -> QueueRow:
        account, region, name, queue_id, created, text, _, seal = columns
        place = Place(account, region, name)
        self.keyring.account_key(account, tx).unwrap(seal, _PURPOSE, *_bound(place, queue_id, created, text))
        return QueueRow(place, queue_id, created, *json.loads(text))


def _bound(place: Place, queue_id: str, created: int, text: str) -> tuple[str, ...]:
    return (place.region, place.name, queue_id, str(created), text)


def _queue(row: QueueRow) -> Queue:
    policy = parse(with_names(row.policy, row.principals), "resource") if row.policy else None
    return Queue(row, policy)
