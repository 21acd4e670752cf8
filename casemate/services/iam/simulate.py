"""SimulateCustomPolicy, SimulatePrincipalPolicy, GetContextKeysForCustomPolicy, GetContextKeysForPrincipalPolicy."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from casemate.api import iam
from casemate.engine.policy import Kind, Policy, PolicyError, Principal, Value, parse, principal_keys
from casemate.engine.policy.wildcards import glob
from casemate.gate.call import Call
from casemate.gate.resource import Resource
from casemate.services.iam import entities as kinds
from casemate.services.iam.document_parts import context_keys
from casemate.services.iam.entities import Bounded, Group, Role, User
from casemate.services.iam.managed_policies import aws_managed
from casemate.services.iam.pages import Page
from casemate.services.iam.refusals import invalid_input
from casemate.services.iam.simulated import Match, Outcome, Simulation, Source, together
from casemate.services.iam.store import Entities
from casemate.services.iam.targets import Target, account_wide, by_name

MOST_EVALUATIONS = 5_000
"""Actions times resources of one answer."""

_PRINCIPAL = re.compile(
    r"arn:aws[a-z-]*:iam::([0-9]{12}):(user|group|role)(/(?:[!-~]+/)?)([\w+=,.@-]{1,128})", re.ASCII
)
_KINDS: Mapping[str, Any] = {"user": User, "group": Group, "role": Role}
_ACTION = re.compile(r"[A-Za-z0-9-]+:[A-Za-z0-9]+", re.ASCII)


# --- what a request simulates


class Held(NamedTuple):
    """A policy that a principal holds. kind: inline, aws-managed or user-managed; holder: of an inline one, the kind
    and name of whom it is embedded in; name: its name, or its ARN."""

    kind: str
    holder: tuple[str, str]
    name: str
    source: Source


def named_principal(call: Call, request: Mapping[str, Any]) -> Target[Any]:
    """PolicySourceArn: a user, group or role of the caller's account. Raises InvalidInput."""
    arn = request["PolicySourceArn"]
    read = _PRINCIPAL.fullmatch(arn)
    if read is None or read[1] != call.account:
        raise invalid_input(f"Invalid Entity Arn: {arn} does not clearly define entity type and name.")
    target: Target[Any] = by_name(call, _KINDS[read[2]], read[4])
    if target.found is not None and target.found.arn != arn:
        return by_name(call, _KINDS[read[2]], f"{read[3][1:]}{read[4]}")
    return target


def _source(source_id: str, number: int, document: str, kind: Kind) -> Source:
    try:
        # Named by numbers, by which decisions tell which policy it was.
        policy = parse(document, kind).named(str(number))
    except PolicyError as error:
        raise invalid_input(f"{source_id}: {error.message}") from None
    return Source(source_id, policy, document)


def _inputs(request: Mapping[str, Any], first: int) -> list[Source]:
    documents = request.get("PolicyInputList", [])
    return [
        _source(f"PolicyInputList.{number}", first + number, document, "identity")
        for number, document in enumerate(documents, 1)
    ]


def _held(call: Call, entity: kinds.Principal) -> Iterator[Held]:
    """The policies of a user, with those of its groups, of a group or of a role."""
    entities = call.part(Entities)
    holders = [entity]
    if isinstance(entity, User):
        holders += [entities.with_id(call.tx, Group, call.account, group) for group in entity.groups]
    number = 0
    for holder in holders:
        for name, document in holder.inline.items():
            number += 1
            source = _source(f"{holder.KIND}_{holder.name}_{name}", number, document, "identity")
            yield Held("inline", (holder.KIND, holder.name), name, source)
        for arn in holder.attached:
            number += 1
            source = _source(arn.rpartition("/")[2], number, managed_document(call, arn), "identity")
            yield Held("aws-managed" if arn in aws_managed() else "user-managed", ("", ""), arn, source)


def managed_document(call: Call, arn: str) -> str:
    """What an attached policy says."""
    policy = aws_managed().get(arn) or call.part(Entities).policy(call.tx, call.account, arn)
    assert policy is not None, "what is attached cannot be deleted"
    return policy.document


