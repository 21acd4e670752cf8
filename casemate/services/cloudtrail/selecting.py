"""PutEventSelectors, GetEventSelectors. Source: CloudTrail's API reference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from casemate.api import cloudtrail
from casemate.engine.cloudtrail.selector_rules import InvalidSelectors, check_advanced, complete_basic
from casemate.engine.cloudtrail.selectors import DEFAULT
from casemate.services.cloudtrail.reading import read_up
from casemate.services.cloudtrail.refusals import invalid_selectors
from casemate.services.cloudtrail.targets import Named, changed_trail, shown_trail
from casemate.services.cloudtrail.trails import Trail, Trails

if TYPE_CHECKING:
    from casemate.gate.call import Call


@cloudtrail.PutEventSelectors.writes(changed_trail)
def put_event_selectors(
    call: Call, req: cloudtrail.PutEventSelectorsRequest, named: Named
) -> cloudtrail.PutEventSelectorsResponse:
    """Say which events a trail logs, by basic or by advanced selectors, which take the others' place."""
    basic, advanced = req.get("EventSelectors"), req.get("AdvancedEventSelectors")
    if (basic is None) == (advanced is None):
        raise invalid_selectors(
            "Exactly one of EventSelectors and AdvancedEventSelectors must be specified, and not both."
        )
    try:
        if advanced is not None:
            check_advanced(advanced)
            changed = named.trail.changed(Basic=None, Advanced=advanced)
        else:
            changed = named.trail.changed(Basic=complete_basic(basic or ()), Advanced=None)
    except InvalidSelectors as error:
        raise invalid_selectors(str(error)) from None
    read_up(call)
    call.part(Trails).save(call.tx, changed)
    return _shown(changed)  # type: ignore[return-value]  # built from the model's members


@cloudtrail.GetEventSelectors.reads(shown_trail, near=True)
def get_event_selectors(
    call: Call, req: cloudtrail.GetEventSelectorsRequest, named: Named
) -> cloudtrail.GetEventSelectorsResponse:
    """Which events a trail logs."""
    return _shown(named.trail)  # type: ignore[return-value]  # built from the model's members


def _shown(trail: Trail) -> dict[str, Any]:
    advanced = trail.get("Advanced", None)
    if advanced is not None:
        return {"TrailARN": trail.arn, "AdvancedEventSelectors": advanced}
    return {"TrailARN": trail.arn, "EventSelectors": trail.get("Basic", None) or DEFAULT}
