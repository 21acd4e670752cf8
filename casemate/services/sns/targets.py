"""What a request acts on: one resolver for each way in which SNS's operations name it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.gate.regions import partition_of
from casemate.gate.resource import Resource, Value
from casemate.services.sns.naming import Place, read_arn
from casemate.services.sns.refusals import invalid, no_subscription, no_topic, not_served
from casemate.services.sns.topics import SubscriptionRow, Topic, TopicRow, Topics, absent, of_request


def _place(call: Call, arn: str, name: str = "TopicArn") -> Place:
    found = read_arn(arn)
    if found is None or found[1]:
        raise invalid(name)
    if found[0].region != call.region:
        raise invalid(name)
    return found[0]


def named_topic(call: Call, request: Mapping[str, Any]) -> Topic:
    """TopicArn, of whichever account."""
    place = _place(call, request["TopicArn"])
    return call.part(Topics).find(call, place) or absent(place, no_topic())


def published_topic(call: Call, request: Mapping[str, Any]) -> Topic:
    """TopicArn or TargetArn, as it is known. Phones and applications are not served."""
    if "PhoneNumber" in request:
        raise not_served("SMS is")
    arn = request.get("TopicArn", request.get("TargetArn"))
    if arn is None:
        raise invalid("TopicArn or TargetArn Reason: no value for required parameter")
    if ":endpoint/" in arn:
        raise not_served("Platform applications are")
    place = _place(call, arn)
    return call.part(Topics).known(call, place) or absent(place, no_topic())


def tagged_topic(call: Call, request: Mapping[str, Any]) -> Topic:
    """ResourceArn, of the caller's account."""
    place = _place(call, request["ResourceArn"], "ResourceArn")
    gone = AwsError("ResourceNotFoundException", "Resource does not exist")
    if place.account != call.account:
        return absent(place, gone)
    return call.part(Topics).find(call, place) or absent(place, gone)


class NewTopic(Topic):
    """A topic that is to be made. tagged: itself, where tags are given."""

    __slots__ = ("tagged",)
    tagged: NewTopic | None


def new_topic(call: Call, request: Mapping[str, Any]) -> NewTopic:
    """A topic of Name that need not be there."""
    new = NewTopic(absent(Place(call.account, call.region, request["Name"])).row)
    new.tagged = new if request.get("Tags") else None
    return new


class Subscribed(Resource):
    """A subscription, with its topic. Its topic's owner may do with it what its own may. by_link: it is named by the
    link that its endpoint was sent."""

    __slots__ = ("by_link", "row", "topic")

    def __init__(
        self,
        arn: str,
        account: str,
        row: SubscriptionRow | None,
        topic: TopicRow | None,
        missing: AwsError | None,
    ) -> None:
        super().__init__(arn, account, type="AWS::SNS::Subscription", missing=missing)
        self.row = row
        self.topic = topic
        self.by_link = False

    @property
    def found(self) -> tuple[SubscriptionRow, TopicRow]:
        """Once it is authorised."""
        assert self.row is not None
        assert self.topic is not None
        return self.row, self.topic


def named_subscription(call: Call, request: Mapping[str, Any]) -> Subscribed:
    """SubscriptionArn."""
    arn = request["SubscriptionArn"]
    found = read_arn(arn)
    if found is None or not found[1] or found[0].region != call.region:
        raise invalid(
            "SubscriptionArn Reason: An ARN must have at least 6 elements, not 1"
            if ":" not in arn
            else "SubscriptionArn"
        )
    place, id_ = found
    topic = call.part(Topics).find(call, place)
    row = next((each.row for each in topic.subscriptions if each.row.id == id_), None) if topic else None
    if topic is None or row is None:
        return Subscribed(arn, place.account, None, None, no_subscription())
    account = call.account if call.account in (row.owner, place.account) else row.owner
    return Subscribed(arn, account, row, topic.row, None)


class AccountWide(Resource):
    """All of an account's."""

    __slots__ = ()

    def condition(self, key: str, call: Call, request: Mapping[str, Any]) -> Value:  # noqa: ARG002
        return of_request(key, request)


def account_wide(call: Call, request: Mapping[str, Any]) -> AccountWide:
    arn = f"arn:{partition_of(call.region)}:sns:{call.region}:{call.account}:*"
    return AccountWide(arn, call.account)
