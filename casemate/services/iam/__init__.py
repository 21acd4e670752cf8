"""IAM: users, groups, roles, policies, access keys and instance profiles. Importing it attaches its handlers."""

from __future__ import annotations

from casemate.services.iam import (
    access_keys,
    account,
    attachments,
    boundaries,
    details,
    groups,
    inline,
    instance_profiles,
    login_profiles,
    mfa_devices,
    oidc_providers,
    password_policy,
    policies,
    policy_versions,
    roles,
    service_linked,
    simulate,
    tags,
    users,
)

__all__ = [
    "access_keys",
    "account",
    "attachments",
    "boundaries",
    "details",
    "groups",
    "inline",
    "instance_profiles",
    "login_profiles",
    "mfa_devices",
    "oidc_providers",
    "password_policy",
    "policies",
    "policy_versions",
    "roles",
    "service_linked",
    "simulate",
    "tags",
    "users",
]
