"""PutTargets, RemoveTargets, ListTargetsByRule."""

from __future__ import annotations

import json
import re
from typing import Final, cast

from casemate.api import events
from casemate.engine.events.transform import PathError, check_template, path_steps
from casemate.gate.call import Call
from casemate.gate.operation import Need
from casemate.services.events.pages import Page
from casemate.services.events.quotas import TARGETS
from casemate.services.events.refusals import invalid, not_served, too_many
from casemate.services.events.resources import NamedRule, passing, rule_with_targets, targeting_rule
from casemate.services.events.rules import check_role, check_unmanaged
from casemate.services.events.store import Things
from casemate.services.events.target_kinds import Arn, is_destination, kind_of, read_arn

_INPUTS: Final = ("Input", "InputPath", "InputTransformer")
_UNSERVED: Final = (
    *("KinesisParameters", "RunCommandParameters", "EcsParameters", "BatchParameters"),
    *("RedshiftDataParameters", "SageMakerPipelineParameters", "AppSyncParameters"),
)
_QUEUE: Final = re.compile(r"arn:aws[\w-]*:sqs:[a-z0-9-]+:\d{12}:[\w-]{1,80}(\.fifo)?", re.ASCII)
_MOST: Final = 100
"""Targets of a request, by AWS's model, and so roles."""


@events.PutTargets.writes(rule_with_targets, Need("events:PutTargets"), *passing(_MOST))
def put_targets(call: Call, req: events.PutTargetsRequest, target: NamedRule) -> events.PutTargetsResponse:
    """Add targets to a rule, or replace those of the same ids."""
    rule = target.found
    check_unmanaged(call, rule, force=False)
    targets = dict(rule.says["targets"])
    for given in req["Targets"]:
        _check(call, target, given)
        targets[given["Id"]] = given
    if len(targets) > call.limit(TARGETS):
        raise too_many()
    call.part(Things).save(call.tx, rule._replace(says={**rule.says, "targets": targets}))
    return {"FailedEntryCount": 0, "FailedEntries": []}


def _check(call: Call, rule: NamedRule, target: events.Target) -> None:
    """Raises ValidationException, and NotImplemented for targets that are not served."""
    text, name = target["Arn"], target["Id"]
    arn = read_arn(text)
    kind = None if arn is None else kind_of(call.gate, arn)
    destined = arn is not None and is_destination(arn)
    elsewhere = arn is not None and arn.service == "events" and not destined
    if arn is None or kind is None or (arn.region != rule.place.region and not elsewhere):
        raise invalid(f"Parameter {text} is not valid. Reason: Provided Arn is not in correct format.")
    if any(each in target for each in _UNSERVED) or ("HttpParameters" in target and not destined):
        raise not_served("Parameters of targets that are not served are")
    if kind.by_role and "RoleArn" not in target and not rule.found.says["role"]:
        raise invalid(f"RoleArn is required for target {text}.")
    if arn.account != rule.place.account:
        # Whoever owns the target would otherwise let in the rules of everybody, with EventBridge itself.
        if kind.by_role is False or destined:
            raise invalid(f"Target {text} must be in the account of the rule.")
        if "RoleArn" not in target and not kind.by_role:
            raise invalid(f"RoleArn is required for target {text}.")
    if kind.by_role is False and "RoleArn" in target:
        raise invalid(f"RoleArn is not supported for target {text}.")
    if "RoleArn" in target:
        check_role(call, target["RoleArn"], rule.place)
    if text == rule.arn or (arn.service == "events" and _is_own_bus(arn, rule)):
        raise invalid(f"Target {text} is the rule's own event bus.")
    _check_input(target, arn)
    _check_queues(target, arn, name)


def _is_own_bus(arn: Arn, rule: NamedRule) -> bool:
    place = rule.place
    return (arn.account, arn.region, arn.name) == (place.account, place.region, f"event-bus/{place.bus}")


def _check_input(target: events.Target, arn: Arn) -> None:
    name = target["Id"]
    given = [each for each in _INPUTS if each in target]
    if len(given) > 1:
        raise invalid(
            f"Only one of Input, InputPath, or InputTransformer must be provided for target {name}."
        )
    if given and arn.service == "events" and not is_destination(arn):
        raise invalid(f"{given[0]} is not supported for target {target['Arn']}.")
    if "Input" in target:
        try:
            json.loads(target["Input"])
        except (ValueError, RecursionError) as error:
            raise invalid(f"JSON syntax error in input for target {name}: {error}") from None
    if "InputPath" in target:
        _check_path(target["InputPath"], name)
    transformer = target.get("InputTransformer")
    if transformer is not None:
        paths = transformer.get("InputPathsMap", {})
        for variable, path in paths.items():
            if variable.lower().startswith("aws"):
                raise invalid(f"InputPathsMap for target {name} has a key that begins with AWS: {variable}.")
            _check_path(path, name)
        wrong = check_template(transformer["InputTemplate"], paths)
        if wrong:
            raise invalid(f"InputTemplate for target {name} {wrong}.")


def _check_path(path: str, name: str) -> None:
    try:
        path_steps(path)
    except PathError:
        raise invalid(f"JSON path {path} for target {name} is not valid.") from None


def _check_queues(target: events.Target, arn: Arn, name: str) -> None:
    fifo = arn.service == "sqs" and arn.name.endswith(".fifo")
    grouped = bool(target.get("SqsParameters", {}).get("MessageGroupId"))
    if fifo and not grouped:
        raise invalid(f"Parameter(s) SqsParameters must be specified for target: {name}.")
    if "SqsParameters" in target and arn.service != "sqs":
        raise invalid(f"Parameter(s) SqsParameters is not supported for target: {name}.")
    queue = target.get("DeadLetterConfig", {}).get("Arn")
    if queue is not None and _QUEUE.fullmatch(queue) is None:
        raise invalid(f"Parameter {queue} is not valid. Reason: Provided Arn is not in correct format.")
    if queue is not None and queue.endswith(".fifo"):
        raise invalid(f"The dead-letter queue {queue} of target {name} must be a standard queue.")


@events.RemoveTargets.writes(targeting_rule)
def remove_targets(
    call: Call, req: events.RemoveTargetsRequest, target: NamedRule
) -> events.RemoveTargetsResponse:
    """Take targets from a rule; ids that it does not have are no error."""
    rule = target.found
    check_unmanaged(call, rule, force=bool(req.get("Force")))
    gone = set(req["Ids"])
    targets = {name: each for name, each in rule.says["targets"].items() if name not in gone}
    if len(targets) < len(rule.says["targets"]):
        call.part(Things).save(call.tx, rule._replace(says={**rule.says, "targets": targets}))
    return {"FailedEntryCount": 0, "FailedEntries": []}


@events.ListTargetsByRule.reads(targeting_rule)
def list_targets_by_rule(
    call: Call, req: events.ListTargetsByRuleRequest, target: NamedRule
) -> events.ListTargetsByRuleResponse:
    """A rule's targets by id."""
    page = Page("ListTargetsByRule", req)
    targets = target.found.says["targets"]
    names, more = page.cut(sorted(name for name in targets if name > page.after), str)
    return cast("events.ListTargetsByRuleResponse", {"Targets": [targets[name] for name in names], **more})
