"""Trust policies: whom they name, as of when they are put; and the same for policies of other services' resources.

What a policy names by ARN is kept with the unique id, by which it is matched (casemate/engine/policy/naming.py).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from casemate.engine.policy import Policy, with_names
from casemate.gate.call import Call
from casemate.services.iam.documents import accepted, size
from casemate.services.iam.entities import Entity, Role, User
from casemate.services.iam.quotas import TRUST_SIZE, check
from casemate.services.iam.refusals import malformed
from casemate.services.iam.store import Entities
from casemate.store.database import Tx

_ENTITY = re.compile(r"arn:aws:iam::([0-9]{12}):(user|role)/(.+)", re.ASCII)


def accepted_trust(call: Call, document: str) -> Mapping[str, str]:
    """The unique ids of the users and roles that a trust policy names, by ARN.

    Raises MalformedPolicyDocument, also for one that names somebody who does not exist, and LimitExceeded.
    """
    policy = accepted(document, "trust")
    # As many as there may be are not too many: of characters, one more would be.
    check(call, TRUST_SIZE, size([document]) - 1)
    ids = ids_named(call.tx, call.part(Entities), policy)
    for arn, unique_id in ids.items():
        if unique_id is None:
            raise malformed(f'Invalid principal in policy: "AWS":"{arn}"')
    return {arn: unique_id for arn, unique_id in ids.items() if unique_id is not None}


def ids_named(tx: Tx, entities: Entities, policy: Policy) -> dict[str, str | None]:
    """The unique ids of all users and roles that a policy names, by ARN; None of those that do not exist. An account
    that is not on this server may be anywhere: nothing is said of its users and roles, and nobody here is one."""
    found = {}
    for kind, name in policy.principals():
        if kind == "AWS" and _ENTITY.fullmatch(name):
            account, entity_kind, entity_name = _read(name)
            entity = entities.find(tx, entity_kind, account, entity_name)
            known = entity.id if entity is not None and entity.arn == name else None
            if known or tx.one("SELECT 1 FROM accounts WHERE id = ?", (account,)) is not None:
                found[name] = known
    return found


def names_now(tx: Tx, entities: Entities, ids: Mapping[str, str]) -> dict[str, str]:
    """What those are called now whom a policy named by ARN when they had these ids, where that is another name: the
    ARN that belongs to the id, or the id of one who is no more."""
    names = {}
    for arn, unique_id in ids.items():
        account, kind, _ = _read(arn)
        name = entities.arn_of(tx, kind, account, unique_id) or unique_id
        if name != arn:
            names[arn] = name
    return names


def shown_trust(tx: Tx, entities: Entities, role: Role) -> str:
    """The trust policy, with the ARNs that those whom it names have now, and the ids of those who are no more."""
    return with_names(role.trust, names_now(tx, entities, role.trusted))


def _read(arn: str) -> tuple[str, type[Entity], str]:
    """Account, kind and name of a user's or role's ARN."""
    found = _ENTITY.fullmatch(arn)
    assert found is not None
    account, kind, rest = found.groups()
    return account, User if kind == "user" else Role, rest.rpartition("/")[2]
