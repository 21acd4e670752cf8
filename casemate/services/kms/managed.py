"""AWS managed keys: one for each service in an account and Region, made when it is first used, under a policy that
lets everybody in the account use it through that service and nobody change it. Source: "AWS managed keys".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NamedTuple

from casemate.gate.call import Call
from casemate.gate.regions import partition_of
from casemate.services.kms.deletion import DAY
from casemate.services.kms.key import Key
from casemate.services.kms.keys import Keys
from casemate.services.kms.rotation import plan_rotation
from casemate.services.kms.rows import Alias
from casemate.store.database import Tx

PREFIX = "alias/aws/"

PERIOD = 365
"""Days between an AWS managed key's rotations, which nobody can change."""


class Service(NamedTuple):
    """Who uses a managed key. endpoint: as kms:ViaService names it; things: what it protects, in its description."""

    name: str
    endpoint: str
    things: str


MANAGED: Mapping[str, Service] = {
    PREFIX + alias: Service(name, endpoint, things)
    for alias, name, endpoint, things in (
        ("acm", "ACM", "acm", "ACM private keys"),
        ("backup", "AWS Backup", "backup", "Backup data"),
        ("dynamodb", "Amazon DynamoDB", "dynamodb", "DynamoDB data"),
        ("ebs", "EBS", "ec2", "EBS volumes"),
        ("elasticfilesystem", "EFS", "elasticfilesystem", "EFS filesystems"),
        ("kinesis", "Kinesis", "kinesis", "Kinesis data"),
        ("lambda", "AWS Lambda", "lambda", "Lambda functions"),
        ("rds", "RDS", "rds", "RDS database volumes"),
        ("s3", "S3", "s3", "S3 objects"),
        ("secretsmanager", "AWS Secrets Manager", "secretsmanager", "Secrets Manager data"),
        ("sns", "SNS", "sns", "SNS data"),
        ("sqs", "SQS", "sqs", "SQS messages"),
        ("ssm", "SSM", "ssm", "SSM parameters"),
    )
}


def on_first_use(call: Call, name: str) -> Alias | None:
    """The managed key's alias, made with its key unless the account has them; None for a name that is no managed
    key's, and for a caller who may not bring it about: services do, and DescribeKey."""
    if name not in MANAGED or not (call.via or _describes(call)):
        return None
    keys, account, region, now = call.part(Keys), call.account, call.region, call.now

    def make(tx: Tx) -> None:
        _make(keys, tx, account, region, name, now)

    if call.mutable:
        make(call.tx)
    else:
        store = call.gate.store
        call.before(f"{name} in {region}", lambda: store.write(make))
    return keys.find_alias(call, account, region, name)


def _describes(call: Call) -> bool:
    return call.route is not None and call.route.operation.name == "DescribeKey"


def _make(keys: Keys, tx: Tx, account: str, region: str, name: str, now: float) -> None:
    if keys.load_alias(tx, account, region, name) is not None:
        return
    service = MANAGED[name]
    key: Key | None = keys.create(
        tx,
        account,
        region,
        now,
        policy=policy(account, region, name),
        description=f"Default key that protects my {service.things} when no other key is defined",
        manager="AWS",
        rotation_period=PERIOD,
        next_rotation=now + PERIOD * DAY,
    )
    assert key is not None
    keys.put_alias(tx, Alias(account, region, name, key.row.id, now, now))
    plan_rotation(tx, key.row)


def policy(account: str, region: str, name: str) -> str:
    """The key policy of the account's managed key in a Region, in the form in which AWS shows it."""
    service = MANAGED[name]
    document = {
        "Version": "2012-10-17",
        "Id": f"auto-{name.removeprefix(PREFIX)}-1",
        "Statement": [
            {
                "Sid": f"Allow access through {service.name} for all principals in the account that are authorized "
                f"to use {service.name}",
                "Effect": "Allow",
                "Principal": {"AWS": "*"},
                "Action": [
                    "kms:Encrypt",
                    "kms:Decrypt",
                    "kms:ReEncrypt*",
                    "kms:GenerateDataKey*",
                    "kms:CreateGrant",
                    "kms:DescribeKey",
                ],
                "Resource": "*",
                "Condition": {
                    "StringEquals": {
                        "kms:CallerAccount": account,
                        "kms:ViaService": f"{service.endpoint}.{region}.amazonaws.com",
                    }
                },
            },
            {
                "Sid": "Allow direct access to key metadata to the account",
                "Effect": "Allow",
                "Principal": {"AWS": f"arn:{partition_of(region)}:iam::{account}:root"},
                "Action": ["kms:Describe*", "kms:Get*", "kms:List*", "kms:RevokeGrant"],
                "Resource": "*",
            },
        ],
    }
    return json.dumps(document, indent=2)
