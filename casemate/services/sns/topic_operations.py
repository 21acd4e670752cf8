"""Topics: CreateTopic, DeleteTopic, ListTopics, GetTopicAttributes, SetTopicAttributes, and their tags."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from casemate.api import sns
from casemate.errors import AwsError
from casemate.gate.markers import read_marker, write_marker
from casemate.gate.operation import Need
from casemate.services.sns import attributes, delivery_policies
from casemate.services.sns.naming import is_name
from casemate.services.sns.policies import accepted
from casemate.services.sns.quotas import FIFO_TOPICS, TOPICS
from casemate.services.sns.refusals import invalid
from casemate.services.sns.targets import (
    AccountWide,
    NewTopic,
    account_wide,
    named_topic,
    new_topic,
    tagged_topic,
)
from casemate.services.sns.topics import Topic, TopicRow, Topics

if TYPE_CHECKING:
    from casemate.gate.call import Call

PAGE = 100
_MOST_TAGS = 50
_TAG = re.compile(r"[\w\s_.:/=+\-@]*")


def page_of(request: Mapping[str, Any], operation: str) -> str:
    """After which a list goes on. Raises InvalidParameter."""
    token = request.get("NextToken")
    after = "" if not token else read_marker(operation, token)
    if after is None:
        raise invalid("NextToken")
    return after


def next_page(operation: str, names: list[str]) -> dict[str, str]:
    """The member that tells of more, where one more was found than is shown."""
    return {"NextToken": write_marker(operation, names[PAGE - 1])} if len(names) > PAGE else {}


@sns.CreateTopic.writes(new_topic, Need("sns:CreateTopic"), Need("sns:TagResource", lambda new: new.tagged))
def create_topic(call: Call, req: sns.CreateTopicInput, topic: NewTopic) -> sns.CreateTopicResponse:
    """Make a topic; one that is there already, as it is asked for, is answered again."""
    place = topic.place
    given: Mapping[str, str] = req.get("Attributes", {})
    if not is_name(place.name) or place.fifo != (given.get("FifoTopic") == "true"):
        raise invalid("Topic Name")
    if "DataProtectionPolicy" in req:
        attributes.topic_attribute(place, "DataProtectionPolicy", "", new=True)
    for name, value in given.items():
        attributes.topic_attribute(place, name, value, new=True)
    tags = _tagged({}, req.get("Tags", ()))
    topics = call.part(Topics)
    known = topics.load(call.tx, place)
    wanted = {name: value for name, value in given.items() if value}
    if known is not None:
        if any(known.row.attributes.get(name) != value for name, value in wanted.items()):
            raise invalid("Attributes Reason: Topic already exists with different attributes")
        if "Tags" in req and tags != known.row.tags:
            raise invalid("Tags Reason: Topic already exists with different tags")
        return {"TopicArn": place.arn}
    if topics.count(call.tx, call.account, call.region) >= call.limit(TOPICS):
        raise AwsError("TopicLimitExceededException", "You have reached the topic limit")
    if place.fifo and topics.count_fifo(call.tx, call.account, call.region) >= call.limit(FIFO_TOPICS):
        raise AwsError("TopicLimitExceededException", "You have reached the topic limit")
    wanted.setdefault("Policy", attributes.default_policy(place))
    principals = accepted(call, wanted["Policy"])
    topics.create(call.tx, TopicRow(place, "", int(call.now), wanted, tags, principals))
    return {"TopicArn": place.arn}


@sns.DeleteTopic.writes(named_topic)
def delete_topic(call: Call, req: sns.DeleteTopicInput, topic: Topic) -> sns.DeleteTopicResponse:
    """Remove a topic with its subscriptions."""
    call.part(Topics).delete(call.tx, topic.row)
    return {}


@sns.ListTopics.reads(account_wide)
def list_topics(call: Call, req: sns.ListTopicsInput, target: AccountWide) -> sns.ListTopicsResponse:
    """The account's topics by name, a hundred on each page."""
    after = page_of(req, "ListTopics")
    places = call.part(Topics).after(call.tx, call.account, call.region, after, PAGE + 1)
    shown = [{"TopicArn": place.arn} for place in places[:PAGE]]
    return cast(
        "sns.ListTopicsResponse",
        {"Topics": shown, **next_page("ListTopics", [place.name for place in places])},
    )


