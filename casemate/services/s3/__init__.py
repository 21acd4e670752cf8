"""S3: buckets, who may use them, and objects. Importing it attaches its handlers."""

from __future__ import annotations

from casemate.services.s3 import (
    control,
    cors,
    creating,
    deleting,
    encryption,
    getting,
    listing,
    listing_objects,
    ownership,
    policies,
    public_access,
    putting,
    tagging,
    unconfigured,
    versioning,
)

__all__ = [
    "control",
    "cors",
    "creating",
    "deleting",
    "encryption",
    "getting",
    "listing",
    "listing_objects",
    "ownership",
    "policies",
    "public_access",
    "putting",
    "tagging",
    "unconfigured",
    "versioning",
]
