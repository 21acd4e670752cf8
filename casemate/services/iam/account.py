"""The account as a whole: CreateAccountAlias, DeleteAccountAlias, ListAccountAliases, GetAccountSummary."""

from __future__ import annotations

from typing import Any

from casemate.api import iam
from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.gate.resource import Resource
from casemate.services.iam import access_key_rows
from casemate.services.iam.entities import (
    Group,
    InstanceProfile,
    ManagedPolicy,
    MfaDevice,
    OidcProvider,
    Principal,
    Role,
    SamlProvider,
    ServerCertificate,
    User,
)
from casemate.services.iam.pages import Page
from casemate.services.iam.quotas import (
    ATTACHED,
    GROUPS_OF_USER,
    INLINE_SIZE,
    KEYS_OF_USER,
    OF_ACCOUNT,
    POLICY_SIZE,
    TRUST_SIZE,
    VERSIONS,
)
from casemate.services.iam.refusals import no_such_entity
from casemate.services.iam.store import Entities
from casemate.services.iam.targets import account_wide


@iam.CreateAccountAlias.writes(account_wide)
def create_account_alias(
    call: Call, req: iam.CreateAccountAliasRequest, target: Resource
) -> iam.CreateAccountAliasResponse:
    """Give the account a name, in place of the one that it has."""
    alias = req["AccountAlias"]
    owner = call.tx.one("SELECT account FROM iam_account_aliases WHERE alias = ?", (alias,))
    if owner is not None and owner[0] != call.account:
        raise AwsError("EntityAlreadyExists", f"The account alias {alias} already exists.")
    call.tx.run("DELETE FROM iam_account_aliases WHERE account = ?", (call.account,))
    call.tx.run("INSERT INTO iam_account_aliases (alias, account) VALUES (?, ?)", (alias, call.account))
    return {}


@iam.DeleteAccountAlias.writes(account_wide)
def delete_account_alias(
    call: Call, req: iam.DeleteAccountAliasRequest, target: Resource
) -> iam.DeleteAccountAliasResponse:
    """Take the account's name away."""
    place = (req["AccountAlias"], call.account)
    if not call.tx.run("DELETE FROM iam_account_aliases WHERE alias = ? AND account = ?", place):
        raise no_such_entity(f"The account alias {req['AccountAlias']} cannot be found.")
    return {}


@iam.ListAccountAliases.reads(account_wide)
def list_account_aliases(
    call: Call, req: iam.ListAccountAliasesRequest, target: Resource
) -> iam.ListAccountAliasesResponse:
    """The account's alias, if it has one."""
    rows = call.tx.all("SELECT alias FROM iam_account_aliases WHERE account = ?", (call.account,))
    aliases, more = Page(call, req).of([alias for (alias,) in rows], str)
    return {"AccountAliases": aliases, **more}  # type: ignore[typeddict-item]


_COUNTED: dict[type[Any], str] = {
    User: "Users",
    Group: "Groups",
    Role: "Roles",
    ManagedPolicy: "Policies",
    InstanceProfile: "InstanceProfiles",
    ServerCertificate: "ServerCertificates",
}
_HOLDERS: dict[type[Principal], str] = {User: "User", Group: "Group", Role: "Role"}


@iam.GetAccountSummary.reads(account_wide)
def get_account_summary(
    call: Call, req: iam.GetAccountSummaryRequest, target: Resource
) -> iam.GetAccountSummaryResponse:
    """How much of everything there is, and how much there may be."""
    entities = call.part(Entities)
    summary = {
        "AccessKeysPerUserQuota": KEYS_OF_USER.most(call),
        # The root user signs in by nothing but access keys here.
        "AccountPasswordPresent": 0,
        "AccountSigningCertificatesPresent": 0,
        "AccountAccessKeysPresent": int(bool(access_key_rows.of_user(call.tx, call.account, ""))),
        "AssumeRolePolicySizeQuota": TRUST_SIZE.most(call),
        "GroupsPerUserQuota": GROUPS_OF_USER.most(call),
        "PolicySizeQuota": POLICY_SIZE,
        "PolicyVersionsInUse": sum(
            len(policy.versions) for policy in entities.page(call.tx, ManagedPolicy, call.account)
        ),
        "Providers": sum(
            entities.count(call.tx, kind, call.account) for kind in (OidcProvider, SamlProvider)
        ),
        "VersionsPerPolicyQuota": VERSIONS,
    }
    devices = entities.page(call.tx, MfaDevice, call.account)
    summary["MFADevices"] = len(devices)
    summary["MFADevicesInUse"] = sum(bool(each.owner) for each in devices)
    summary["AccountMFAEnabled"] = int(any(each.owner == call.account for each in devices))
    for kind, name in _COUNTED.items():
        summary[name] = entities.count(call.tx, kind, call.account)
        summary[f"{name}Quota"] = OF_ACCOUNT[kind].most(call)
    for holder, name in _HOLDERS.items():
        summary[f"{name}PolicySizeQuota"] = INLINE_SIZE[holder]
        summary[f"AttachedPoliciesPer{name}Quota"] = ATTACHED[holder].most(call)
    return {"SummaryMap": summary}  # type: ignore[typeddict-item]
