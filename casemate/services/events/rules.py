"""PutRule, DescribeRule, EnableRule, DisableRule, DeleteRule, ListRules, TestEventPattern."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

from casemate.api import events
from casemate.engine.events.pattern import PatternError, compile_pattern
from casemate.engine.events.schedule import ScheduleError, parse_schedule
from casemate.gate.acting import Actor
from casemate.gate.call import Call
from casemate.gate.operation import Need
from casemate.gate.pass_role import trusts
from casemate.gate.resource import Resource
from casemate.services.events import schedules
from casemate.services.events.buses import ALL_MANAGEMENT_EVENTS
from casemate.services.events.pages import Page
from casemate.services.events.putting import LARGEST
from casemate.services.events.quotas import RULES
from casemate.services.events.refusals import bad_pattern, invalid, managed, too_many
from casemate.services.events.resources import (
    SERVICE,
    NamedBus,
    NamedRule,
    bus_by,
    everything,
    managing_service,
    named_rule,
    new_rule,
    passing,
    rule_by,
)
from casemate.services.events.store import DEFAULT, RULE, Place, Thing, Things
from casemate.services.events.tag_rules import checked_tags, when_tagged
from casemate.store.cache import Miss


def check_pattern(text: str) -> None:
    """Raises InvalidEventPatternException."""
    try:
        compile_pattern(text)
    except PatternError as error:
        raise bad_pattern(str(error)) from None


def check_unmanaged(call: Call, rule: Thing, *, force: bool) -> None:
    """Only the service that made a rule changes it, unless told to do it all the same. Raises
    ManagedRuleException."""
    service = rule.says.get("managed_by")
    if service and service != managing_service(call) and not force:
        raise managed(service)


def check_role(call: Call, arn: str, rule: Place) -> None:
    """Raises ValidationException unless EventBridge may assume the role for the rule."""
    if not trusts(call, arn, Actor(SERVICE, rule.account, rule.region, source_arn=rule.arn)):
        raise invalid(f"Provided role '{arn}' cannot be assumed by principal '{SERVICE}'.")


@events.PutRule.writes(
    new_rule,
    Need("events:PutRule"),
    Need("events:TagResource", when_tagged),
    *passing(1),
)
def put_rule(call: Call, req: events.PutRuleRequest, target: NamedRule) -> events.PutRuleResponse:
    """Make a rule, or replace what one says; its targets and tags stay."""
    place, before = target.place, target.thing
    pattern, schedule = req.get("EventPattern", ""), req.get("ScheduleExpression", "")
    if not pattern and not schedule:
        raise invalid("Parameter(s) EventPattern or ScheduleExpression must be specified.")
    if pattern:
        check_pattern(pattern)
    if schedule:
        if place.bus != DEFAULT:
            raise invalid("ScheduleExpression is supported only on the default event bus.")
        try:
            parse_schedule(schedule)
        except ScheduleError:
            raise invalid("Parameter ScheduleExpression is not valid.") from None
    state = req.get("State", "ENABLED")
    if state == ALL_MANAGEMENT_EVENTS and not pattern:
        raise invalid(f"The state {ALL_MANAGEMENT_EVENTS} is for rules with an EventPattern.")
    if "RoleArn" in req:
        check_role(call, req["RoleArn"], place)
    things = call.part(Things)
    if before is None:
        if things.count(call.tx, place.account, place.region, RULE, f"{place.bus}/") >= call.limit(RULES):
            raise too_many()
    else:
        check_unmanaged(call, before, force=False)
    kept = {} if before is None else before.says
    says: dict[str, Any] = {
        "pattern": pattern,
        "schedule": schedule,
        "state": state,
        "description": req.get("Description", ""),
        "role": req.get("RoleArn", ""),
        "targets": kept.get("targets", {}),
        "tags": kept.get("tags", {}) if before is not None else checked_tags(req.get("Tags", ())),
        "created_by": kept.get("created_by", call.identity.account or call.account),
        "managed_by": kept.get("managed_by", managing_service(call)),
    }
    rule = Thing(place, call.now if before is None else before.created, says)
    things.save(call.tx, rule)
    schedules.plan(call.tx, rule, call.now, before)
    return {"RuleArn": rule.arn}


def _shape(rule: Thing) -> dict[str, Any]:
    says = rule.says
    shape = {
        "Name": rule.place.rule,
        "Arn": rule.arn,
        "EventPattern": says["pattern"],
        "ScheduleExpression": says["schedule"],
        "State": says["state"],
        "Description": says["description"],
        "RoleArn": says["role"],
        "ManagedBy": says["managed_by"],
        "EventBusName": rule.place.bus,
    }
    return {name: value for name, value in shape.items() if value}


@events.DescribeRule.reads(named_rule)
def describe_rule(
    call: Call, req: events.DescribeRuleRequest, target: NamedRule
) -> events.DescribeRuleResponse:
    """A rule without its targets."""
    shape = {**_shape(target.found), "CreatedBy": target.found.says["created_by"]}
    return cast("events.DescribeRuleResponse", shape)


def _set_state(call: Call, target: NamedRule, state: str) -> None:
    before = target.found
    check_unmanaged(call, before, force=False)
    if (before.says["state"] == "DISABLED") != (state == "DISABLED"):
        rule = before._replace(says={**before.says, "state": state})
        call.part(Things).save(call.tx, rule)
        schedules.plan(call.tx, rule, call.now, before)


@events.EnableRule.writes(named_rule)
def enable_rule(call: Call, req: events.EnableRuleRequest, target: NamedRule) -> events.EnableRuleResponse:
    """Let a rule match, or run by its schedule, again."""
    _set_state(call, target, "ENABLED")
    return {}


@events.DisableRule.writes(named_rule)
def disable_rule(call: Call, req: events.DisableRuleRequest, target: NamedRule) -> events.DisableRuleResponse:
    """Let a rule match nothing, and its schedule rest."""
    _set_state(call, target, "DISABLED")
    return {}


# Of a rule that is gone already there is nothing to refuse; its bus must be there.
_deletable_rule = rule_by("Name", new=True)


@events.DeleteRule.writes(_deletable_rule)
def delete_rule(call: Call, req: events.DeleteRuleRequest, target: NamedRule) -> events.DeleteRuleResponse:
    """Delete a rule without targets; one that does not exist is deleted already."""
    if target.thing is None:
        return {}
    check_unmanaged(call, target.found, force=bool(req.get("Force")))
    if target.found.says["targets"]:
        raise invalid("Rule can't be deleted since it has targets.")
    call.part(Things).remove(call.tx, target.place)
    schedules.call_off(call.tx, target.place)
    return {}


_listed_bus = bus_by("EventBusName")


class _Listing(Resource):
    """A bus whose rules are listed: for policies "*", and what its owner's policy says. bus: the bus."""

    __slots__ = ("bus",)

    def __init__(self, bus: NamedBus) -> None:
        super().__init__("*", bus.account, missing=bus.missing)
        self.bus = bus


