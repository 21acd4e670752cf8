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


_POINT = re.compile(r"(?=.{3,50}\Z)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")
_IN_HOST = re.compile(r"(.{3,50})-([0-9]{12})")
ALIAS = "-s3alias"
"""What access points' aliases end with, and no bucket's name."""


def may_name_point(name: str) -> bool:
    """Source: "Access points restrictions and limitations"."""
    return _POINT.fullmatch(name) is not None and not name.startswith("xn--") and not name.endswith(ALIAS)


def point_arn(account: str, region: str, name: str) -> str:
    """An access point's; what is in it comes behind "/object/"."""
    return f"arn:{partition_of(region)}:s3:{region}:{account}:accesspoint/{name}"


def point_in_host(name: str) -> tuple[str, str] | None:
    """Name and account of the access point that a host's name may mean: name-111122223333."""
    found = _IN_HOST.fullmatch(name)
    return None if found is None else (found[1], found[2])


_BUCKET_ARN = re.compile(r"arn:aws[a-z-]*:s3:::([A-Za-z0-9._-]{3,255})")


def bucket_of_arn(arn: str) -> str | None:
    """The name of the bucket that an ARN is of; None for what is no bucket's."""
    found = _BUCKET_ARN.fullmatch(arn)
    return None if found is None else found[1]
