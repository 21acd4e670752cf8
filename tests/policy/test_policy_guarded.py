"""KMS keys and roles, which only their own policy opens: AWS's "Key policies in AWS KMS", "Default key
policy", "Creating a key policy", "Allowing users in other accounts to use a KMS key", "IAM role trust
policies"."""

from __future__ import annotations

from typing import Any

import pytest
from policy_support import (
    ALICE,
    AWAY,
    BOB_AWAY,
    HOME,
    KEY,
    NO_IDENTITY,
    NO_RESOURCE,
    ROOT,
    ROOT_AWAY,
    SAML,
    SERVICE,
    SESSION,
    WEB,
    allow,
    ask,
    deny,
    identity,
    policy,
    trust,
)

from casemate.engine.policy import Decision, Policy, Principal

ENCRYPT = "kms:Encrypt"
ROOT_ARN = f"arn:aws:iam::{HOME}:root"
ENABLE_IAM = allow("kms:*", Principal={"AWS": ROOT_ARN}, Sid="Enable IAM policies")
DEFAULT = policy("key", ENABLE_IAM, name="default")


def use(principal: Principal, key_policy: Policy, action: str = ENCRYPT, **more: Any) -> Decision:
    return ask(principal, action, KEY, resource_policy=key_policy, guarded=True, **more)


def test_the_default_policy_lets_identity_policies_allow() -> None:
    refused = use(ALICE, DEFAULT)
    assert refused.reason(ENCRYPT) == NO_IDENTITY.format(ENCRYPT)
    granted = use(ALICE, DEFAULT, allows=identity(allow("kms:Encrypt", KEY)))
    assert granted.allowed
    assert granted.policy_kind == "identity-based policy"


def test_the_default_policy_admits_the_root_user() -> None:
    assert use(ROOT, DEFAULT).allowed


def test_without_the_accounts_statement_identity_policies_allow_nothing() -> None:
    only_bob = policy("key", allow("kms:*", Principal={"AWS": f"arn:aws:iam::{HOME}:user/bob"}))
    refused = use(ALICE, only_bob, allows=identity(allow()))
    assert refused.reason(ENCRYPT) == NO_RESOURCE.format(ENCRYPT)


def test_without_the_accounts_statement_even_the_root_user_is_refused() -> None:
    only_alice = policy("key", allow("kms:*", Principal={"AWS": ALICE.arn}))
    assert use(ALICE, only_alice).allowed
    assert use(ROOT, only_alice).reason(ENCRYPT) == NO_RESOURCE.format(ENCRYPT)


def test_a_key_without_policy_is_shut() -> None:
    decision = ask(ROOT, ENCRYPT, KEY, guarded=True)
    assert decision.reason(ENCRYPT) == NO_RESOURCE.format(ENCRYPT)


def test_identity_policies_can_still_deny() -> None:
    only_alice = policy("key", allow("kms:*", Principal={"AWS": ALICE.arn}))
    assert use(ALICE, only_alice, allows=identity(deny("kms:Encrypt"))).explicit


def test_the_account_delegates_no_more_than_it_is_given() -> None:
    reading = policy("key", allow("kms:Decrypt", Principal={"AWS": ROOT_ARN}))
    allows = identity(allow("kms:*"))
    assert use(ALICE, reading, "kms:Decrypt", allows=allows).allowed
    assert not use(ALICE, reading, "kms:Encrypt", allows=allows).allowed


def test_a_role_that_is_named_is_limited_by_boundary_and_session() -> None:
    named = policy("key", allow("kms:*", Principal={"AWS": SESSION.role_arn}))
    assert use(SESSION, named).allowed
    elsewhere = policy("boundary", allow("s3:*"))
    assert use(SESSION, named, boundary=elsewhere).policy_kind == "permissions boundary"
    assert use(SESSION, named, session=()).policy_kind == "session policy"


def test_the_furthest_way_gives_the_reason() -> None:
    """The role is named, and the account may delegate something else: the boundary is what is in the way."""
    named = policy(
        "key",
        allow("kms:*", Principal={"AWS": SESSION.role_arn}),
        allow("kms:Describe*", Principal={"AWS": ROOT_ARN}),
    )
    assert (
        use(SESSION, named, boundary=policy("boundary", allow("s3:*"))).policy_kind == "permissions boundary"
    )


def test_a_statement_without_resource_has_no_effect() -> None:
    written = allow("kms:*", Principal={"AWS": ALICE.arn})
    del written["Resource"]
    assert not use(ALICE, policy("key", written)).allowed
    refusing = deny("kms:*", Principal="*")
    del refusing["Resource"]
    assert use(ALICE, policy("key", ENABLE_IAM, refusing), allows=identity(allow())).allowed


