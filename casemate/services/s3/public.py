"""Whether a policy or an ACL gives the public access. Source: "The meaning of 'public'" in "Blocking public access to
your Amazon S3 storage".

A policy is public unless each of its statements that allow names fixed principals, or has a condition that fixes
where the access comes from: one without wildcards and policy variables.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from ipaddress import ip_network
from typing import Any

_FIXING = frozenset(
    {
        *("aws:principalaccount", "aws:principalarn", "aws:principalorgid", "aws:principalorgpaths"),
        *(
            "aws:principalservicename",
            "aws:sourceaccount",
            "aws:sourcearn",
            "aws:sourceip",
            "aws:sourceowner",
        ),
        *("aws:sourceorgid", "aws:sourcevpc", "aws:sourcevpce", "aws:userid"),
        *("s3:dataaccesspointaccount", "s3:dataaccesspointarn"),
        "s3:x-amz-server-side-encryption-aws-kms-key-id",
    }
)
_OPERATORS = re.compile(
    r"(?:ForAnyValue:)?(?:StringEquals|StringEqualsIgnoreCase|StringLike|ArnEquals|ArnLike|IpAddress)"
)
_ACCESS_POINTS = re.compile(r"arn:aws[a-z-]*:s3:[a-z0-9-]*:[0-9]{12}:accesspoint/\*")
_NARROWEST = {4: 8, 6: 32}
"""Networks that are larger than this are the public, but for private ones."""


def is_public(document: str) -> bool:
    """Whether a bucket's policy, which has been checked, is public."""
    statements = json.loads(document)["Statement"]
    listed = statements if isinstance(statements, list) else [statements]
    return any(_gives_public_access(each) for each in listed if each["Effect"] == "Allow")


def _gives_public_access(statement: Mapping[str, Any]) -> bool:
    principal = statement.get("Principal")
    if principal is not None and principal != "*" and _values(principal.get("AWS")).count("*") == 0:
        return False
    for operator, tests in statement.get("Condition", {}).items():
        if _OPERATORS.fullmatch(operator) is None:
            continue
        for key, values in tests.items():
            if key.lower() in _FIXING and all(
                _is_fixed(key.lower(), str(value)) for value in _values(values)
            ):
                return False
    return True


def _values(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _is_fixed(key: str, value: str) -> bool:
    if key == "aws:sourceip":
        return _is_narrow(value)
    if key == "s3:dataaccesspointarn" and _ACCESS_POINTS.fullmatch(value):
        return True
    return not any(mark in value for mark in ("*", "?", "${"))


def _is_narrow(value: str) -> bool:
    try:
        network = ip_network(value, strict=False)
    except ValueError:
        return False
    return network.prefixlen >= _NARROWEST[network.version] or network.is_private
