"""The Regions of all partitions, as botocore ships them."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import botocore


@cache
def _partitions() -> dict[str, str]:
    """The partition ("aws", "aws-cn", ...) by Region."""
    data = json.loads((Path(botocore.__file__).parent / "data" / "partitions.json").read_bytes())
    return {
        region: partition["id"]
        for partition in data["partitions"]
        for region in partition["regions"]
        if not region.endswith("-global")
    }


@cache
def regions() -> frozenset[str]:
    """Every Region that a signature may be scoped to."""
    return frozenset(_partitions())


def partition_of(region: str) -> str:
    """The partition that an ARN in this Region begins with; "aws" for a Region that is not known."""
    return _partitions().get(region, "aws")
