"""Whether a resource policy gives the public access: a statement that allows everybody, under no condition that fixes
where the access comes from, without wildcards and policy variables. Source: "The meaning of 'public'".
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from ipaddress import ip_network
from types import MappingProxyType
from typing import Any, Final

Fixes = Callable[[str], bool]
"""Whether a value of a condition key fixes where an access comes from."""

_OPERATORS: Final = re.compile(
    r"(?:ForAnyValue:)?(?:StringEquals|StringEqualsIgnoreCase|StringLike|ArnEquals|ArnLike|IpAddress)"
)
_NARROWEST: Final = {4: 8, 6: 32}
"""Networks that are larger than this are the public, but for private ones."""
_NO_OTHERS: Final[Mapping[str, Fixes]] = MappingProxyType({})


def is_public(document: str, others: Mapping[str, Fixes] = _NO_OTHERS) -> bool:
    """Of a document that ``parse`` takes as a resource's policy. others: a service's own condition keys, in lower
    case, that fix where an access comes from."""
    statements = json.loads(document)["Statement"]
    return any(
        each["Effect"] == "Allow" and _is_for_everybody(each) and not _is_fixed(each, others)
        for each in _listed(statements)
    )


def is_constant(value: str) -> bool:
    """Without wildcards and policy variables."""
    return not any(mark in value for mark in ("*", "?", "${"))


def _is_for_everybody(statement: Mapping[str, Any]) -> bool:
    principal = statement.get("Principal")
    # NotPrincipal leaves everybody but a few.
    return principal is None or principal == "*" or "*" in _listed(principal.get("AWS", []))


def _is_fixed(statement: Mapping[str, Any], others: Mapping[str, Fixes]) -> bool:
    for operator, tests in statement.get("Condition", {}).items():
        if _OPERATORS.fullmatch(operator) is None:
            continue
        for key, values in tests.items():
            fixes = _FIXING.get(key.lower()) or others.get(key.lower())
            if fixes is not None and all(fixes(str(value)) for value in _listed(values)):
                return True
    return False


def _is_narrow(value: str) -> bool:
    try:
        network = ip_network(value, strict=False)
    except ValueError:
        return False
    return network.prefixlen >= _NARROWEST[network.version] or network.is_private


_FIXING: Final[Mapping[str, Fixes]] = {
    **dict.fromkeys(
        (
            *("aws:principalaccount", "aws:principalarn", "aws:principalorgid", "aws:principalorgpaths"),
            *("aws:principalservicename", "aws:sourceaccount", "aws:sourcearn", "aws:sourceowner"),
            *("aws:sourceorgid", "aws:sourceorgpaths", "aws:sourcevpc", "aws:sourcevpce", "aws:userid"),
        ),
        is_constant,
    ),
    "aws:sourceip": _is_narrow,
}


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
