"""The names under which AWS and others publish their latest AMIs. Source: "Discovering public parameters in Parameter
Store", "Retrieving Amazon ECS-optimized Linux AMI metadata", "Retrieve recommended Amazon Linux AMI IDs", "Finding
Ubuntu images with AWS Systems Manager", "Retrieve recommended Bottlerocket AMI IDs".

There are no AMIs behind the ids, which are made of the names: the same in every server, another in each Region.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from hashlib import sha256

from casemate.services.ssm.naming import SERVICE

_DATE = "20261101"
_MACHINES = ("arm64", "x86_64")
_LINUX = (
    *(
        f"al2023-ami-{kind}kernel-{kernel}-{machine}"
        for kind in ("", "minimal-")
        for kernel in ("default", "6.1", "6.12")
        for machine in _MACHINES
    ),
    *(f"amzn2-ami-{kind}hvm-{machine}-gp2" for kind in ("", "kernel-5.10-") for machine in _MACHINES),
    *(f"amzn2-ami-minimal-hvm-{machine}-ebs" for machine in _MACHINES),
    *("amzn2-ami-hvm-x86_64-ebs", "amzn2-ami-kernel-5.10-hvm-x86_64-ebs"),
    *("amzn-ami-hvm-x86_64-gp2", "amzn-ami-hvm-x86_64-ebs", "amzn-ami-minimal-hvm-x86_64-ebs"),
)
_KUBERNETES = tuple(f"1.{minor}" for minor in range(28, 35))
_UBUNTU = (("20.04", "gp2"), ("22.04", "gp2"), ("24.04", "gp3"))
# The part of the path, the operating system, the beginning of the AMI's name.
_ECS = (
    ("amazon-linux-2", "Amazon Linux 2", "amzn2-ami-ecs-hvm-2.0"),
    ("amazon-linux-2/arm64", "Amazon Linux 2", "amzn2-ami-ecs-hvm-2.0-arm64"),
    ("amazon-linux-2/gpu", "Amazon Linux 2", "amzn2-ami-ecs-gpu-hvm-2.0"),
    ("amazon-linux-2023", "Amazon Linux 2023", "al2023-ami-ecs-hvm-2023.0"),
    ("amazon-linux-2023/arm64", "Amazon Linux 2023", "al2023-ami-ecs-hvm-2023.0-arm64"),
)


def image_id(region: str, name: str) -> str:
    """The id of the AMI that a name stands for in a Region."""
    return f"ami-0{sha256(f'{region} {name}'.encode()).hexdigest()[:16]}"


def images(region: str) -> Iterator[tuple[str, str]]:
    """Names whose value is an AMI's id, each with that."""
    for name in _names():
        yield name, image_id(region, name)


def _names() -> Iterator[str]:
    yield from (f"{SERVICE}ami-amazon-linux-latest/{name}" for name in _LINUX)
    for year in (2016, 2019, 2022, 2025):
        for kind in ("Core", "Full"):
            yield f"{SERVICE}ami-windows-latest/Windows_Server-{year}-English-{kind}-Base"
    yield from (f"{SERVICE}ecs/optimized-ami/{place}/recommended/image_id" for place, _, _ in _ECS)
    for version in _KUBERNETES:
        eks = f"{SERVICE}eks/optimized-ami/{version}"
        yield from (
            f"{eks}/{kind}/recommended/image_id" for kind in ("amazon-linux-2", "amazon-linux-2-arm64")
        )
        for machine in _MACHINES:
            yield f"{eks}/amazon-linux-2023/{machine}/standard/recommended/image_id"
            yield f"{SERVICE}bottlerocket/aws-k8s-{version}/{machine}/latest/image_id"
    for machine in _MACHINES:
        yield f"{SERVICE}bottlerocket/aws-ecs-2/{machine}/latest/image_id"
    for release, volume in _UBUNTU:
        for machine in ("amd64", "arm64"):
            yield f"{SERVICE}canonical/ubuntu/server/{release}/stable/current/{machine}/hvm/ebs-{volume}/ami-id"


def descriptions(region: str) -> Iterator[tuple[str, str]]:
    """Names whose value tells of an AMI, each with that: ECS publishes them one by one, and together as JSON."""
    for place, system, name in _ECS:
        path = f"{SERVICE}ecs/optimized-ami/{place}/recommended"
        about = {
            "ecs_agent_version": "1.100.0",
            "ecs_runtime_version": "Docker version 25.0.13",
            "image_id": image_id(region, f"{path}/image_id"),
            "image_name": f"{name}.{_DATE}-x86_64-ebs",
            "image_version": f"2.0.{_DATE}",
            "os": system,
        }
        yield path, json.dumps({**about, "schema_version": 1})
        yield from ((f"{path}/{key}", value) for key, value in about.items() if key != "image_id")
