"""S3: buckets and who may use them. Importing it attaches its handlers."""

from __future__ import annotations

from casemate.services.s3 import (
    creating,
    encryption,
    listing,
    policies,
    public_access,
    tagging,
    unconfigured,
    versioning,
)

__all__ = [
    "creating",
    "encryption",
    "listing",
    "policies",
    "public_access",
    "tagging",
    "unconfigured",
    "versioning",
]
