"""What AWS calls its services, by the prefix of their actions: those of which there is a reference."""

from __future__ import annotations

from collections.abc import Mapping

SERVICE_NAMES: Mapping[str, str] = {
    "ce": "AWS Cost Explorer Service",
    "cloudhsm": "AWS CloudHSM",
    "ec2": "Amazon EC2",
    "iam": "AWS Identity and Access Management",
    "kms": "AWS Key Management Service",
    "organizations": "AWS Organizations",
    "servicequotas": "Service Quotas",
    "sts": "AWS Security Token Service",
}