@sns.GetTopicAttributes.reads(named_topic)
def get_topic_attributes(
    call: Call, req: sns.GetTopicAttributesInput, topic: Topic
) -> sns.GetTopicAttributesResponse:
    """All that the topic has."""
    row = topic.row
    found = [each.row for each in topic.subscriptions if not each.row.lapsed(call.now)]
    confirmed = sum(each.confirmed for each in found)
    return {
        "Attributes": {
            "DisplayName": "",
            **row.attributes,
            "TopicArn": topic.arn,
            "Owner": topic.account,
            "SubscriptionsConfirmed": str(confirmed),
            "SubscriptionsPending": str(len(found) - confirmed),
            "SubscriptionsDeleted": str(row.deleted),
            "EffectiveDeliveryPolicy": delivery_policies.effective_of_topic(row.attributes),
            **({"ContentBasedDeduplication": "false"} | dict(row.attributes) if row.place.fifo else {}),
        }
    }


@sns.SetTopicAttributes.writes(named_topic)
def set_topic_attributes(
    call: Call, req: sns.SetTopicAttributesInput, topic: Topic
) -> sns.SetTopicAttributesResponse:
    """Change one attribute; without a value, take it away."""
    row, name, value = topic.row, req["AttributeName"], req.get("AttributeValue", "")
    attributes.topic_attribute(row.place, name, value, new=False)
    changed, principals = dict(row.attributes), row.principals
    changed.pop(name, None)
    if name == "Policy":
        value = value or attributes.default_policy(row.place)
        principals = accepted(call, value)
    if value:
        changed[name] = value
    call.part(Topics).save(call.tx, row._replace(attributes=changed, principals=principals))
    return {}


def _tagged(current: Mapping[str, str], given: Any) -> dict[str, str]:
    """The tags once those given are set. Raises InvalidParameter, TagLimitExceeded."""
    tags = dict(current)
    for tag in given:
        key, value = tag["Key"], tag["Value"]
        if key.lower().startswith("aws:") or not _TAG.fullmatch(key) or not _TAG.fullmatch(value):
            raise invalid(f"Tags Reason: the tag {key} is not valid")
        tags[key] = value
    if len(tags) > _MOST_TAGS:
        raise AwsError(
            "TagLimitExceededException", "Could not complete request: tag quota of per resource exceeded"
        )
    return tags


@sns.TagResource.writes(tagged_topic)
def tag_resource(call: Call, req: sns.TagResourceRequest, topic: Topic) -> sns.TagResourceResponse:
    """Add tags, or replace those of the same keys."""
    call.part(Topics).save(call.tx, topic.row._replace(tags=_tagged(topic.row.tags, req["Tags"])))
    return {}


@sns.UntagResource.writes(tagged_topic)
def untag_resource(call: Call, req: sns.UntagResourceRequest, topic: Topic) -> sns.UntagResourceResponse:
    """Remove tags; keys that the topic does not have are no error."""
    kept = {key: value for key, value in topic.row.tags.items() if key not in req["TagKeys"]}
    call.part(Topics).save(call.tx, topic.row._replace(tags=kept))
    return {}


@sns.ListTagsForResource.reads(tagged_topic)
def list_tags_for_resource(
    call: Call, req: sns.ListTagsForResourceRequest, topic: Topic
) -> sns.ListTagsForResourceResponse:
    """The topic's tags."""
    return {"Tags": [{"Key": key, "Value": value} for key, value in topic.row.tags.items()]}
