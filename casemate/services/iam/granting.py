"""ListPoliciesGrantingServiceAccess: by which of its policies an identity may use a service at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from casemate.api import iam
from casemate.engine.policy import Policy, Statement, parse
from casemate.gate.call import Call
from casemate.services.iam.attachments import place_of
from casemate.services.iam.entities import Group, Principal, User
from casemate.services.iam.pages import Page
from casemate.services.iam.simulate import managed_document, named_principal
from casemate.services.iam.store import Entities
from casemate.services.iam.targets import Target


class Granting(NamedTuple):
    """A policy with how it is shown. place: in a list."""

    place: str
    shape: Mapping[str, str]
    policy: Policy


def grants(policy: Policy, service: str) -> bool:
    """Whether one of its statements allows anything of a service. service: the prefix of its actions."""
    return any(statement.allow and _covers(statement, service) for statement in policy.statements)


def _covers(statement: Statement, service: str) -> bool:
    actions = statement.actions
    if actions.negated:
        return not {"*", "*:*", f"{service}:*"} & set(actions.texts)
    return any(text.partition(":")[0] in ("*", service) for text in actions.texts)


def _held(call: Call, holder: Principal) -> Iterator[Granting]:
    kind, name = holder.KIND.upper(), holder.name
    for called, document in holder.inline.items():
        shape = {"PolicyName": called, "PolicyType": "INLINE", "EntityType": kind, "EntityName": name}
        yield Granting(f"{called.lower()} {kind} {name}", shape, parse(document, "identity"))
    for arn in holder.attached:
        shape = {"PolicyName": arn.rpartition("/")[2], "PolicyType": "MANAGED", "PolicyArn": arn}
        yield Granting(place_of(arn), shape, parse(managed_document(call, arn), "identity"))


def policies_of(call: Call, holder: Principal) -> Iterator[Granting]:
    """The policies of a group, of a role, or of a user with those of the user's groups."""
    yield from _held(call, holder)
    if isinstance(holder, User):
        for group in holder.groups:
            yield from _held(call, call.part(Entities).with_id(call.tx, Group, call.account, group))


def _named(call: Call, request: Mapping[str, Any]) -> Target[Any]:
    """Arn."""
    return named_principal(call, {"PolicySourceArn": request["Arn"]})


@iam.ListPoliciesGrantingServiceAccess.reads(_named)
def list_policies_granting_service_access(
    call: Call, req: iam.ListPoliciesGrantingServiceAccessRequest, target: Target[Any]
) -> iam.ListPoliciesGrantingServiceAccessResponse:
    """By which policies, its own and its groups', an identity may use each of some services."""
    # A policy that comes by two ways is one.
    policies = {each.place: each for each in policies_of(call, target.entity)}
    services = {f"{number:04}": service for number, service in enumerate(req["ServiceNamespaces"], 1)}
    places, more = Page(call, req).of(services, str)
    entries = [
        {
            "ServiceNamespace": services[place],
            "Policies": [
                policies[each].shape
                for each in sorted(policies)
                if grants(policies[each].policy, services[place].lower())
            ],
        }
        for place in places
    ]
    return {"PoliciesGrantingServiceAccess": entries, **more}  # type: ignore[typeddict-item]