class Exclusions:
    """PolicyExclusionList: what is left out of a simulation. Raises InvalidInput."""

    def __init__(self, request: Mapping[str, Any]) -> None:
        self.types: set[str] = set()
        self._arns: list[Callable[[str], bool]] = []
        self._inline: set[tuple[str, tuple[str, str]]] = set()
        for entry in request.get("PolicyExclusionList", ()):
            if "PolicyType" in entry:
                self.types.add(entry["PolicyType"])
            elif "PolicyArn" in entry:
                head, slash, name = entry["PolicyArn"].partition("/")
                if not slash or "*" in head or "?" in head or name.count("*") > 1:
                    raise invalid_input(f"Invalid policy ARN: {entry['PolicyArn']}")
                self._arns.append(glob(entry["PolicyArn"]))
            else:
                inline = entry["InlinePolicyIdentifier"]
                holder = (inline["AttachmentType"], inline["AttachmentName"])
                self._inline.add((inline["PolicyName"], holder))

    def has(self, held: Held) -> bool:
        if held.kind in self.types:
            return True
        if held.kind != "inline":
            return any(matches(held.name) for matches in self._arns)
        return (held.name, held.holder) in self._inline


def _boundary(request: Mapping[str, Any]) -> Source | None:
    documents = request.get("PermissionsBoundaryPolicyInputList", [])
    if len(documents) > 1:
        raise invalid_input("You can input only one permissions boundary.")
    for document in documents:
        return _source("PermissionsBoundaryPolicyInputList.1", 0, document, "boundary")
    return None


def _caller(call: Call, arn: str, entity: kinds.Principal | None = None) -> Principal:
    """The simulated caller. Raises InvalidInput for what is no user, group or role."""
    read = _PRINCIPAL.fullmatch(arn)
    if read is None:
        raise invalid_input(f"Invalid Caller Arn: {arn} is not the ARN of a user, group or role.")
    account, kind, _, name = read.groups()
    if entity is None and account == call.account:
        entity = call.part(Entities).find(call.tx, _KINDS[kind], account, name)
    unique_id = "" if entity is None or entity.arn != arn else entity.id
    if kind == "role":
        return Principal(kind="role", arn=arn, account=account, role_arn=arn, id=unique_id)
    # A group is nobody whom a resource's policy could mean.
    return Principal(kind="user", arn=arn, account=account, id=unique_id if kind == "user" else "")


def _context(request: Mapping[str, Any], principal: Principal | None) -> dict[str, Value]:
    known: dict[str, Value] = {}
    if principal is not None and ":group/" not in principal.arn:
        known = {key: value for key, value in principal_keys(principal).items() if value is not None}
    for entry in request.get("ContextEntries", ()):
        values = entry.get("ContextKeyValues", [])
        name, kind = entry.get("ContextKeyName"), entry.get("ContextKeyType", "string")
        if name is None or not values:
            raise invalid_input("A context entry needs a name and values.")
        if not kind.endswith("List") and len(values) > 1:
            raise invalid_input(f"The context key {name} of type {kind} has one value.")
        known[name.lower()] = values if kind.endswith("List") else values[0]
    return known


def _simulation(
    call: Call,
    request: Mapping[str, Any],
    identity: Sequence[Source],
    boundary: Source | None,
    scps: tuple[tuple[Policy, ...], ...],
    principal: Principal | None,
) -> Simulation:
    resource_policy = None
    if "ResourcePolicy" in request:
        if principal is None:
            raise invalid_input("CallerArn is required with a ResourcePolicy.")
        resource_policy = _source("ResourcePolicy", -1, request["ResourcePolicy"], "resource")
    context = _context(request, principal)
    if principal is None:
        principal = Principal(kind="user", arn=f"arn:aws:iam::{call.account}:user/", account=call.account)
    owner = request.get("ResourceOwner", "").removeprefix("arn:aws:iam::").partition(":")[0]
    return Simulation(
        principal, identity, boundary, resource_policy, scps, owner or principal.account, context
    )


# --- answers


def _statements(matched: Sequence[Match]) -> list[dict[str, Any]]:
    def position(place: tuple[int, int]) -> dict[str, int]:
        return {"Line": place[0], "Column": place[1]}

    return [
        {
            "SourcePolicyId": match.source,
            "SourcePolicyType": match.kind,
            "StartPosition": position(match.span.start),
            "EndPosition": position(match.span.end),
        }
        for match in matched
    ]


def _further(outcome: Outcome, *, named: bool) -> dict[str, Any]:
    """The members that results for one resource and for all have. named: on resources that the request names."""
    shown: dict[str, Any] = {
        "MatchedStatements": _statements(outcome.matched),
        "MissingContextValues": list(outcome.missing),
    }
    if outcome.boundary is not None:
        shown["PermissionsBoundaryDecisionDetail"] = {"AllowedByPermissionsBoundary": outcome.boundary}
    if named:
        shown["EvalDecisionDetails"] = dict(outcome.details)
    return shown


