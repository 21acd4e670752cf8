"""AWS managed policies, written to grant what AWS documents of them: one file each in ``aws_policies``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from pathlib import Path

from casemate.services.iam.entities import ManagedPolicy, Version

OWNER = "aws"
"""In place of the account in their ARNs."""

ADMINISTRATOR_ACCESS = "arn:aws:iam::aws:policy/AdministratorAccess"


@cache
def aws_managed() -> Mapping[str, ManagedPolicy]:
    """All of them by ARN, sorted by name."""
    files = sorted(
        (Path(__file__).parent / "aws_policies").glob("*.json"), key=lambda file: file.stem.lower()
    )
    policies = [_read(file) for file in files]
    return {policy.arn: policy for policy in policies}


def _read(file: Path) -> ManagedPolicy:
    data = json.loads(file.read_bytes())
    created = datetime.fromisoformat(data["Created"]).timestamp()
    return ManagedPolicy(
        account=OWNER,
        name=file.stem,
        path=data["Path"],
        id=data["Id"],
        created=created,
        description=data["Description"],
        versions={"v1": Version(json.dumps(data["Document"], indent=4), created)},
        updated=created,
    )
