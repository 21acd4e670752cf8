"""Subscriptions: Subscribe, ConfirmSubscription, Unsubscribe, their attributes and lists."""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

from casemate.api import sns
from casemate.engine.egress.exchange import read_url
from casemate.engine.egress.hosts import Hosts
from casemate.engine.envelope.errors import Tampered
from casemate.gate.authenticate import authenticate
from casemate.gate.identity import ANONYMOUS, Identity
from casemate.services.sns import attributes, delivering, notices
from casemate.services.sns.naming import Endpoint, read_endpoint
from casemate.services.sns.refusals import invalid, not_served
from casemate.services.sns.targets import (
    AccountWide,
    Subscribed,
    account_wide,
    named_subscription,
    named_topic,
)
from casemate.services.sns.topic_operations import PAGE, next_page, page_of
from casemate.services.sns.topics import SubscriptionRow, Topic, TopicRow, Topics

if TYPE_CHECKING:
    from casemate.gate.call import Call

_TOKEN = "sns confirmation"  # noqa: S105
_TOKEN_FOR = 3 * 86_400.0
_PASSWORD = re.compile(r"^(https?://[^/?#@:]*:)[^/?#]*@")
_OTHERS = ("application", "email", "email-json", "firehose", "sms")


@sns.Subscribe.writes(named_topic)
def subscribe(call: Call, req: sns.SubscribeInput, topic: Topic) -> sns.SubscribeResponse:
    """Let an endpoint be sent what the topic is; one that belongs to somebody else must confirm it first."""
    protocol, endpoint = req["Protocol"], req.get("Endpoint", "")
    given: Mapping[str, str] = req.get("Attributes", {})
    owned = _check_endpoint(call, topic, protocol, endpoint)
    for name, value in given.items():
        attributes.subscription_attribute(protocol, name, value)
    _check_redrive(topic, given.get("RedrivePolicy", ""))
    wanted = {name: value for name, value in given.items() if value and value != "{}"}
    for each in topic.subscriptions:
        row = each.row
        if (row.protocol, row.endpoint) == (protocol, endpoint):
            if any(row.attributes.get(name, "") != given[name] for name in given):
                raise invalid("Attributes Reason: Subscription already exists with different attributes")
            if not row.confirmed:
                _ask_to_confirm(call, topic.row, row)
            return _answer(row, req)
    row = SubscriptionRow(
        str(uuid4()), topic.place, call.account, protocol, endpoint, wanted, owned, _base(call)
    )
    call.part(Topics).subscribe(call.tx, topic.row, row)
    if not owned:
        _ask_to_confirm(call, topic.row, row)
    return _answer(row, req)


def _answer(row: SubscriptionRow, request: Mapping[str, Any]) -> sns.SubscribeResponse:
    shown = row.confirmed or request.get("ReturnSubscriptionArn")
    return {"SubscriptionArn": row.arn if shown else "pending confirmation"}


def _base(call: Call) -> str:
    """The URL of this server, as the client has called it."""
    if not call.host:
        return f"https://sns.{call.region}.amazonaws.com"
    return f"{'http' if call.tls is None else 'https'}://{call.host}"


def _check_endpoint(call: Call, topic: Topic, protocol: str, endpoint: str) -> bool:
    """Whether it is the subscriber's own, so that nobody need confirm it. Raises InvalidParameter."""
    if protocol in ("http", "https"):
        if topic.place.fifo:
            raise invalid("Invalid protocol type: FIFO topics deliver to queues")
        _check_url(call, protocol, endpoint)
        return False
    if protocol in _OTHERS:
        raise not_served(f"Subscriptions of the protocol {protocol} are")
    if protocol not in ("sqs", "lambda"):
        raise invalid("Invalid protocol")
    arn: Endpoint | None = read_endpoint(endpoint)
    if (
        arn is None
        or arn.service != protocol
        or (protocol == "lambda") != arn.resource.startswith("function:")
    ):
        raise invalid(f"{'SQS' if protocol == 'sqs' else 'Lambda'} endpoint ARN")
    if protocol == "sqs" and arn.resource.endswith(".fifo") and not topic.place.fifo:
        raise invalid("Endpoint Reason: FIFO SQS Queues can not be subscribed to standard SNS topics")
    if protocol == "lambda" and topic.place.fifo:
        raise invalid("Invalid protocol type: FIFO topics deliver to queues")
    return arn.account == call.account


def _check_url(call: Call, protocol: str, endpoint: str) -> None:
    if not endpoint.startswith(f"{protocol}://"):
        raise invalid(f"Endpoint must match the specified protocol: {protocol}")
    try:
        host = read_url(endpoint).host
    except ValueError:
        raise invalid("Endpoint Reason: it is no URL") from None
    # By name only: where a host is, is looked at when there is something to deliver.
    if call.part(Hosts).refuses(host):
        raise invalid("Endpoint Reason: the server is not configured to reach this host")


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


def _ask_to_confirm(call: Call, topic: TopicRow, row: SubscriptionRow) -> None:
    key = call.part(Topics).keyring.account_key(topic.place.account, call.tx)
    sealed = key.wrap(json.dumps([row.id, call.now + _TOKEN_FOR]).encode(), _TOKEN, topic.id)
    token = urlsafe_b64encode(sealed).decode().rstrip("=")
    notice = notices.confirmation(call, topic, row, token)
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
    rows = [each.row for each in topic.subscriptions if each.row.id > after][: PAGE + 1]
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
        "ConfirmationWasAuthenticated": "true"
        if row.guarded or row.protocol in ("sqs", "lambda")
        else "false",
    }
    if "FilterPolicy" in row.attributes:
        found.setdefault("FilterPolicyScope", "MessageAttributes")
    if row.protocol in ("http", "https"):
        retry = attributes.retry_policy(topic.attributes, row.attributes)
        found["EffectiveDeliveryPolicy"] = json.dumps({"healthyRetryPolicy": retry})
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
    call.part(Topics).subscribe(call.tx, topic, row._replace(attributes=changed))
    return {}


@sns.Unsubscribe.writes(named_subscription)
def unsubscribe(call: Call, req: sns.UnsubscribeInput, target: Subscribed) -> sns.UnsubscribeResponse:
    """End a subscription."""
    row, topic = target.found
    call.part(Topics).unsubscribe(call.tx, topic, row)
    return {}


def _bearer(call: Call, request: Mapping[str, Any]) -> Identity:
    """Who confirms: whoever signs or, at the URL that the endpoint was sent, whoever has the token."""
    route = call.route
    assert route is not None
    if authenticate(call, route, call.gate.directory):
        return call.identity
    if request.get("AuthenticateOnUnsubscribe") == "true":
        raise invalid("AuthenticateOnUnsubscribe Reason: the request must be signed")
    return ANONYMOUS


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
            sealed = urlsafe_b64decode(req["Token"] + "=" * (-len(req["Token"]) % 4))
            id_, until = json.loads(key.unwrap(sealed, _TOKEN, topic.row.id))
        except (Base64Error, ValueError, Tampered):
            raise invalid("Token") from None
        row = next(
            (each.row for each in topic.subscriptions if each.row.id == id_ and until > call.now), None
        )
    if row is None:
        raise invalid("Token")
    guarded = row.guarded or req.get("AuthenticateOnUnsubscribe") == "true"
    topics.subscribe(call.tx, topic.row, row._replace(confirmed=True, guarded=guarded))
    return {"SubscriptionArn": row.arn}
