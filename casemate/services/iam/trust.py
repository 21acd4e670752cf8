"""Trust policies: whom they name, as of when they are put.

A user or role that is deleted and made again under the same name is somebody else. So what a trust policy names by
ARN is kept with the unique id, by which it is matched; it is shown with the ARN that belongs to the id now.
Source: "AWS JSON policy elements: Principal".
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from casemate.engine.policy import Policy
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

    Raises MalformedPolicyDocument, also for one that names somebody who does not exist in an account that does, and
    LimitExceeded. An account that is not on this server may be anywhere; nobody here is of it.
    """
    policy = accepted(document, "trust")
    # As many as there may be are not too many: of characters, one more would be.
    check(call, TRUST_SIZE, size([document]) - 1)
    tx = call.tx
    ids = ids_named(tx, call.part(Entities), policy)
    for arn in ids:
        account = _read(arn)[0]
        if ids[arn] is None and tx.one("SELECT 1 FROM accounts WHERE id = ?", (account,)) is not None:
            raise malformed(f'Invalid principal in policy: "AWS":"{arn}"')
    return {arn: unique_id for arn, unique_id in ids.items() if unique_id is not None}


def ids_named(tx: Tx, entities: Entities, policy: Policy) -> dict[str, str | None]:
    """The unique ids of all users and roles that a trust policy names, by ARN; None of those that do not exist."""
    return {
        name: _id_of(tx, entities, name)
        for kind, name in policy.principals()
        if kind == "AWS" and _ENTITY.fullmatch(name)
    }


def shown_trust(tx: Tx, entities: Entities, role: Role) -> str:
    """The trust policy, with the ARNs that those whom it names have now, and the ids of those who are no more."""
    names = {}
    for arn, unique_id in role.trusted.items():
        account, kind, _ = _read(arn)
        names[arn] = entities.arn_of(tx, kind, account, unique_id) or unique_id
    return with_names(role.trust, {arn: name for arn, name in names.items() if name != arn})


def with_names(trust: str, names: Mapping[str, str]) -> str:
    """A trust policy that names users and roles by others than the ARNs that it has: their unique ids, say."""
    if not names:
        return trust

    def named(value: Any) -> Any:
        if isinstance(value, list):
            return [named(each) for each in value]
        return names.get(value, value) if isinstance(value, str) else value

    document = json.loads(trust)
    statements = document["Statement"]
    for statement in statements if isinstance(statements, list) else [statements]:
        for element in ("Principal", "NotPrincipal"):
            principal = statement.get(element)
            if isinstance(principal, dict) and "AWS" in principal:
                statement[element] = principal | {"AWS": named(principal["AWS"])}
    return json.dumps(document)


def _id_of(tx: Tx, entities: Entities, arn: str) -> str | None:
    account, kind, name = _read(arn)
    entity = entities.find(tx, kind, account, name)
    return entity.id if entity is not None and entity.arn == arn else None


def _read(arn: str) -> tuple[str, type[Entity], str]:
    """Account, kind and name of a user's or role's ARN."""
    found = _ENTITY.fullmatch(arn)
    assert found is not None
    account, kind, rest = found.groups()
    return account, User if kind == "user" else Role, rest.rpartition("/")[2]
