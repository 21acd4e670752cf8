"""PutParameter."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from casemate.api import ssm
from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.gate.operation import Need
from casemate.services.ssm import policies, secure
from casemate.services.ssm.allowed_patterns import check_pattern
from casemate.services.ssm.data_types import TEXT, check_value
from casemate.services.ssm.events import changed
from casemate.services.ssm.naming import must_be_new_name
from casemate.services.ssm.parameter import Parameter
from casemate.services.ssm.parameters import Parameters
from casemate.services.ssm.policy_jobs import plan
from casemate.services.ssm.quotas import throughput
from casemate.services.ssm.refusals import invalid
from casemate.services.ssm.rows import SECURE_STRING, STRING_LIST, Policy, Row, Version
from casemate.services.ssm.tag_rules import merged
from casemate.services.ssm.targets import Target, need, put_target
from casemate.services.ssm.tiers import tier_of

VERSIONS = 100
"""So many versions of a parameter are kept."""


@ssm.PutParameter.writes(
    put_target,
    need("ssm:PutParameter"),
    Need("ssm:AddTagsToResource", lambda target: target.tagging),
    quota=throughput,
)
def put_parameter(call: Call, req: ssm.PutParameterRequest, target: Target) -> ssm.PutParameterResult:
    """Make a parameter, or with Overwrite a new version of it, which then is the current one. A SecureString is
    encrypted by KMS as the caller."""
    place, name = target.named.place, target.named.name
    must_be_new_name(place, name)
    existing = target.parameter
    _check(req, existing)
    before = None if existing is None else existing.current
    kind = req.get("Type") or ("" if before is None else before.type)
    pattern = req.get("AllowedPattern", "" if before is None else before.allowed_pattern)
    data_type = req.get("DataType") or (TEXT if before is None else before.data_type)
    applied = _policies(call, req, existing)
    # Before all that looks into the value: of one that is too long, nothing is looked at.
    tier = tier_of(call, req, before, policies=bool(applied), data_type=data_type)
    check_value(data_type, kind, req["Value"])
    if pattern:
        values = req["Value"].split(",") if kind == STRING_LIST else [req["Value"]]
        call.before("the allowed pattern", partial(check_pattern, call.account, pattern, values), waits=True)
    value, key_id = req["Value"], ""
    if kind == SECURE_STRING:
        key_id = req.get("KeyId") or ("" if before is None else before.key_id) or secure.DEFAULT_KEY
        value = secure.encrypt(call, place.arn, tier, key_id, value)
    version = Version(
        number=1 if before is None else before.number + 1,
        created=call.now,
        user=call.identity.principal.arn,
        type=kind,
        value=value,
        tier=tier,
        key_id=key_id,
        description=req.get("Description", "" if before is None else before.description),
        allowed_pattern=pattern,
        data_type=data_type,
        policies=applied,
    )
    if existing is None:
        row = Row(place, name, 1, tags=merged({}, req.get("Tags", [])), policies=applied)
    else:
        _make_room(call, existing)
        row = existing.row._replace(version=version.number, policies=applied)
    if not call.part(Parameters).put(call.tx, row, version, before):
        raise AwsError(
            "TooManyUpdates",
            "There are concurrent updates for a resource that supports one update at a time.",
        )
    if applied or (existing is not None and existing.row.policies):
        plan(call.tx, row)
    changed(call, "Create" if existing is None else "Update", row, version)
    return {"Version": version.number, "Tier": tier}  # type: ignore[typeddict-item]  # one of the model's


def _check(req: Mapping[str, Any], existing: Parameter | None) -> None:
    """What does not depend on the value."""
    if not req["Value"]:
        raise invalid(
            "1 validation error detected: Value at 'value' failed to satisfy constraint: Member must have length "
            "greater than or equal to 1."
        )
    if "\0" in req["Value"] or "\0" in req.get("Description", ""):
        raise invalid("Parameter value: the character U+0000 is not allowed.")
    overwrite = req.get("Overwrite", False)
    if overwrite and req.get("Tags"):
        raise invalid(
            "Invalid request: tags and overwrite can't be used together. To create a parameter with tags, please "
            "remove overwrite flag. To update tags for an existing parameter, please use AddTagsToResource or "
            "RemoveTagsFromResource."
        )
    if existing is not None and not overwrite:
        raise AwsError(
            "ParameterAlreadyExists",
            "The parameter already exists. To overwrite this value, set the overwrite option in the request to true.",
        )
    if existing is None and "Type" not in req:
        raise invalid("A parameter type is required when you create a parameter.")
    kind = req.get("Type") or ("" if existing is None else existing.current.type)
    if "KeyId" in req and kind != SECURE_STRING:
        raise invalid("KeyId is required for SecureString type parameter only.")
    if any(_nested(line) for line in req["Value"].split("\n")):
        raise invalid('Parameter value can\'t nest another parameter. Do not use "{{}}" in the value.')


def _nested(line: str) -> bool:
    """Whether it holds what documents take for a parameter's name."""
    begin = line.find("{{")
    return begin >= 0 and line.find("}}", begin + 2) >= 0


def _policies(call: Call, req: Mapping[str, Any], existing: Parameter | None) -> tuple[Policy, ...]:
    """Those of the request, or those that the parameter has: a change is counted by them as one."""
    if "Policies" in req:
        return policies.parsed(req["Policies"], call.now)
    return () if existing is None else policies.after_change(existing.row.policies, call.now)


def _make_room(call: Call, existing: Parameter) -> None:
    """Drop the oldest version where there are as many as are kept. Raises ParameterMaxVersionLimitExceeded for one
    that has a label."""
    parameters, row = call.part(Parameters), existing.row
    if row.version < VERSIONS:
        return
    oldest = parameters.oldest(call.tx, row.place)
    if row.version - oldest + 1 < VERSIONS:
        return
    if row.labels_of(oldest):
        raise AwsError(
            "ParameterMaxVersionLimitExceeded",
            f"You attempted to create a new version of {row.name} by calling the PutParameter API with the overwrite "
            f"flag. Version {oldest}, the oldest version, can't be deleted because it has a label associated with "
            "it. Move the label to another version of the parameter, and try again.",
        )
    parameters.drop_version(call.tx, row.place, oldest)
