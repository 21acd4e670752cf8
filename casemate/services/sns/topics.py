"""The topics of all accounts with their subscriptions: their rows, and what of them is in memory.

Rows are bound as a whole under the account's key. What was altered or moved in the database is not used.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple

from casemate.engine.envelope.errors import Tampered
from casemate.engine.events.pattern import Pattern, compile_pattern
from casemate.engine.policy import Policy, parse, with_names
from casemate.errors import AwsError
from casemate.gate.resource import Resource, Value
from casemate.services.sns.naming import Place
from casemate.services.sns.refusals import unusable
from casemate.store.cache import Cache
from casemate.store.ids import new_id

if TYPE_CHECKING:
    from casemate.gate.call import Call
    from casemate.gate.keyring import Keyring
    from casemate.store.database import Row, Store, Tx

log = logging.getLogger("casemate.sns")

DOMAIN = "sns.topics"

PENDING_FOR = 3 * 86_400.0
"""Seconds for which a subscription waits to be confirmed, and for which one that was ended may be begun again."""

ASKED = "asked "
"""Before a subscription's ARN, of the row of sns_paces that tells when it may be asked to confirm again."""

_TOPIC = "sns topic"
_SUBSCRIPTION = "sns subscription"
_SELECT = "SELECT account, region, name, id, created, settings, seal FROM sns_topics "
_OF_ONE = "WHERE account = ? AND region = ? AND name = ?"


class TopicRow(NamedTuple):
    """A topic as it is stored. created: seconds since the epoch; attributes: those that were set; principals: the
    unique ids of those whom the policy names, by ARN; deleted: how many subscriptions were."""

    place: Place
    id: str
    created: int
    attributes: Mapping[str, str]
    tags: Mapping[str, str]
    principals: Mapping[str, str]
    deleted: int = 0


class SubscriptionRow(NamedTuple):
    """A subscription. attributes: those that were set; base: the URL of the server that the subscriber has called;
    guarded: only who proves to be the owner may end it; created: seconds since the epoch, 0 of old ones."""

    id: str
    topic: Place
    owner: str
    protocol: str
    endpoint: str
    attributes: Mapping[str, str]
    confirmed: bool
    base: str = ""
    guarded: bool = False
    created: float = 0.0

    @property
    def arn(self) -> str:
        return f"{self.topic.arn}:{self.id}"

    @property
    def raw(self) -> bool:
        return self.attributes.get("RawMessageDelivery") == "true"

    @property
    def authenticated(self) -> bool:
        """Whether only a signed request ends it, not the link in its messages."""
        return self.guarded or self.protocol in ("sqs", "lambda")

    def lapsed(self, now: float) -> bool:
        """Whether it was not confirmed in time, so that it is as if it were not there."""
        return not self.confirmed and self.created + PENDING_FOR < now


class Subscription:
    """A subscription as messages meet it."""

    def __init__(self, row: SubscriptionRow) -> None:
        self.row = row

    @cached_property
    def pattern(self) -> Pattern | None:
        """The filter policy; None where everything is wanted."""
        text = self.row.attributes.get("FilterPolicy")
        return None if text is None else compile_pattern(text)

    @property
    def by_body(self) -> bool:
        return self.row.attributes.get("FilterPolicyScope") == "MessageBody"


class Topic(Resource):
    """A topic as operations use it."""

    __slots__ = ("row", "subscriptions")

    def __init__(
        self,
        row: TopicRow,
        policy: Policy | None = None,
        subscriptions: Sequence[Subscription] = (),
        *,
        missing: AwsError | None = None,
    ) -> None:
        super().__init__(
            row.place.arn, row.place.account, policy=policy, type="AWS::SNS::Topic", missing=missing
        )
        self.row = row
        self.subscriptions = subscriptions

    @property
    def place(self) -> Place:
        return self.row.place

    def tags(self) -> Mapping[str, str]:
        return self.row.tags

    def condition(self, key: str, call: Call, request: Mapping[str, Any]) -> Value:  # noqa: ARG002
        return of_request(key, request)


def of_request(key: str, request: Mapping[str, Any]) -> Value:
    """aws:RequestTag/..., aws:TagKeys, sns:Protocol, sns:Endpoint."""
    tags = {tag["Key"]: tag["Value"] for tag in request.get("Tags", ())}
    if key == "aws:tagkeys":
        return [*tags, *request.get("TagKeys", ())] or None
    if key.startswith("aws:requesttag/"):
        return next((str(value) for name, value in tags.items() if name.lower() == key[15:]), None)
    if key in ("sns:protocol", "sns:endpoint"):
        value = request.get("Protocol" if key == "sns:protocol" else "Endpoint")
        return value if isinstance(value, str) else None
    return None


