"""Subscriptions: Subscribe, ConfirmSubscription, Unsubscribe, their attributes and lists."""

from __future__ import annotations

import json
import re
from binascii import Error as Base64Error
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qs
from uuid import uuid4

from casemate.api import sns
from casemate.engine.envelope.errors import Tampered
from casemate.errors import AwsError
from casemate.gate import turns
from casemate.gate.authenticate import authenticate
from casemate.gate.identity import ANONYMOUS, Identity
from casemate.gate.operation import Need
from casemate.gate.regions import regions
from casemate.services.sns import attributes, delivering, delivery_policies, notices
from casemate.services.sns.endpoints import check_endpoint
from casemate.services.sns.naming import read_arn, read_endpoint
from casemate.services.sns.quotas import FIFO_SUBSCRIPTIONS, FILTERS, FILTERS_OF_TOPIC, PENDING
from casemate.services.sns.refusals import invalid
from casemate.services.sns.retries import HTTP_PROTOCOLS, MAIL_PROTOCOLS
from casemate.services.sns.targets import (
    AccountWide,
    Subscribed,
    account_wide,
    named_subscription,
    named_topic,
)
from casemate.services.sns.topic_operations import PAGE, next_page, page_of
from casemate.services.sns.topics import ASKED, PENDING_FOR, SubscriptionRow, Topic, TopicRow, Topics

if TYPE_CHECKING:
    from casemate.gate.call import Call

_TOKEN = "sns confirmation"  # noqa: S105
_TOKEN_FOR = 2 * 86_400.0
"""Seconds. Source: "Subscribe"."""
_ASKED_EVERY = 60.0
"""Seconds between two mails that ask for the same confirmation, at least."""
_PASSWORD = re.compile(r"^(https?://[^/?#@:]*:)[^/?#]*@")


@sns.Subscribe.writes(named_topic)
def subscribe(call: Call, req: sns.SubscribeInput, topic: Topic) -> sns.SubscribeResponse:
    """Let an endpoint be sent what the topic is; one that belongs to somebody else must confirm it first."""
    protocol, endpoint = req["Protocol"], req.get("Endpoint", "")
    given: Mapping[str, str] = req.get("Attributes", {})
    owned = check_endpoint(call, topic, protocol, endpoint)
    for name, value in given.items():
        attributes.subscription_attribute(protocol, name, value)
    _check_redrive(topic, given.get("RedrivePolicy", ""))
    wanted = {name: value for name, value in given.items() if value and value != "{}"}
    attributes.check_together(protocol, wanted)
    topics, others = call.part(Topics), list[SubscriptionRow]()
    for each in topic.subscriptions:
        row = each.row
        if row.lapsed(call.now):
            topics.unsubscribe(call.tx, topic.row, row)
        elif (row.protocol, row.endpoint) != (protocol, endpoint):
            others.append(row)
        else:
            if any(row.attributes.get(name, "") != given[name] for name in given):
                raise invalid("Attributes Reason: Subscription already exists with different attributes")
            if not row.confirmed and _may_ask(call, row):
                _ask_to_confirm(call, topic.row, row)
            return _answer(row, req)
    _check_quotas(call, topic, others, wanted, confirmed=owned)
    row = SubscriptionRow(
        str(uuid4()),
        topic.place,
        call.account,
        protocol,
        endpoint,
        wanted,
        owned,
        _base(call),
        created=call.now,
    )
    topics.subscribe(call.tx, topic.row, row)
    if not owned and _may_ask(call, row):
        _ask_to_confirm(call, topic.row, row)
    return _answer(row, req)


def _may_ask(call: Call, row: SubscriptionRow) -> bool:
    """Whether an endpoint may be asked to confirm now: of whoever reads mails, once in a while is enough."""
    if row.protocol not in MAIL_PROTOCOLS:
        return True
    asked = (row.topic.arn, f"{ASKED}{row.arn}")
    last = call.tx.one("SELECT upto FROM sns_paces WHERE owner = ? AND name = ?", asked)
    if last is not None and last[0] > call.now:
        return False
    turns.turn(call.tx, "sns_paces", *asked, 1 / _ASKED_EVERY, call.now)
    return True


def _check_quotas(
    call: Call, topic: Topic, others: Sequence[SubscriptionRow], wanted: Mapping[str, str], *, confirmed: bool
) -> None:
    """Whether one more subscription may be. Raises SubscriptionLimitExceeded, FilterPolicyLimitExceeded."""
    if topic.place.fifo and len(others) >= call.limit(FIFO_SUBSCRIPTIONS):
        raise AwsError("SubscriptionLimitExceededException", "Subscription limit per topic exceeded", 403)
    if not confirmed and sum(not row.confirmed for row in others) >= call.limit(PENDING):
        raise AwsError("SubscriptionLimitExceededException", "Pending subscription limit exceeded", 403)
    if "FilterPolicy" in wanted:
        _check_filters(call, topic.row, others)


