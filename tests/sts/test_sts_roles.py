"""AssumeRole by a real client: whom roles trust, what their sessions may, and how long."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError
from server_support import refused
from sts_support import ACCOUNT, OTHER_ACCOUNT, Sts, policy, trust, user_arn

ROOT = f"arn:aws:iam::{ACCOUNT}:root"
LIST_KEYS = policy("kms:ListKeys")


def session_arn(role_arn: str, name: str = "test") -> str:
    return f"arn:aws:sts::{role_arn.split(':')[4]}:assumed-role/{role_arn.rpartition('/')[2]}/{name}"


def denied(who: str, action: str, arn: str, kind: str) -> str:
    return (
        f"User: {who} is not authorized to perform: {action} on resource: {arn} "
        f"because no {kind} allows the {action} action"
    )


def test_a_roles_session_is_the_role(sts: Sts) -> None:
    arn = sts.role(trust(ROOT), LIST_KEYS, Path="/team/")
    answer = sts.assume(arn, RoleSessionName="me@example.com")
    role_id = sts.of("admin", "iam").get_role(RoleName=arn.rpartition("/")[2])["Role"]["RoleId"]
    assert answer["AssumedRoleUser"] == {
        "AssumedRoleId": f"{role_id}:me@example.com",
        "Arn": session_arn(arn, "me@example.com"),
    }
    assert "PackedPolicySize" not in answer
    assert "SourceIdentity" not in answer
    left = (answer["Credentials"]["Expiration"] - datetime.now(UTC)).total_seconds()
    assert 3_540 < left <= 3_600
    session = sts.by(answer["Credentials"])
    me = session.get_caller_identity()
    assert me["UserId"] == f"{role_id}:me@example.com"
    assert (me["Account"], me["Arn"]) == (ACCOUNT, session_arn(arn, "me@example.com"))
    kms = sts.by(answer["Credentials"], "kms")
    assert kms.list_keys()["Keys"] is not None
    with refused(
        "AccessDeniedException",
        denied(session_arn(arn, "me@example.com"), "kms:ListAliases", "*", "identity-based policy"),
    ):
        kms.list_aliases()


def test_whom_a_role_trusts(sts: Sts) -> None:
    by_account = sts.role(trust(ROOT))
    sts.assume(by_account, "assumer")
    # The account delegates to identity policies, of which this user has none.
    with refused(
        "AccessDenied", denied(user_arn("nobody"), "sts:AssumeRole", by_account, "identity-based policy"), 403
    ):
        sts.assume(by_account, "nobody")
    # By name it needs none.
    sts.assume(sts.role(trust(user_arn("nobody"))), "nobody")
    of_others = sts.role(trust(user_arn("nobody")))
    with refused(
        "AccessDenied", denied(user_arn("admin"), "sts:AssumeRole", of_others, "role trust policy"), 403
    ):
        sts.assume(of_others, "admin")


def test_a_role_that_is_not_there_is_refused_as_one_that_trusts_others(sts: Sts) -> None:
    absent = f"arn:aws:iam::{ACCOUNT}:role/absent"
    with refused(
        "AccessDenied", denied(user_arn("admin"), "sts:AssumeRole", absent, "role trust policy"), 403
    ):
        sts.assume(absent)
    # The path belongs to the name.
    arn = sts.role(trust(ROOT), Path="/team/")
    with refused("AccessDenied", status=403):
        sts.assume(arn.replace("/team/", "/"))
    with refused("ValidationError", "arn:aws:iam::111122223333:user/admin is invalid"):
        sts.assume(user_arn("admin"))


def test_across_accounts_both_must_allow(sts: Sts) -> None:
    arn = sts.role(trust(f"arn:aws:iam::{ACCOUNT}:root"), LIST_KEYS, "stranger")
    answer = sts.assume(arn, "assumer")
    assert sts.by(answer["Credentials"]).get_caller_identity()["Account"] == OTHER_ACCOUNT
    with refused(
        "AccessDenied", denied(user_arn("nobody"), "sts:AssumeRole", arn, "identity-based policy"), 403
    ):
        sts.assume(arn, "nobody")
    # Named, but without a policy of its own account's.
    named = sts.role(trust(user_arn("nobody")), LIST_KEYS, "stranger")
    with refused(
        "AccessDenied", denied(user_arn("nobody"), "sts:AssumeRole", named, "identity-based policy"), 403
    ):
        sts.assume(named, "nobody")
    untrusting = sts.role(trust(f"arn:aws:iam::{OTHER_ACCOUNT}:root"), LIST_KEYS, "stranger")
    with refused(
        "AccessDenied", denied(user_arn("admin"), "sts:AssumeRole", untrusting, "role trust policy"), 403
    ):
        sts.assume(untrusting, "admin")


@pytest.mark.parametrize(
    ("condition", "right", "wrong"),
    [
        ({"StringEquals": {"sts:ExternalId": "42"}}, {"ExternalId": "42"}, {"ExternalId": "43"}),
        ({"StringEquals": {"sts:ExternalId": "42"}}, {"ExternalId": "42"}, {}),
        (
            {"StringEquals": {"sts:RoleSessionName": "${aws:username}"}},
            {"RoleSessionName": "admin"},
            {"RoleSessionName": "other"},
        ),
        (
            {"NumericLessThanEquals": {"sts:DurationSeconds": "1800"}},
            {"DurationSeconds": 1800},
            {"DurationSeconds": 1801},
        ),
        ({"Bool": {"aws:MultiFactorAuthPresent": "false"}}, None, {}),
    ],
)
def test_conditions_of_trust(
    sts: Sts, condition: dict[str, Any], right: dict[str, Any] | None, wrong: dict[str, Any]
) -> None:
    arn = sts.role(trust(ROOT, Condition=condition))
    if right is not None:
        sts.assume(arn, **right)
    with refused("AccessDenied", status=403):
        sts.assume(arn, **wrong)


def test_the_root_user_and_federated_users_assume_no_roles(sts: Sts) -> None:
    arn = sts.role(trust(ROOT))
    with refused("AccessDenied", "Roles may not be assumed by root accounts.", 403):
        sts.assume(arn, "root")
    everything = json.dumps(policy("*"))
    federated = sts.of("admin").get_federation_token(Name="bob", Policy=everything)["Credentials"]
    with refused("AccessDenied", "Cannot call AssumeRole with federated user credentials", 403):
        sts.by(federated).assume_role(RoleArn=arn, RoleSessionName="test")


def test_durations(sts: Sts) -> None:
    arn = sts.role(trust(ROOT), policy("sts:AssumeRole"))
    longer = sts.role(trust(ROOT), policy("sts:AssumeRole"), MaxSessionDuration=43_200)
    with refused(
        "ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
    ):
        sts.assume(arn, DurationSeconds=3_601)
    sts.assume(longer, DurationSeconds=43_200)
    chained = (
        "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining."
    )
    for credentials in (sts.assume(arn)["Credentials"], sts.of("admin").get_session_token()["Credentials"]):
        session = sts.by(credentials)
        session.assume_role(RoleArn=longer, RoleSessionName="test", DurationSeconds=3_600)
        with refused("ValidationError", chained):
            session.assume_role(RoleArn=longer, RoleSessionName="test", DurationSeconds=3_601)


def test_a_session_policy_takes_away_and_gives_nothing(sts: Sts) -> None:
    arn = sts.role(trust(ROOT), policy("kms:ListKeys", "kms:CreateKey"))
    answer = sts.assume(arn, Policy=json.dumps(policy("kms:ListKeys", "kms:ListAliases")))
    assert answer["PackedPolicySize"] > 0
    kms = sts.by(answer["Credentials"], "kms")
    assert kms.list_keys()["Keys"] is not None
    with refused("AccessDeniedException", denied(session_arn(arn), "kms:CreateKey", "*", "session policy")):
        kms.create_key()
    with refused(
        "AccessDeniedException", denied(session_arn(arn), "kms:ListAliases", "*", "identity-based policy")
    ):
        kms.list_aliases()


def test_managed_session_policies_are_the_roles_accounts(sts: Sts) -> None:
    arn = sts.role(trust(ROOT), policy("kms:*"))
    iam = sts.of("admin", "iam")
    managed = iam.create_policy(PolicyName="session-limit", PolicyDocument=json.dumps(LIST_KEYS))["Policy"][
        "Arn"
    ]
    credentials = sts.assume(arn, PolicyArns=[{"arn": managed}])["Credentials"]
    kms = sts.by(credentials, "kms")
    assert kms.list_keys()["Keys"] is not None
    with pytest.raises(ClientError, match="no session policy allows"):
        kms.create_key()
    foreign = managed.replace(ACCOUNT, OTHER_ACCOUNT)
    with refused("ValidationError", f"Policy {foreign} does not exist or is not attachable."):
        sts.assume(arn, PolicyArns=[{"arn": foreign}])
    with refused("ValidationError"):
        sts.assume(arn, PolicyArns=[{"arn": f"arn:aws:iam::aws:policy/P{n}"} for n in range(11)])
    # What limited a session, and might have denied, is gone: so is the session.
    iam.delete_policy(PolicyArn=managed)
    with refused("UnrecognizedClientException"):
        kms.list_keys()


def test_changes_of_a_role_count_at_once(sts: Sts) -> None:
    arn = sts.role(trust(ROOT), LIST_KEYS)
    name = arn.rpartition("/")[2]
    iam = sts.of("admin", "iam")
    kms = sts.by(sts.assume(arn)["Credentials"], "kms")
    assert kms.list_keys()["Keys"] is not None
    iam.delete_role_policy(RoleName=name, PolicyName="own")
    with refused("AccessDeniedException"):
        kms.list_keys()
    iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=json.dumps(LIST_KEYS))
    assert kms.list_keys()["Keys"] is not None


def test_older_sessions_are_revoked_by_their_time(sts: Sts) -> None:
    arn = sts.role(trust(ROOT), LIST_KEYS)
    old = sts.by(sts.assume(arn)["Credentials"], "kms")
    assert old.list_keys()["Keys"] is not None
    revoke = policy(
        "*", effect="Deny", Condition={"DateLessThan": {"aws:TokenIssueTime": "2099-01-01T00:00:00Z"}}
    )
    sts.of("admin", "iam").put_role_policy(
        RoleName=arn.rpartition("/")[2],
        PolicyName="AWSRevokeOlderSessions",
        PolicyDocument=json.dumps(revoke),
    )
    with pytest.raises(ClientError, match="with an explicit deny in an identity-based policy"):
        old.list_keys()
    # Users' access keys have no such time.
    assert sts.of("admin", "kms").list_keys()["Keys"] is not None


def test_a_deleted_role_ends_its_sessions(sts: Sts) -> None:
    arn = sts.role(trust(ROOT))
    name = arn.rpartition("/")[2]
    session = sts.by(sts.assume(arn)["Credentials"])
    assert session.get_caller_identity()["Arn"] == session_arn(arn)
    iam = sts.of("admin", "iam")
    iam.delete_role(RoleName=name)
    with refused("InvalidClientTokenId", "The security token included in the request is invalid.", 403):
        session.get_caller_identity()
    # Another role of that name is another role.
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust(ROOT)))
    with refused("InvalidClientTokenId", status=403):
        session.get_caller_identity()


def test_session_tags(sts: Sts) -> None:
    tagged = policy("kms:ListKeys", Condition={"StringEquals": {"aws:PrincipalTag/team": "red"}})
    arn = sts.role(
        trust(ROOT, "sts:AssumeRole", "sts:TagSession"), tagged, Tags=[{"Key": "Team", "Value": "blue"}]
    )
    with refused("AccessDeniedException"):
        sts.by(sts.assume(arn)["Credentials"], "kms").list_keys()
    # The session's tag comes before the role's, whatever its case.
    answer = sts.assume(arn, Tags=[{"Key": "team", "Value": "red"}])
    assert answer["PackedPolicySize"] > 0
    assert sts.by(answer["Credentials"], "kms").list_keys()["Keys"] is not None


def test_tags_need_a_permission_and_can_be_conditions(sts: Sts) -> None:
    red = [{"Key": "team", "Value": "red"}]
    untaggable = sts.role(trust(user_arn("nobody")))
    with refused(
        "AccessDenied", denied(user_arn("nobody"), "sts:TagSession", untaggable, "role trust policy"), 403
    ):
        sts.assume(untaggable, "nobody", Tags=red)
    arn = sts.role(
        trust(
            ROOT,
            "sts:AssumeRole",
            "sts:TagSession",
            Condition={
                "StringEquals": {"aws:RequestTag/Team": "red"},
                "ForAllValues:StringEquals": {"aws:TagKeys": ["team"], "sts:TransitiveTagKeys": ["team"]},
            },
        )
    )
    sts.assume(arn, Tags=red, TransitiveTagKeys=["team"])
    for wrong in ([{"Key": "team", "Value": "blue"}], [*red, {"Key": "more", "Value": "x"}], []):
        with refused("AccessDenied", status=403):
            sts.assume(arn, Tags=wrong)


def test_transitive_tags_go_down_the_chain(sts: Sts) -> None:
    both = ("sts:AssumeRole", "sts:TagSession")
    first = sts.role(trust(ROOT, *both), policy(*both))
    second = sts.role(
        trust(ROOT, *both),
        policy("kms:ListKeys", Condition={"StringEquals": {"aws:PrincipalTag/team": "red"}}),
    )
    tags = [{"Key": "team", "Value": "red"}, {"Key": "stage", "Value": "test"}]
    session = sts.by(sts.assume(first, Tags=tags, TransitiveTagKeys=["team"])["Credentials"])

    def chain(**more: Any) -> Any:
        return session.assume_role(RoleArn=second, RoleSessionName="next", **more)

    assert sts.by(chain()["Credentials"], "kms").list_keys()["Keys"] is not None
    conflict = (
        "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key "
        "from the calling session."
    )
    with refused("InvalidParameterValue", conflict):
        chain(Tags=[{"Key": "Team", "Value": "blue"}])
    # A tag that is not transitive ends with its session.
    chain(Tags=[{"Key": "stage", "Value": "prod"}])
    with refused(
        "InvalidParameterValue", "The specified transitive tag key must be included in the requested tags."
    ):
        sts.assume(first, Tags=tags, TransitiveTagKeys=["absent"])
    # Inherited tags are tags: the next role must let itself be tagged.
    untaggable = sts.role(trust(ROOT), LIST_KEYS)
    with refused("AccessDenied", status=403):
        session.assume_role(RoleArn=untaggable, RoleSessionName="next")


def test_a_source_identity_stays_for_the_chain(sts: Sts) -> None:
    both = ("sts:AssumeRole", "sts:SetSourceIdentity")
    first = sts.role(
        trust(ROOT, *both, Condition={"StringLike": {"sts:SourceIdentity": "al*"}}), policy(*both)
    )
    second = sts.role(
        trust(ROOT, *both),
        policy("kms:ListKeys", Condition={"StringEquals": {"aws:SourceIdentity": "alice"}}),
    )
    answer = sts.assume(first, SourceIdentity="alice")
    assert answer["SourceIdentity"] == "alice"
    session = sts.by(answer["Credentials"])
    chained = session.assume_role(RoleArn=second, RoleSessionName="next")
    assert chained["SourceIdentity"] == "alice"
    assert sts.by(chained["Credentials"], "kms").list_keys()["Keys"] is not None
    with refused("AccessDenied", "The source identity of the calling session cannot be changed.", 403):
        session.assume_role(RoleArn=second, RoleSessionName="next", SourceIdentity="bob")
    with refused("AccessDenied", status=403):
        sts.assume(first, SourceIdentity="bob")
    silent = sts.role(trust(ROOT))
    with refused("AccessDenied", status=403):
        session.assume_role(RoleArn=silent, RoleSessionName="next")


def test_sessions_give_no_sessions_of_users(sts: Sts) -> None:
    session = sts.by(sts.assume(sts.role(trust(ROOT), policy("sts:*")))["Credentials"])
    with refused("AccessDenied", "Cannot call GetSessionToken with session credentials", 403):
        session.get_session_token()
    with refused("AccessDenied", "Cannot call GetFederationToken with session credentials", 403):
        session.get_federation_token(Name="bob")


def test_iam_takes_users_sessions_with_a_second_factor_only(sts: Sts) -> None:
    invalid = "The security token included in the request is invalid."
    credentials = sts.of("admin").get_session_token()["Credentials"]
    with refused("InvalidClientTokenId", invalid, 403):
        sts.by(credentials, "iam").list_users()
    federated = sts.of("admin").get_federation_token(Name="bob", Policy=json.dumps(policy("*")))[
        "Credentials"
    ]
    with refused("InvalidClientTokenId", invalid, 403):
        sts.by(federated, "iam").list_users()
    # Of roles it does.
    role = sts.assume(sts.role(trust(ROOT), policy("iam:ListUsers")))["Credentials"]
    assert sts.by(role, "iam").list_users()["Users"]


def test_a_token_can_be_made_longer(sts: Sts) -> None:
    arn = sts.role(trust(ROOT))
    answer = sts.assume(arn, MinimumSessionTokenSize=4_000)
    assert answer["SessionTokenSize"] == len(answer["Credentials"]["SessionToken"]) == 4_000
    assert answer["SessionTokenUtilization"] == 97
    assert sts.by(answer["Credentials"]).get_caller_identity()["Account"] == ACCOUNT
    assert len(sts.assume(arn)["Credentials"]["SessionToken"]) < 450


def test_context_assertions_are_not_served(sts: Sts) -> None:
    context = {"ProviderArn": "arn:aws:iam::aws:contextProvider/IdentityCenter", "ContextAssertion": "abcd"}
    with refused("NotImplemented", "Trusted context assertions are not served by Casemate.", 501):
        sts.assume(sts.role(trust(ROOT)), ProvidedContexts=[context])
