"""Other names for those whom a policy's document names.

A user or role that is deleted and made again under the same name is somebody else. So whoever keeps a policy keeps
along with it the unique ids of those whom it names by ARN, reads it with the ids in the ARNs' places, and shows it
with the ARNs that belong to the ids by now. Source: "AWS JSON policy elements: Principal".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def with_names(document: str, names: Mapping[str, str]) -> str:
    """The document, which is a policy's, with others of the names in its Principal and NotPrincipal elements."""
    if not names:
        return document

    def named(value: Any) -> Any:
        if isinstance(value, list):
            return [named(each) for each in value]
        return names.get(value, value) if isinstance(value, str) else value

    policy = json.loads(document)
    statements = policy["Statement"]
    for statement in statements if isinstance(statements, list) else [statements]:
        for element in ("Principal", "NotPrincipal"):
            principal = statement.get(element)
            if isinstance(principal, dict) and "AWS" in principal:
                statement[element] = principal | {"AWS": named(principal["AWS"])}
    return json.dumps(policy)
