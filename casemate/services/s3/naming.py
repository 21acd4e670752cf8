"""Names of buckets and of what is in them. Source: "General purpose bucket naming rules"."""

from __future__ import annotations

import re

from casemate.gate.regions import partition_of

_NAME = re.compile(r"(?=.{3,63}\Z)[a-z0-9](?:[a-z0-9-]|\.(?!\.))*[a-z0-9]")
_ADDRESS = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}")
_ONCE = re.compile(r"[A-Za-z0-9._-]{3,255}")
_RESERVED_BEGINNINGS = ("xn--", "sthree-", "amzn-s3-demo-")
_RESERVED_ENDS = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")
_REGIONAL = "-an"


def may_name_bucket(name: str) -> bool:
    """Whether a bucket may get this name in the global namespace, or in an account's as far as that goes."""
    return (
        _NAME.fullmatch(name) is not None
        and _ADDRESS.fullmatch(name) is None
        and not name.startswith(_RESERVED_BEGINNINGS)
        and not name.endswith(_RESERVED_ENDS)
    )


def is_of_namespace(name: str, account: str, region: str) -> bool:
    """Whether the name is in an account's own namespace in a Region: prefix-111122223333-us-west-2-an."""
    return name.removesuffix(f"-{account}-{region}{_REGIONAL}") not in (name, "")


def is_regional(name: str) -> bool:
    """Whether the name's end is reserved for accounts' own namespaces."""
    return name.endswith(_REGIONAL)


def may_be_bucket(name: str) -> bool:
    """Whether there can be such a bucket, for what names one that should be there."""
    return _ONCE.fullmatch(name) is not None


def bucket_arn(name: str, region: str) -> str:
    """arn:aws:s3:::name, in the partition of the Region."""
    return f"arn:{partition_of(region)}:s3:::{name}"
