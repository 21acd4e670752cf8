"""Which policies let everybody in."""

from __future__ import annotations

import json
from typing import Any

import pytest

from casemate.engine.policy.public import is_constant, is_public

ACCOUNT = "111122223333"


def document(*statements: dict[str, Any]) -> str:
    usual = {"Effect": "Allow", "Principal": "*", "Action": "secretsmanager:*", "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [usual | each for each in statements]})


def under(operator: str, key: str, *values: str) -> dict[str, Any]:
    return {"Condition": {operator: {key: list(values)}}}


@pytest.mark.parametrize(
    "statement",
    [
        {},
        {"Principal": {"AWS": "*"}},
        {"Principal": {"AWS": [ACCOUNT, "*"]}},
        under("StringEquals", "aws:RequestedRegion", "us-east-1"),
        under("StringLike", "aws:PrincipalArn", "arn:aws:iam::*:role/x"),
        under("StringEquals", "aws:PrincipalAccount", ACCOUNT, "*"),
        under("StringEquals", "aws:PrincipalAccount", "${aws:SourceAccount}"),
        under("StringNotEquals", "aws:PrincipalAccount", ACCOUNT),
        under("StringEqualsIfExists", "aws:PrincipalAccount", ACCOUNT),
        under("ForAllValues:StringEquals", "aws:PrincipalOrgPaths", "o-1/r-1/ou-1/"),
        under("IpAddress", "aws:SourceIp", "0.0.0.0/1"),
        under("IpAddress", "aws:SourceIp", "192.0.2.0/24", "::/0"),
        under("IpAddress", "aws:SourceIp", "nowhere"),
        under("Bool", "aws:SecureTransport", "true"),
    ],
    ids=json.dumps,
)
def test_the_public_is_let_in(statement: dict[str, Any]) -> None:
    assert is_public(document(statement))
    assert is_public(document({"Effect": "Deny"}, {"Principal": {"AWS": ACCOUNT}}, statement))


@pytest.mark.parametrize(
    "statement",
    [
        {"Effect": "Deny"},
        {"Principal": {"AWS": ACCOUNT}},
        {"Principal": {"Service": "events.amazonaws.com"}},
        under("StringEquals", "aws:PrincipalAccount", ACCOUNT),
        under("StringLike", "AWS:PrincipalOrgID", "o-1234567890"),
        under("ArnLike", "aws:SourceArn", f"arn:aws:sns:us-east-1:{ACCOUNT}:topic"),
        under("ForAnyValue:StringEquals", "aws:PrincipalOrgPaths", "o-1/r-1/ou-1/"),
        under("IpAddress", "aws:SourceIp", "192.0.2.0/24", "2001:db8::/32"),
        under("IpAddress", "aws:SourceIp", "10.0.0.0/8", "fd00::/8"),
        under("StringEquals", "aws:SourceVpce", "vpce-1"),
    ],
    ids=json.dumps,
)
def test_the_public_is_kept_out(statement: dict[str, Any]) -> None:
    assert not is_public(document(statement))


def test_who_is_not_excepted_is_everybody() -> None:
    statement = {"Effect": "Allow", "NotPrincipal": {"AWS": ACCOUNT}, "Action": "s3:*", "Resource": "*"}
    assert is_public(json.dumps({"Version": "2012-10-17", "Statement": statement}))


def test_a_service_has_keys_of_its_own() -> None:
    policy = document(under("StringEquals", "S3:DataAccessPointAccount", ACCOUNT))
    assert is_public(policy)
    assert not is_public(policy, {"s3:dataaccesspointaccount": is_constant})
