"""What an organisation's tree makes of an account's standing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from casemate.engine.policy import Kind, Policy, parse
from casemate.gate.organization import Levels, Standing
from casemate.services.organizations.model import (
    ALL_FEATURES,
    RCP,
    SCP,
    Node,
    Organization,
    PolicyRow,
    policy_arn,
)

Find = Callable[[Organization, str], PolicyRow]

_KINDS: Final[dict[str, Kind]] = {SCP: "scp", RCP: "rcp"}


def of(organization: Organization, branch: Sequence[Node], closed: bool, find: Find) -> Standing:
    """The standing of the account at the branch's end. branch: from the root down; find: the policy by its id."""
    account = branch[-1].id
    path = path_of(organization, branch[:-1])
    if account == organization.management or organization.feature_set != ALL_FEATURES:
        return Standing(organization.id, path, closed=closed)
    enabled = {
        kind: _levels(organization, branch, kind, find)
        for kind in organization.policy_types
        if kind in _KINDS
    }
    return Standing(organization.id, path, enabled.get(SCP, ()), enabled.get(RCP, ()), closed)


def path_of(organization: Organization, branch: Sequence[Node]) -> str:
    """As aws:PrincipalOrgPaths and the API have it: o-a/r-b/ou-b-c/"""
    return "".join(f"{part}/" for part in (organization.id, *(node.id for node in branch)))


def _levels(organization: Organization, branch: Sequence[Node], policy_type: str, find: Find) -> Levels:
    def compiled(policy: PolicyRow) -> Policy:
        return parse(policy.content, _KINDS[policy_type]).named(policy_arn(organization, policy))

    return tuple(
        tuple(
            compiled(policy)
            for policy in (find(organization, policy_id) for policy_id in node.policies)
            if policy.type == policy_type
        )
        for node in branch
    )
