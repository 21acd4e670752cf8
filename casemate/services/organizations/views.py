"""Rows as the API shows them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import cast

from casemate.api import organizations as api
from casemate.gate.call import Call
from casemate.services.organizations.model import (
    ALL_FEATURES,
    SCP,
    Creation,
    Node,
    Organization,
    PolicyRow,
    node_arn,
    policy_arn,
)
from casemate.services.organizations.standings import path_of
from casemate.services.organizations.state import Organizations


def moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def organization(call: Call, row: Organization) -> api.Organization:
    known = call.part(Organizations).known(call.tx, row.management)
    shown: api.Organization = {
        "Id": row.id,
        "Arn": row.arn,
        "FeatureSet": cast("api.OrganizationFeatureSet", row.feature_set),
        "MasterAccountArn": row.arn_of("account", row.management),
        "MasterAccountId": row.management,
        "MasterAccountEmail": known.email,
        "AvailablePolicyTypes": [],
    }
    if row.feature_set == ALL_FEATURES:
        shown["AvailablePolicyTypes"] = [{"Type": cast("api.PolicyType", SCP), "Status": "ENABLED"}]
    return shown


def root(row: Organization, node: Node) -> api.Root:
    return {
        "Id": node.id,
        "Arn": node_arn(row, node.kind, node.id),
        "Name": node.name,
        "PolicyTypes": [
            {"Type": cast("api.PolicyType", policy_type), "Status": "ENABLED"}
            for policy_type in row.policy_types
        ],
    }


def unit(call: Call, row: Organization, node: Node) -> api.OrganizationalUnit:
    branch = call.part(Organizations).branch(call.tx, row, node)
    return {
        "Id": node.id,
        "Arn": node_arn(row, node.kind, node.id),
        "Name": node.name,
        "Path": path_of(row, branch),
    }


def account(call: Call, row: Organization, node: Node) -> api.Account:
    organizations = call.part(Organizations)
    known = organizations.known(call.tx, node.id)
    return {
        "Id": node.id,
        "Arn": node_arn(row, node.kind, node.id),
        "Email": known.email,
        "Name": node.name,
        "Status": "ACTIVE" if known.closed is None else "SUSPENDED",
        "State": "ACTIVE" if known.closed is None else "CLOSED",
        "Paths": [path_of(row, organizations.branch(call.tx, row, node))],
        "JoinedMethod": cast("api.AccountJoinedMethod", node.method),
        "JoinedTimestamp": moment(node.joined),
    }


def policy_summary(row: Organization, policy: PolicyRow) -> api.PolicySummary:
    return {
        "Id": policy.id,
        "Arn": policy_arn(row, policy),
        "Name": policy.name,
        "Description": policy.description,
        "Type": cast("api.PolicyType", policy.type),
        "AwsManaged": policy.aws_managed,
    }


def policy(row: Organization, shown: PolicyRow) -> api.Policy:
    return {"PolicySummary": policy_summary(row, shown), "Content": shown.content}


def creation(row: Creation, *, done: bool = True) -> api.CreateAccountStatus:
    """done: False of the answer to the request itself, which never tells the outcome."""
    shown: api.CreateAccountStatus = {
        "Id": row.id,
        "AccountName": row.name,
        "State": "IN_PROGRESS",
        "RequestedTimestamp": moment(row.requested),
    }
    if not done:
        return shown
    shown["CompletedTimestamp"] = moment(row.completed)
    if row.account:
        shown["State"] = "SUCCEEDED"
        shown["AccountId"] = row.account
    else:
        shown["State"] = "FAILED"
        shown["FailureReason"] = cast("api.CreateAccountFailureReason", row.reason)
    return shown


def tags(found: Mapping[str, str]) -> list[api.Tag]:
    return [{"Key": key, "Value": found[key]} for key in sorted(found)]
