"""Whether a resource policy gives the public access: a statement that allows everybody, under no condition that fixes
where the access comes from. Source: "The meaning of 'public'".
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from ipaddress import ip_network
from typing import Any, Final

_FIXING: Final = frozenset(
    {
        *("aws:principalaccount", "aws:principalarn", "aws:principalorgid", "aws:principalorgpaths"),
        *(
            "aws:principalservicename",
            "aws:sourceaccount",
            "aws:sourcearn",
            "aws:sourceip",
            "aws:sourceowner",
        ),
        *("aws:sourceorgid", "aws:sourceorgpaths", "aws:sourcevpc", "aws:sourcevpce", "aws:userid"),
    }
)
_OPERATORS: Final = re.compile(
    r"(?:ForAnyValue:)?(?:StringEquals|StringEqualsIgnoreCase|StringLike|ArnEquals|ArnLike|IpAddress)"
)
_NARROWEST: Final = {4: 8, 6: 32}
"""Networks that are larger than this are the public, but for private ones."""


def is_public(document: str) -> bool:
    """Of a document that ``parse`` takes as a resource's policy."""
    statements = json.loads(document)["Statement"]
    return any(
        each["Effect"] == "Allow" and _is_for_everybody(each) and not _is_fixed(each)
        for each in _listed(statements)
    )


def _is_for_everybody(statement: Mapping[str, Any]) -> bool:
    principal = statement.get("Principal")
    # NotPrincipal leaves everybody but a few.
    return principal is None or principal == "*" or "*" in _listed(principal.get("AWS", []))


def _is_fixed(statement: Mapping[str, Any]) -> bool:
    return any(
        _fixes(key.lower(), [str(value) for value in _listed(values)])
        for operator, tests in statement.get("Condition", {}).items()
        if _OPERATORS.fullmatch(operator)
        for key, values in tests.items()
    )


def _fixes(key: str, values: list[str]) -> bool:
    test = _is_narrow if key == "aws:sourceip" else _is_constant
    return key in _FIXING and all(map(test, values))


def _is_constant(value: str) -> bool:
    return not any(mark in value for mark in ("*", "?", "${"))


def _is_narrow(value: str) -> bool:
    try:
        network = ip_network(value, strict=False)
    except ValueError:
        return False
    return network.prefixlen >= _NARROWEST[network.version] or network.is_private


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
