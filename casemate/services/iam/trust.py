"""Trust policies: whom they name, as of when they are put.

A user or role that is deleted and made again under the same name is somebody else. So what a trust policy names by
ARN is kept with the unique id, by which it is matched; once the two no longer belong together, it shows the id.
Source: "AWS JSON policy elements: Principal".
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from casemate.engine.policy import Policy
from casemate.services.iam.documents import accepted, size
from casemate.services.iam.entities import Entity, Role, User
from casemate.services.iam.refusals import limit_exceeded, malformed
from casemate.services.iam.store import Entities
from casemate.store.database import Tx

LARGEST = 2048
"""Characters of a trust policy."""

_ENTITY = re.compile(r"arn:aws:iam::([0-9]{12}):(user|role)/(.+)", re.ASCII)


def accepted_trust(tx: Tx, entities: Entities, document: str) -> Mapping[str, str]:
    """The unique ids of the users and roles that a trust policy names, by ARN.

    Raises MalformedPolicyDocument, also for one that names somebody who does not exist in an account that does, and
    LimitExceeded. An account that is not on this server may be anywhere; nobody here is of it.
    """
    policy = accepted(document, "trust")
    if size([document]) > LARGEST:
        raise limit_exceeded("ACLSizePerRole", LARGEST)
    ids = ids_named(tx, entities, policy)
    for arn in ids:
        found = _ENTITY.fullmatch(arn)
        assert found is not None
        if ids[arn] is None and tx.one("SELECT 1 FROM accounts WHERE id = ?", (found[1],)) is not None:
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
    """The trust policy, with the ids of those whose ARNs are no longer theirs."""
    gone = {
        arn: unique_id for arn, unique_id in role.trusted.items() if _id_of(tx, entities, arn) != unique_id
    }
    return with_ids(role.trust, gone)


def with_ids(trust: str, ids: Mapping[str, str]) -> str:
    """A trust policy that names users and roles by their unique ids in place of their ARNs."""
    if not ids:
        return trust

    def named(value: Any) -> Any:
        if isinstance(value, list):
            return [named(each) for each in value]
        return ids.get(value, value) if isinstance(value, str) else value

    document = json.loads(trust)
    statements = document["Statement"]
    for statement in statements if isinstance(statements, list) else [statements]:
        for element in ("Principal", "NotPrincipal"):
            principal = statement.get(element)
            if isinstance(principal, dict) and "AWS" in principal:
                statement[element] = principal | {"AWS": named(principal["AWS"])}
    return json.dumps(document)


def _id_of(tx: Tx, entities: Entities, arn: str) -> str | None:
    found = _ENTITY.fullmatch(arn)
    assert found is not None
    account, kind, rest = found.groups()
    of_kind: type[Entity] = User if kind == "user" else Role
    entity = entities.find(tx, of_kind, account, rest.rpartition("/")[2])
    return entity.id if entity is not None and entity.arn == arn else None