def _check_filters(call: Call, topic: TopicRow, others: Sequence[SubscriptionRow]) -> None:
    """Whether one more filter policy may be. Raises FilterPolicyLimitExceeded."""
    place = topic.place
    if sum("FilterPolicy" in row.attributes for row in others) >= call.limit(FILTERS_OF_TOPIC) or call.part(
        Topics
    ).filtered(call.tx, place.account, place.region) >= call.limit(FILTERS):
        raise AwsError("FilterPolicyLimitExceededException", "Filter policy limit exceeded", 403)


def _answer(row: SubscriptionRow, request: Mapping[str, Any]) -> sns.SubscribeResponse:
    shown = row.confirmed or request.get("ReturnSubscriptionArn")
    return {"SubscriptionArn": row.arn if shown else "pending confirmation"}


def _base(call: Call) -> str:
    """The URL of this server, as the client has called it."""
    if not call.host:
        return f"https://sns.{call.region}.amazonaws.com"
    return f"{'http' if call.tls is None else 'https'}://{call.host}"


def _check_redrive(topic: Topic, text: str) -> None:
    if not text:
        return
    arn = attributes.read_redrive(text)
    found = read_endpoint(arn)
    assert found is not None
    if found.region != topic.place.region:
        raise invalid("RedrivePolicy: must be in the same Region as the topic")
    if found.resource.endswith(".fifo") != topic.place.fifo:
        raise invalid("RedrivePolicy: must be a queue of the topic's type")


def _ask_to_confirm(call: Call, topic: TopicRow, row: SubscriptionRow, *, ended: bool = False) -> None:
    """Send an endpoint the token by which its subscription begins or, ended, begins again."""
    key = call.part(Topics).keyring.account_key(topic.place.account, call.tx)
    until = call.now + (PENDING_FOR if ended else _TOKEN_FOR)
    sealed = key.wrap(json.dumps([row.id, until]).encode(), _TOKEN, topic.id)
    notice = notices.confirmation(call, topic, row, notices.token_of(sealed), ended=ended)
    delivering.enqueue(call, topic, row, notice)


@sns.ListSubscriptions.reads(account_wide)
def list_subscriptions(
    call: Call, req: sns.ListSubscriptionsInput, target: AccountWide
) -> sns.ListSubscriptionsResponse:
    """The account's subscriptions by ARN, a hundred on each page."""
    after = page_of(req, "ListSubscriptions")
    rows = call.part(Topics).owned(call.tx, call.account, call.region, after, PAGE + 1)
    shown = [_shown(row) for row in rows[:PAGE]]
    more = next_page("ListSubscriptions", [row.arn for row in rows])
    return cast("sns.ListSubscriptionsResponse", {"Subscriptions": shown, **more})


@sns.ListSubscriptionsByTopic.reads(named_topic)
def list_subscriptions_by_topic(
    call: Call, req: sns.ListSubscriptionsByTopicInput, topic: Topic
) -> sns.ListSubscriptionsByTopicResponse:
    """The topic's subscriptions, a hundred on each page."""
    after = page_of(req, "ListSubscriptionsByTopic")
    rows = [each.row for each in topic.subscriptions if each.row.id > after]
    rows = [row for row in rows if not row.lapsed(call.now)][: PAGE + 1]
    shown = [_shown(row) for row in rows[:PAGE]]
    more = next_page("ListSubscriptionsByTopic", [row.id for row in rows])
    return cast("sns.ListSubscriptionsByTopicResponse", {"Subscriptions": shown, **more})


def _shown_endpoint(row: SubscriptionRow) -> str:
    """Without the password that a URL may have."""
    return _PASSWORD.sub(r"\1****@", row.endpoint)


def _shown(row: SubscriptionRow) -> sns.Subscription:
    return {
        "SubscriptionArn": row.arn if row.confirmed else "PendingConfirmation",
        "Owner": row.owner,
        "Protocol": row.protocol,
        "Endpoint": _shown_endpoint(row),
        "TopicArn": row.topic.arn,
    }


@sns.GetSubscriptionAttributes.reads(named_subscription)
def get_subscription_attributes(
    call: Call, req: sns.GetSubscriptionAttributesInput, target: Subscribed
) -> sns.GetSubscriptionAttributesResponse:
    """All that the subscription has."""
    row, topic = target.found
    found = {
        "RawMessageDelivery": "false",
        **row.attributes,
        "SubscriptionArn": row.arn,
        "TopicArn": row.topic.arn,
        "Owner": row.owner,
        "Protocol": row.protocol,
        "Endpoint": _shown_endpoint(row),
        "PendingConfirmation": "false" if row.confirmed else "true",
        "ConfirmationWasAuthenticated": "true" if row.authenticated else "false",
    }
    if "FilterPolicy" in row.attributes:
        found.setdefault("FilterPolicyScope", "MessageAttributes")
    if row.protocol in HTTP_PROTOCOLS:
        policy = delivery_policies.applying(topic.attributes, row.attributes)
        found["EffectiveDeliveryPolicy"] = delivery_policies.effective_of_subscription(policy)
    return {"Attributes": found}