def listed(call: Call, request: Mapping[str, Any]) -> _Listing:
    """The rules of the bus that EventBusName names. Which permission it takes names no resource."""
    return _Listing(_listed_bus(call, request))


@events.ListRules.reads(listed)
def list_rules(call: Call, req: events.ListRulesRequest, target: _Listing) -> events.ListRulesResponse:
    """A bus's rules by name."""
    page = Page("ListRules", req)
    place = target.bus.place
    prefix = f"{place.name}/{req.get('NamePrefix', '')}"
    after = f"{place.name}/{page.after}" if page.after else ""
    found = call.part(Things).page(
        call.tx, place.account, place.region, RULE, prefix=prefix, after=after, limit=page.limit + 1
    )
    rules, more = page.cut(found, lambda rule: rule.place.rule)
    return cast("events.ListRulesResponse", {"Rules": [_shape(rule) for rule in rules], **more})


@events.ListRuleNamesByTarget.reads(listed)
def list_rule_names_by_target(
    call: Call, req: events.ListRuleNamesByTargetRequest, target: _Listing
) -> events.ListRuleNamesByTargetResponse:
    """The names of a bus's rules that have a target of this ARN."""
    page = Page("ListRuleNamesByTarget", req)
    place = target.bus.place
    rules = call.part(Things).page(
        call.tx,
        place.account,
        place.region,
        RULE,
        prefix=f"{place.name}/",
        after=f"{place.name}/{page.after}",
    )
    names = [
        rule.place.rule
        for rule in rules
        if any(each["Arn"] == req["TargetArn"] for each in rule.says["targets"].values())
    ]
    shown, more = page.cut(names, str)
    return cast("events.ListRuleNamesByTargetResponse", {"RuleNames": shown, **more})


_AT_ONCE = 16 * 1024
"""Bytes of an event that are matched while others wait; a larger one is matched in a thread."""
_OF_EVENT = ("id", "detail-type", "source", "account", "time", "region", "resources")


@events.TestEventPattern.reads(everything)
def test_event_pattern(
    call: Call, req: events.TestEventPatternRequest, target: Resource
) -> events.TestEventPatternResponse:
    """Whether an event would match a pattern."""
    size = len(req["Event"].encode())
    if size > LARGEST:
        raise invalid(f"Parameter Event is not valid. Reason: the event is larger than {LARGEST} bytes.")
    if size > _AT_ONCE and call.transaction is None:
        raise Miss
    try:
        event = json.loads(req["Event"])
    except (ValueError, RecursionError):
        event = None
    if not isinstance(event, dict):
        raise invalid("Parameter Event is not valid. Reason: the event is not a JSON object.")
    for name in _OF_EVENT:
        if name not in event:
            raise invalid(f"Parameter Event is not valid. Reason: the mandatory field {name} is missing.")
    check_pattern(req["EventPattern"])
    return {"Result": compile_pattern(req["EventPattern"]).matches(event)}