def _result(simulation: Simulation, action: str, resources: Sequence[str]) -> dict[str, Any]:
    outcomes = {resource: simulation.outcome(action, resource) for resource in resources or ("*",)}
    whole = together(list(outcomes.values()))
    named = bool(resources) and list(resources) != ["*"]
    result = {
        "EvalActionName": action,
        "EvalResourceName": "*",
        "EvalDecision": whole.decision,
        **_further(whole, named=named),
    }
    if whole.organizations is not None:
        result["OrganizationsDecisionDetail"] = {"AllowedByOrganizations": whole.organizations}
    if named:
        result["ResourceSpecificResults"] = [
            {
                "EvalResourceName": resource,
                "EvalResourceDecision": each.decision,
                **_further(each, named=True),
            }
            for resource, each in outcomes.items()
        ]
    return result


def _answer(call: Call, request: Mapping[str, Any], simulation: Simulation) -> iam.SimulatePolicyResponse:
    actions, resources = request["ActionNames"], request.get("ResourceArns", [])
    for action in actions:
        if _ACTION.fullmatch(action) is None:
            raise invalid_input(f"Invalid action name: {action}")
    for resource in resources:
        if resource != "*" and len(resource.split(":", 5)) < 6:
            raise invalid_input(f"Invalid resource ARN: {resource}")
    numbered = [(f"{number:06}", action) for number, action in enumerate(actions)]
    shown, more = Page(call, request).of(numbered, lambda each: each[0])
    if len(shown) * max(1, len(resources)) > MOST_EVALUATIONS:
        raise invalid_input(f"More than {MOST_EVALUATIONS} evaluations at a time: ask for fewer items.")
    results = [_result(simulation, action, resources) for _, action in shown]
    return {"EvaluationResults": results, **more}  # type: ignore[typeddict-item]


@iam.SimulateCustomPolicy.reads(account_wide)
def simulate_custom_policy(
    call: Call, req: iam.SimulateCustomPolicyRequest, target: Resource
) -> iam.SimulatePolicyResponse:
    """What policies that are given would allow, with the statements that decide."""
    levels = [
        tuple(
            _source(f"ServiceControlPolicy.{depth}.{number}", 0, document, "scp").policy
            for number, document in enumerate(level.get("ServiceControlPolicyInputList", ()), 1)
        )
        for depth, level in enumerate(req.get("OrderedOrganizationPolicyInputList", ()), 1)
    ]
    # Not in the event loop: the engine goes through all of it, statement by statement.
    assert call.tx is not None
    principal = _caller(call, req["CallerArn"]) if "CallerArn" in req else None
    simulation = _simulation(call, req, _inputs(req, 0), _boundary(req), tuple(levels), principal)
    return _answer(call, req, simulation)


@iam.SimulatePrincipalPolicy.reads(named_principal)
def simulate_principal_policy(
    call: Call, req: iam.SimulatePrincipalPolicyRequest, target: Target[Any]
) -> iam.SimulatePolicyResponse:
    """What a user, group or role may do by its policies, boundary and SCPs, with the statements that decide."""
    entity, excluded = target.entity, Exclusions(req)
    held = [each.source for each in _held(call, entity) if not excluded.has(each)]
    boundary = _boundary(req)
    if boundary is None and isinstance(entity, Bounded) and entity.boundary:
        document = managed_document(call, entity.boundary)
        boundary = _source(entity.boundary.rpartition("/")[2], 0, document, "boundary")
    if "permission-boundary" in excluded.types:
        boundary = None
    scps = call.gate.organizations.standing(call.account, call.tx).scps
    principal = _caller(call, req.get("CallerArn", entity.arn), entity)
    if principal.arn == entity.arn and isinstance(entity, Role) and entity.service_linked:
        scps = ()
    simulation = _simulation(
        call,
        req,
        [*held, *_inputs(req, 1_000_000)],
        boundary,
        () if "scp" in excluded.types else scps,
        principal,
    )
    return _answer(call, req, simulation)


def _keys(sources: Sequence[Source]) -> iam.GetContextKeysForPolicyResponse:
    names: dict[str, str] = {}
    for source in sources:
        names = {**context_keys(source.document), **names}
    return {"ContextKeyNames": sorted(names.values())}


@iam.GetContextKeysForCustomPolicy.reads(account_wide)
def get_context_keys_for_custom_policy(
    call: Call, req: iam.GetContextKeysForCustomPolicyRequest, target: Resource
) -> iam.GetContextKeysForPolicyResponse:
    """The context keys that policies name, in conditions and as variables."""
    return _keys(_inputs(req, 0))


@iam.GetContextKeysForPrincipalPolicy.reads(named_principal)
def get_context_keys_for_principal_policy(
    call: Call, req: iam.GetContextKeysForPrincipalPolicyRequest, target: Target[Any]
) -> iam.GetContextKeysForPolicyResponse:
    """The context keys that the policies of a user, group or role name."""
    return _keys([*(each.source for each in _held(call, target.entity)), *_inputs(req, 0)])
