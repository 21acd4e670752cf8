"""Parameter Store's service settings: what they may be, and what applies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from casemate.gate.call import Call
from casemate.services.ssm.parameters import Parameters

DEFAULT_TIER = "/ssm/parameter-store/default-parameter-tier"
HIGH_THROUGHPUT = "/ssm/parameter-store/high-throughput-enabled"


class Kind(NamedTuple):
    """default: what applies unless it is changed; values: what it may be changed to."""

    default: str
    values: tuple[str, ...]


SETTINGS: Mapping[str, Kind] = {
    DEFAULT_TIER: Kind("Standard", ("Standard", "Advanced", "Intelligent-Tiering")),
    HIGH_THROUGHPUT: Kind("false", ("true", "false")),
}


def value_of(call: Call, name: str) -> str:
    """What applies in the call's account and Region. Raises Miss."""
    changed = call.part(Parameters).settings(call).get(name)
    return SETTINGS[name].default if changed is None else changed.value
