"""What a bucket has configured: the names in a row's settings, and what a new bucket begins with.

Versioning          "Enabled" or "Suspended"
Encryption          a ServerSideEncryptionRule, complete; every bucket has it
PublicAccessBlock   a PublicAccessBlockConfiguration
Ownership           an ObjectOwnership; '' where it was deleted, which is as ObjectWriter
Acl                 a list of [grantee, permission], where it is not the owner's alone
ObjectLock          an ObjectLockConfiguration
Tags                values by name
Logging             a LoggingEnabled, with TargetGrants as a list of [grantee, permission]
Payer               "Requester", where the owner does not pay
Abac                "Enabled" or "Disabled"
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ORDINARY_ENCRYPTION: Mapping[str, Any] = {
    "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"},
    "BucketKeyEnabled": False,
    "BlockedEncryptionTypes": {"EncryptionType": ["SSE-C"]},
}
"""Of a new bucket: SSE-S3, and no keys of customers' own. Source: "Default SSE-C setting for new buckets FAQ"."""

BLOCKS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")

NEW: Mapping[str, Any] = {
    "Encryption": ORDINARY_ENCRYPTION,
    "PublicAccessBlock": dict.fromkeys(BLOCKS, True),
    "Ownership": "BucketOwnerEnforced",
}
"""Source: "Default settings for S3 Block Public Access", "Controlling ownership of objects"."""