def absent(place: Place, missing: AwsError | None = None) -> Topic:
    """A topic that is not there, as policies see it."""
    return Topic(TopicRow(place, "", 0, {}, {}, {}), missing=missing)


class Topics:
    """SNS's topics, one per worker: ``call.part(Topics)``."""

    def __init__(self, store: Store, keyring: Keyring) -> None:
        self.keyring = keyring
        self._cache: Cache[Place, Topic | None] = Cache(store, DOMAIN, self.load)

    def __repr__(self) -> str:
        return "<Topics>"

    def find(self, call: Call, place: Place) -> Topic | None:
        """The topic; None when there is none. Raises Miss, and InternalError for one whose rows were altered."""
        try:
            return call.fetch(self._cache, place)
        except Tampered as error:
            log.error("topic %s is not used: %s", place.arn, error)
            raise unusable() from error

    def known(self, call: Call, place: Place) -> Topic | None:
        """The same from memory, in a write too: for what changes no topic."""
        try:
            return self._cache.get(place, call.tx)
        except Tampered as error:
            log.error("topic %s is not used: %s", place.arn, error)
            raise unusable() from error

    def load(self, tx: Tx, place: Place) -> Topic | None:
        """The topic as this transaction sees it. Raises Tampered."""
        columns = tx.one(_SELECT + _OF_ONE, place)
        if columns is None:
            return None
        row = self._opened(tx, columns)
        text = row.attributes.get("Policy")
        policy = None if text is None else parse(with_names(text, row.principals), "resource")
        rows = tx.all("SELECT id, sealed FROM sns_subscriptions WHERE topic = ? ORDER BY id", (row.id,))
        found = [self._subscription(tx, row, *each) for each in rows]
        return Topic(row, policy, [Subscription(each) for each in found])

    def after(self, tx: Tx, account: str, region: str, name: str, limit: int) -> list[Place]:
        """The account's topics by name: those after that one."""
        rows = tx.all(
            "SELECT name FROM sns_topics WHERE account = ? AND region = ? AND name > ? ORDER BY name LIMIT ?",
            (account, region, name, limit),
        )
        return [Place(account, region, row[0]) for row in rows]

    def owned(self, tx: Tx, owner: str, region: str, after: str, limit: int) -> list[SubscriptionRow]:
        """An account's subscriptions by ARN: those after that one."""
        rows = tx.all(
            "SELECT t.account, t.region, t.name, t.id, t.created, t.settings, t.seal, s.id, s.sealed "
            "FROM sns_subscriptions AS s JOIN sns_topics AS t ON t.id = s.topic "
            "WHERE s.owner = ? AND s.region = ? AND s.arn > ? ORDER BY s.arn LIMIT ?",
            (owner, region, after, limit),
        )
        return [self._subscription(tx, self._opened(tx, row[:7]), *row[7:]) for row in rows]

    def count(self, tx: Tx, account: str, region: str) -> int:
        row = tx.one("SELECT COUNT(*) FROM sns_topics WHERE account = ? AND region = ?", (account, region))
        assert row is not None
        return int(row[0])

    def count_fifo(self, tx: Tx, account: str, region: str) -> int:
        row = tx.one(
            "SELECT COUNT(*) FROM sns_topics WHERE account = ? AND region = ? "
            "AND substr(name, length(name) - 4) = '.fifo'",
            (account, region),
        )
        assert row is not None
        return int(row[0])

    # Changing, in a write's transaction.

    def create(self, tx: Tx, row: TopicRow) -> None:
        row = row._replace(id=new_id())
        tx.run(
            "INSERT INTO sns_topics (account, region, name, id, created, settings, seal) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            self._sealed(tx, row),
        )
        tx.bump(DOMAIN)

    def save(self, tx: Tx, row: TopicRow) -> None:
        *_, settings, seal = self._sealed(tx, row)
        tx.run(f"UPDATE sns_topics SET settings = ?, seal = ? {_OF_ONE}", (settings, seal, *row.place))
        tx.bump(DOMAIN)

    def delete(self, tx: Tx, row: TopicRow) -> None:
        """Remove the topic with its subscriptions."""
        tx.run(f"DELETE FROM sns_topics {_OF_ONE}", row.place)
        for table in ("sns_subscriptions", "sns_remembered", "sns_sequences", "sns_ended"):
            tx.run(f"DELETE FROM {table} WHERE topic = ?", (row.id,))
        tx.run("DELETE FROM sns_paces WHERE owner = ?", (row.place.arn,))
        tx.bump(DOMAIN)

    def subscribe(self, tx: Tx, topic: TopicRow, row: SubscriptionRow) -> None:
        """Make a subscription, or put another in place of the one of its id."""
        tx.run(
            "INSERT INTO sns_subscriptions (topic, id, account, region, owner, arn, endpoint, sealed, filtered) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (topic, id) DO UPDATE SET sealed = excluded.sealed, filtered = excluded.filtered",
            (
                topic.id,
                row.id,
                topic.place.account,
                topic.place.region,
                row.owner,
                row.arn,
                sha256(f"{row.protocol} {row.endpoint}".encode()).hexdigest()[:40],
                self._sealed_subscription(tx, topic, row),
                int("FilterPolicy" in row.attributes),
            ),
        )
        tx.bump(DOMAIN)

    def unsubscribe(self, tx: Tx, topic: TopicRow, row: SubscriptionRow) -> None:
        tx.run("DELETE FROM sns_subscriptions WHERE topic = ? AND id = ?", (topic.id, row.id))
        tx.run(
            "DELETE FROM sns_paces WHERE owner = ? AND name IN (?, ?)",
            (topic.place.arn, row.arn, f"{ASKED}{row.arn}"),
        )
        self.save(tx, topic._replace(deleted=topic.deleted + 1))

    def filtered(self, tx: Tx, account: str, region: str) -> int:
        """How many filter policies there are of an account's topics."""
        row = tx.one(
            "SELECT COUNT(*) FROM sns_subscriptions WHERE account = ? AND region = ? AND filtered = 1",
            (account, region),
        )
        assert row is not None
        return int(row[0])

    # Subscriptions that were ended by the link in a message.

    def remember_ended(self, tx: Tx, topic: TopicRow, row: SubscriptionRow, now: float) -> None:
        tx.run("DELETE FROM sns_ended WHERE topic = ? AND until < ?", (topic.id, now))
        tx.run(
            "INSERT INTO sns_ended (topic, id, until, sealed) VALUES (?, ?, ?, ?)",
            (topic.id, row.id, now + PENDING_FOR, self._sealed_subscription(tx, topic, row)),
        )

    def begun_again(self, tx: Tx, topic: TopicRow, id_: str, now: float) -> SubscriptionRow | None:
        """One that was ended, and is to be there again; None where there is none. Raises Tampered."""
        found = tx.one(
            "DELETE FROM sns_ended WHERE topic = ? AND id = ? AND until >= ? RETURNING sealed",
            (topic.id, id_, now),
        )
        return None if found is None else self._subscription(tx, topic, id_, found[0])

    # What rows are bound to.

    def _sealed(self, tx: Tx, row: TopicRow) -> tuple[Any, ...]:
        text = json.dumps(row[3:])
        seal = self.keyring.account_key(row.place.account, tx).wrap(b"", _TOPIC, *_bound(row, text))
        return (*row.place, row.id, row.created, text, seal)

    def _opened(self, tx: Tx, columns: Row) -> TopicRow:
        account, region, name, topic_id, created, text, seal = columns
        row = TopicRow(Place(account, region, name), topic_id, created, {}, {}, {})
        self.keyring.account_key(account, tx).unwrap(seal, _TOPIC, *_bound(row, text))
        return TopicRow(row.place, topic_id, created, *json.loads(text))

    def _sealed_subscription(self, tx: Tx, topic: TopicRow, row: SubscriptionRow) -> bytes:
        return self.keyring.account_key(topic.place.account, tx).wrap(
            json.dumps([row.owner, *row[3:]]).encode(), _SUBSCRIPTION, topic.id, row.id
        )

    def _subscription(self, tx: Tx, topic: TopicRow, id_: str, sealed: bytes) -> SubscriptionRow:
        text = self.keyring.account_key(topic.place.account, tx).unwrap(sealed, _SUBSCRIPTION, topic.id, id_)
        owner, *rest = json.loads(text)
        return SubscriptionRow(id_, topic.place, owner, *rest)


def _bound(row: TopicRow, text: str) -> tuple[str, ...]:
    return (row.place.region, row.place.name, row.id, str(row.created), text)
