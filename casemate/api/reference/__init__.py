"""What AWS's Service Authorization Reference says of each action: which resources it may be allowed on, and which
condition keys its requests have. Data files, one a service, written by tools/generate_reference.py; read by the
documentation's tables, by tests, and by commands and IAM's reports, on no request that is to be quick.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import NamedTuple


class Action(NamedTuple):
    """level: Read, List, Write, Tagging or Permissions management; resources: types of resources, those that a policy
    must name with a star ("key*"), none for actions that are allowed on "*" only; conditions: condition keys, with
    "${...}" for what varies."""

    level: str
    resources: tuple[str, ...]
    conditions: tuple[str, ...]


@cache
def prefixes() -> tuple[str, ...]:
    """The services that are here, by what their actions begin with ("kms"), in order."""
    suffix = ".json"
    names = (file.name for file in files(__name__).iterdir())
    return tuple(sorted(name.removesuffix(suffix) for name in names if name.endswith(suffix)))


@cache
def actions(prefix: str) -> Mapping[str, Action]:
    """The actions of a service by name, without the prefix ("kms") that they begin with; none for a service that is
    not served."""
    file = files(__name__) / f"{prefix}.json"
    if not file.is_file():
        return {}
    entries = json.loads(file.read_text(encoding="utf-8"))
    return {
        name: Action(each["level"], tuple(each["resources"]), tuple(each["conditions"]))
        for name, each in entries.items()
    }


def action(name: str) -> Action | None:
    """An action by its whole name ("kms:Encrypt"), whose case does not matter; None for one that AWS does not have."""
    prefix, _, wanted = name.partition(":")
    known = actions(prefix.lower())
    return next((each for key, each in known.items() if key.lower() == wanted.lower()), None)