@sns.SetSubscriptionAttributes.writes(named_subscription)
def set_subscription_attributes(
    call: Call, req: sns.SetSubscriptionAttributesInput, target: Subscribed
) -> sns.SetSubscriptionAttributesResponse:
    """Change one attribute; without a value, take it away."""
    row, topic = target.found
    name, value = req["AttributeName"], req.get("AttributeValue", "")
    attributes.subscription_attribute(row.protocol, name, value)
    if name == "RedrivePolicy":
        _check_redrive(Topic(topic), value)
    changed = dict(row.attributes)
    changed.pop(name, None)
    if value and value != "{}":
        changed[name] = value
    attributes.check_together(row.protocol, changed)
    if "FilterPolicy" in changed and "FilterPolicy" not in row.attributes:
        of_topic = call.part(Topics).find(call, topic.place)
        others = [each.row for each in of_topic.subscriptions] if of_topic is not None else []
        _check_filters(call, topic, others)
    call.part(Topics).subscribe(call.tx, topic, row._replace(attributes=changed))
    return {}


def _signer(call: Call, request: Mapping[str, Any]) -> Identity:
    """Whoever signs; nobody for who follows a link, whose token is looked at later."""
    route = call.route
    assert route is not None
    if authenticate(call, route, call.gate.directory):
        return call.identity
    # A link is of the Region of what it names.
    named = read_arn(request.get("SubscriptionArn") or request.get("TopicArn") or "")
    if named is not None and named[0].region in regions():
        call.region = named[0].region
    return ANONYMOUS


def _followed(call: Call, request: Mapping[str, Any]) -> Subscribed:
    """SubscriptionArn, and whether it is named by the link that its endpoint was sent."""
    target = named_subscription(call, request)
    if call.identity is not ANONYMOUS or target.row is None or target.row.authenticated:
        return target
    row, topic = target.found
    tokens = parse_qs(call.exchange.query.decode("latin-1")).get("Token", ())
    key = call.part(Topics).keyring.account_key(topic.place.account, call.tx)
    for token in tokens[:1]:
        with suppress(Base64Error, ValueError, Tampered):
            key.unwrap(notices.read_token(token), notices.UNSUBSCRIBE, topic.id, row.id)
            target.by_link = True
    return target


@sns.Unsubscribe.writes(
    _followed,
    Need("sns:Unsubscribe", lambda target: None if target.by_link else target),
    proof=_signer,
)
def unsubscribe(call: Call, req: sns.UnsubscribeInput, target: Subscribed) -> sns.UnsubscribeResponse:
    """End a subscription. An endpoint that is not the caller's is told, and may begin it again."""
    row, topic = target.found
    topics = call.part(Topics)
    topics.unsubscribe(call.tx, topic, row)
    told = row.protocol in HTTP_PROTOCOLS | MAIL_PROTOCOLS
    if row.confirmed and told and (target.by_link or call.account != row.owner):
        topics.remember_ended(call.tx, topic, row, call.now)
        _ask_to_confirm(call, topic, row, ended=True)
    return {}


def _bearer(call: Call, request: Mapping[str, Any]) -> Identity:
    """Who confirms: whoever signs or, at the URL that the endpoint was sent, whoever has the token."""
    identity = _signer(call, request)
    if identity is ANONYMOUS and request.get("AuthenticateOnUnsubscribe") == "true":
        raise invalid("AuthenticateOnUnsubscribe Reason: the request must be signed")
    return identity


@sns.ConfirmSubscription.writes(named_topic, always_allowed=True, proof=_bearer)
def confirm_subscription(
    call: Call, req: sns.ConfirmSubscriptionInput, topic: Topic
) -> sns.ConfirmSubscriptionResponse:
    """Begin a subscription, by the token that its endpoint was sent."""
    row = None
    topics = call.part(Topics)
    if topic.missing is None:
        key = topics.keyring.account_key(topic.account, call.tx)
        try:
            id_, until = json.loads(key.unwrap(notices.read_token(req["Token"]), _TOKEN, topic.row.id))
        except (Base64Error, ValueError, Tampered):
            raise invalid("Token") from None
        if until > call.now:
            row = _to_confirm(call, topic, id_)
    if row is None:
        raise invalid("Token")
    guarded = row.guarded or req.get("AuthenticateOnUnsubscribe") == "true"
    topics.subscribe(call.tx, topic.row, row._replace(confirmed=True, guarded=guarded))
    return {"SubscriptionArn": row.arn}


def _to_confirm(call: Call, topic: Topic, id_: str) -> SubscriptionRow | None:
    """The subscription of a token, also one that was ended, unless its endpoint has another one by now."""
    found = next((each.row for each in topic.subscriptions if each.row.id == id_), None)
    if found is not None:
        return found
    row = call.part(Topics).begun_again(call.tx, topic.row, id_, call.now)
    if row is None or any(
        (each.row.protocol, each.row.endpoint) == (row.protocol, row.endpoint) for each in topic.subscriptions
    ):
        return None
    return row