def test_another_account_needs_the_key_policy_and_its_own() -> None:
    shared = policy("key", ENABLE_IAM, allow("kms:Encrypt", Principal={"AWS": f"arn:aws:iam::{AWAY}:root"}))
    allows = identity(allow("kms:Encrypt", KEY))
    assert use(BOB_AWAY, shared, allows=allows).allowed
    assert use(BOB_AWAY, shared).reason(ENCRYPT) == NO_IDENTITY.format(ENCRYPT)
    assert use(BOB_AWAY, DEFAULT, allows=allows).reason(ENCRYPT) == NO_RESOURCE.format(ENCRYPT)
    assert use(ROOT_AWAY, shared).allowed
    assert not use(ROOT_AWAY, DEFAULT).allowed


def test_an_aws_managed_keys_policy() -> None:
    """Everybody in the account, but only by way of the service."""
    managed = policy(
        "key",
        allow(
            ["kms:Encrypt", "kms:Decrypt"],
            Principal={"AWS": "*"},
            Condition={
                "StringEquals": {"kms:CallerAccount": HOME, "kms:ViaService": "s3.us-east-1.amazonaws.com"}
            },
        ),
    )
    via = {"kms:calleraccount": HOME, "kms:viaservice": "s3.us-east-1.amazonaws.com"}
    assert use(ALICE, managed, keys=via).allowed
    assert not use(ALICE, managed, keys={"kms:calleraccount": HOME}).allowed
    assert not use(
        BOB_AWAY, managed, keys={**via, "kms:calleraccount": AWAY}, allows=identity(allow())
    ).allowed


def test_encryption_context_conditions() -> None:
    allows = identity(
        allow("kms:Encrypt", Condition={"StringEquals": {"kms:EncryptionContext:AppName": "Payroll"}})
    )
    assert use(ALICE, DEFAULT, allows=allows, keys={"kms:encryptioncontext:appname": "Payroll"}).allowed
    assert not use(ALICE, DEFAULT, allows=allows, keys={"kms:encryptioncontext:appname": "payroll"}).allowed
    assert not use(ALICE, DEFAULT, allows=allows).allowed


def test_a_service_that_the_key_policy_names() -> None:
    named = policy("key", ENABLE_IAM, allow("kms:Encrypt", Principal={"Service": "sns.amazonaws.com"}))
    assert use(SERVICE, named).allowed
    assert not use(SERVICE, DEFAULT).allowed


def test_not_principal_with_deny_in_a_key_policy() -> None:
    refusing = {
        "Effect": "Deny",
        "NotPrincipal": {"AWS": [ALICE.arn, ROOT_ARN]},
        "Action": "kms:*",
        "Resource": "*",
    }
    guarded = policy("key", ENABLE_IAM, refusing)
    allows = identity(allow("kms:*"))
    assert use(ALICE, guarded, allows=allows).allowed
    assert use(SESSION, guarded, allows=allows).explicit
    assert use(ROOT, guarded).allowed


# Roles.


def assume(principal: Principal, trusting: Policy, action: str = "sts:AssumeRole", **more: Any) -> Decision:
    return ask(
        principal,
        action,
        f"arn:aws:iam::{HOME}:role/target",
        resource_policy=trusting,
        guarded=True,
        **more,
    )


def test_a_user_whom_the_trust_policy_names_may_assume() -> None:
    assert assume(ALICE, trust({"AWS": ALICE.arn})).allowed


def test_the_trusted_account_delegates() -> None:
    trusting = trust({"AWS": HOME})
    assert assume(ALICE, trusting).policy_kind == "identity-based policy"
    assert assume(ALICE, trusting, allows=identity(allow("sts:AssumeRole"))).allowed


def test_who_is_not_trusted_is_refused() -> None:
    decision = assume(ALICE, trust({"AWS": SESSION.role_arn}), allows=identity(allow()))
    assert (
        decision.reason("sts:AssumeRole") == "because no role trust policy allows the sts:AssumeRole action"
    )


def test_a_denial_by_the_trust_policy() -> None:
    decision = assume(ALICE, trust({"AWS": ALICE.arn}, Effect="Deny"))
    assert decision.reason("sts:AssumeRole") == "with an explicit deny in the role trust policy"


def test_an_external_id() -> None:
    trusting = trust({"AWS": AWAY}, Condition={"StringEquals": {"sts:ExternalId": "Unique"}})
    allows = identity(allow("sts:AssumeRole"))
    assert assume(BOB_AWAY, trusting, allows=allows, keys={"sts:externalid": "Unique"}).allowed
    assert not assume(BOB_AWAY, trusting, allows=allows).allowed


@pytest.mark.parametrize(
    ("caller", "action"), [(WEB, "sts:AssumeRoleWithWebIdentity"), (SAML, "sts:AssumeRoleWithSAML")]
)
def test_callers_of_identity_providers(caller: Principal, action: str) -> None:
    assert assume(caller, trust({"Federated": caller.federated}, Action=action), action).allowed
    assert not assume(caller, trust({"Federated": "graph.facebook.com"}, Action=action), action).allowed
    assert not assume(caller, trust({"AWS": "*"}, Action=action), action).allowed


def test_a_service_that_the_role_trusts() -> None:
    assert assume(SERVICE, trust({"Service": "sns.amazonaws.com"})).allowed
    assert not assume(SERVICE, trust({"Service": "ec2.amazonaws.com"})).allowed
