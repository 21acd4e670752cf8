"""What is made anew: under a name that nobody has, while there is room."""

from __future__ import annotations

from casemate.gate.call import Call
from casemate.services.iam.entities import Entity
from casemate.services.iam.quotas import check_room
from casemate.services.iam.refusals import exists
from casemate.services.iam.store import Entities


def make(call: Call, entity: Entity) -> None:
    """Store a new entity of the caller's account. Raises EntityAlreadyExists, LimitExceeded."""
    kind = type(entity)
    entities = call.part(Entities)
    if entities.find(call.tx, kind, entity.account, entity.name) is not None:
        raise exists(kind, entity.name)
    check_room(call, kind)
    if not entities.add(call.tx, entity):
        # 85 random bits have come twice: rather nothing than somebody else's id.
        raise RuntimeError(f"an id of a {entity.KIND} was drawn twice")
