"""Which tier a parameter is put in, and what each allows. Source: "Managing parameter tiers"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.services.ssm.data_types import ADVANCED_TYPES
from casemate.services.ssm.parameters import Parameters
from casemate.services.ssm.quotas import ADVANCED_PARAMETERS, STANDARD_PARAMETERS
from casemate.services.ssm.refusals import invalid
from casemate.services.ssm.rows import ADVANCED, INTELLIGENT, STANDARD, Version
from casemate.services.ssm.setting_values import DEFAULT_TIER, value_of

LONGEST = {STANDARD: 4096, ADVANCED: 8192}
"""Bytes of a value."""

_LIMITS = {STANDARD: STANDARD_PARAMETERS, ADVANCED: ADVANCED_PARAMETERS}
_MORE = (
    "https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-advanced-parameters.html"
)


def tier_of(
    call: Call, request: Mapping[str, Any], before: Version | None, *, policies: bool, data_type: str
) -> str:
    """Standard or Advanced. before: the version that is current; policies: whether the parameter has any with this
    request. Raises ValidationException for what the tier does not allow, ParameterLimitExceeded."""
    size = len(request["Value"].encode())
    demanding = size > LONGEST[STANDARD] or policies or data_type in ADVANCED_TYPES
    asked = request.get("Tier")
    if asked is None:
        asked = value_of(call, DEFAULT_TIER)
        if before is not None and before.tier == ADVANCED and asked == STANDARD:
            # What was said of an advanced parameter holds until it is made anew.
            asked = ADVANCED
    if asked == INTELLIGENT:
        full = before is None and not _has_room(call, STANDARD)
        upgraded = before is not None and before.tier == ADVANCED
        asked = ADVANCED if demanding or full or upgraded else STANDARD
    tier = str(asked)
    if before is not None and before.tier == ADVANCED and tier == STANDARD:
        raise invalid(
            "This parameter uses the advanced-parameter tier. You can't downgrade a parameter from the "
            "advanced-parameter tier to the standard-parameter tier. If necessary, you can delete the advanced "
            "parameter and recreate it as a standard parameter. Be aware that standard parameters have a value limit "
            f"of {LONGEST[STANDARD]} characters."
        )
    _must_allow(tier, size, policies=policies, data_type=data_type)
    if (before is None or before.tier != tier) and not _has_room(call, tier):
        raise AwsError(
            "ParameterLimitExceeded",
            f"You have exceeded the number of {tier.lower()} parameters for this AWS account. Delete one or more "
            "parameters and try again.",
        )
    return tier


def _must_allow(tier: str, size: int, *, policies: bool, data_type: str) -> None:
    if size > LONGEST[tier]:
        if tier == STANDARD:
            raise invalid(
                f"Standard tier parameters support a maximum parameter value of {LONGEST[STANDARD]} characters. To "
                "create a larger parameter value, upgrade the parameter to use the advanced-parameter tier. For more "
                f"information, see {_MORE}"
            )
        raise invalid(
            f"Advanced tier parameters support a maximum parameter value of {LONGEST[ADVANCED]} characters."
        )
    if tier == STANDARD and policies:
        raise invalid(
            "Standard tier parameters don't support parameter policies. To use them, upgrade the parameter to use "
            f"the advanced-parameter tier. For more information, see {_MORE}"
        )
    if tier == STANDARD and data_type in ADVANCED_TYPES:
        raise invalid(
            f"Standard tier parameters don't support the data type {data_type}. To use it, upgrade the parameter to "
            f"use the advanced-parameter tier. For more information, see {_MORE}"
        )


def _has_room(call: Call, tier: str) -> bool:
    count = call.part(Parameters).count(call.tx, call.account, call.region, tier)
    return count < int(call.limit(_LIMITS[tier]))
