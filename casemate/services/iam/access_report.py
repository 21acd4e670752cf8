"""What a report of last accesses says: for each service that policies allow, who of those that hold them tried it.

Only permissions policies tell which services these are, as on AWS: boundaries and SCPs do not, nor does what is
denied. Source: "Refine permissions in AWS using last accessed information".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from casemate.api.reference import actions, prefixes
from casemate.engine.policy import Policy, parse
from casemate.gate.call import Call
from casemate.services.iam.accesses import Access, accesses_of
from casemate.services.iam.entities import Entity, Group, Link, ManagedPolicy, Role, User
from casemate.services.iam.granting import grants, policies_of
from casemate.services.iam.store import Entities

Holders = list[tuple[Entity, list[Access]]]
"""Users and roles with what they tried, the latest first."""


def report(call: Call, subject: Any, *, by_action: bool) -> dict[str, Any]:
    """A report as JSON. subject: a user, group, role or managed policy."""
    policies = _policies(call, subject)
    holders: Holders = [
        (each, accesses_of(call.tx, call.account, each.id, call.now)) for each in _holders(call, subject)
    ]
    services = [service for service in prefixes() if any(grants(policy, service) for policy in policies)]
    return {
        "entities": [_entity(each) for each, _ in holders],
        "services": [_service(service, holders, policies, by_action) for service in services],
    }


def _policies(call: Call, subject: Any) -> list[Policy]:
    if isinstance(subject, ManagedPolicy):
        return [parse(subject.document, "identity")]
    return [each.policy for each in policies_of(call, subject)]


def _holders(call: Call, subject: Any) -> list[Entity]:
    """The users and roles who have the permissions, once each."""
    found: dict[str, Entity] = {}
    if isinstance(subject, ManagedPolicy):
        link = Link("policy", subject.arn)
        for kind in (Role, User):
            found.update((each.id, each) for each in _referring(call, kind, link))
        groups = list(_referring(call, Group, link))
    elif isinstance(subject, Group):
        groups = [subject]
    else:
        return [subject]
    for group in groups:
        found.update((each.id, each) for each in _referring(call, User, Link("group", group.id)))
    return list(found.values())


def _referring(call: Call, kind: type[Any], link: Link) -> Iterator[Any]:
    yield from call.part(Entities).referring(call.tx, kind, call.account, link)


def _entity(entity: Entity) -> dict[str, str]:
    return {
        "Arn": entity.arn,
        "Name": entity.name,
        "Type": entity.KIND.upper(),
        "Id": entity.id,
        "Path": entity.path,
    }


def _service(service: str, holders: Holders, policies: list[Policy], by_action: bool) -> dict[str, Any]:
    """namespace; last: seconds by the entity's id; action: the last attempt's place; actions: by name, of those that
    were tried or could have been, the last attempt or None."""
    tried: dict[str, list[Any]] = {}
    last: dict[str, float] = {}
    latest: list[Any] | None = None
    for entity, accesses in holders:
        for access in accesses:
            if access.service != service:
                continue
            attempt = [access.last, entity.arn, access.region]
            last.setdefault(entity.id, access.last)
            latest = _later(latest, attempt)
            tried[access.action] = _later(tried.get(access.action), attempt)
    found: dict[str, Any] = {"namespace": service, "last": last, "latest": latest}
    if by_action and tried:
        names = {name for name in actions(service) if name in tried or _allows(policies, f"{service}:{name}")}
        found["actions"] = {name: tried.get(name) for name in sorted(names)}
    return found


def _later(known: list[Any] | None, attempt: list[Any]) -> list[Any]:
    return attempt if known is None or attempt[0] > known[0] else known


def _allows(policies: list[Policy], action: str) -> bool:
    return any(policy.about(action.lower()).allows for policy in policies)
