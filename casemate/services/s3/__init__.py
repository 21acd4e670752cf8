"""S3: buckets, who may use them, and objects. Importing it attaches its handlers."""

from __future__ import annotations

from casemate.services.s3 import (
    attributes,
    control,
    copying,
    cors,
    creating,
    deleting,
    encryption,
    getting,
    listing,
    listing_objects,
    object_tagging,
    ownership,
    policies,
    public_access,
    putting,
    retention,
    tagging,
    unconfigured,
    versioning,
)

__all__ = [
    "attributes",
    "control",
    "copying",
    "cors",
    "creating",
    "deleting",
    "encryption",
    "getting",
    "listing",
    "listing_objects",
    "object_tagging",
    "ownership",
    "policies",
    "public_access",
    "putting",
    "retention",
    "tagging",
    "unconfigured",
    "versioning",
]
