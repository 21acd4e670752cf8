"""S3: buckets and who may use them. Importing it attaches its handlers."""

from __future__ import annotations

from casemate.services.s3 import (
    control,
    cors,
    creating,
    encryption,
    listing,
    ownership,
    policies,
    public_access,
    tagging,
    unconfigured,
    versioning,
)

__all__ = [
    "control",
    "cors",
    "creating",
    "encryption",
    "listing",
    "ownership",
    "policies",
    "public_access",
    "tagging",
    "unconfigured",
    "versioning",
]
