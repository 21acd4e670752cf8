"""The policy simulator by a real client, held against what the server then does."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from iam_support import ACCOUNT, ADMIN, Iam, arn, denied, name, policy
from server_support import refused

from casemate.services.iam.document_parts import context_keys, spans

KEY = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/1"


def custom(iam: Iam, documents: list[str], actions: list[str], **more: Any) -> list[Any]:
    answer = iam.admin.simulate_custom_policy(PolicyInputList=documents, ActionNames=actions, **more)
    results: list[Any] = answer["EvaluationResults"]
    return results


def decision(iam: Iam, documents: list[str], action: str, **more: Any) -> str:
    (result,) = custom(iam, documents, [action], **more)
    return str(result["EvalDecision"])


def test_custom_policies(iam: Iam) -> None:
    allows, denies = policy("s3:*"), policy("s3:Delete*", effect="Deny")
    results = custom(iam, [allows, denies], ["s3:GetObject", "s3:DeleteObject", "ec2:RunInstances"])
    assert [each["EvalActionName"] for each in results] == [
        "s3:GetObject",
        "s3:DeleteObject",
        "ec2:RunInstances",
    ]
    assert [each["EvalDecision"] for each in results] == ["allowed", "explicitDeny", "implicitDeny"]
    assert results[0] == {
        "EvalActionName": "s3:GetObject",
        "EvalResourceName": "*",
        "EvalDecision": "allowed",
        "MatchedStatements": [
            {
                "SourcePolicyId": "PolicyInputList.1",
                "SourcePolicyType": "IAM Policy",
                "StartPosition": {"Line": 1, "Column": allows.index('{"Effect"') + 1},
                "EndPosition": {"Line": 1, "Column": allows.rindex("}]") + 2},
            }
        ],
        "MissingContextValues": [],
    }
    assert [each["SourcePolicyId"] for each in results[1]["MatchedStatements"]] == ["PolicyInputList.2"]
    assert results[2]["MatchedStatements"] == []


def test_resources_have_results_of_their_own(iam: Iam) -> None:
    one, other = "arn:aws:s3:::a/x", "arn:aws:s3:::b/x"
    (result,) = custom(
        iam,
        [policy("s3:GetObject", resource="arn:aws:s3:::a/*")],
        ["s3:GetObject"],
        ResourceArns=[one, other],
    )
    assert (result["EvalDecision"], result["MatchedStatements"]) == ("implicitDeny", [])
    assert [
        (each["EvalResourceName"], each["EvalResourceDecision"]) for each in result["ResourceSpecificResults"]
    ] == [(one, "allowed"), (other, "implicitDeny")]


def test_context(iam: Iam) -> None:
    document = policy(
        "s3:*",
        resource="arn:aws:s3:::home/${aws:username}/*",
        Condition={
            "IpAddress": {"aws:SourceIp": "192.0.2.0/24"},
            "ForAllValues:StringEquals": {"aws:TagKeys": ["a", "b"]},
        },
    )
    resource = ["arn:aws:s3:::home/ann/x"]
    (result,) = custom(iam, [document], ["s3:GetObject"], ResourceArns=resource)
    assert result["EvalDecision"] == "implicitDeny"
    assert result["MissingContextValues"] == ["aws:SourceIp", "aws:TagKeys", "aws:username"]
    entries = [
        {"ContextKeyName": "aws:SourceIp", "ContextKeyValues": ["192.0.2.1"], "ContextKeyType": "ip"},
        {"ContextKeyName": "aws:USERNAME", "ContextKeyValues": ["ann"], "ContextKeyType": "string"},
        {"ContextKeyName": "aws:TagKeys", "ContextKeyValues": ["a", "b"], "ContextKeyType": "stringList"},
    ]
    (result,) = custom(iam, [document], ["s3:GetObject"], ResourceArns=resource, ContextEntries=entries)
    assert (result["EvalDecision"], result["MissingContextValues"]) == ("allowed", [])
    entries[2]["ContextKeyValues"] = ["c"]
    assert (
        decision(iam, [document], "s3:GetObject", ResourceArns=resource, ContextEntries=entries)
        == "implicitDeny"
    )
    names = iam.admin.get_context_keys_for_custom_policy(PolicyInputList=[document])["ContextKeyNames"]
    assert names == ["aws:SourceIp", "aws:TagKeys", "aws:username"]


def test_boundaries_and_service_control_policies_limit(iam: Iam) -> None:
    everything = [policy("*")]
    (result,) = custom(
        iam, everything, ["s3:GetObject"], PermissionsBoundaryPolicyInputList=[policy("ec2:*")]
    )
    assert result["EvalDecision"] == "implicitDeny"
    assert result["PermissionsBoundaryDecisionDetail"] == {"AllowedByPermissionsBoundary": False}
    levels = [
        {"ServiceControlPolicyInputList": [policy("*")]},
        {"ServiceControlPolicyInputList": [policy("ec2:*")]},
    ]
    results = custom(
        iam, everything, ["s3:GetObject", "ec2:RunInstances"], OrderedOrganizationPolicyInputList=levels
    )
    assert [each["EvalDecision"] for each in results] == ["implicitDeny", "allowed"]
    assert [each["OrganizationsDecisionDetail"]["AllowedByOrganizations"] for each in results] == [
        False,
        True,
    ]


def test_a_resource_policy_has_its_say(iam: Iam) -> None:
    caller, stranger = arn("user", "ann"), arn("user", "bob", "444455556666")
    shared = json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": {
                "Effect": "Allow",
                "Principal": {"AWS": [caller, stranger]},
                "Action": "s3:*",
                "Resource": "*",
            },
        }
    )
    more: dict[str, Any] = {"ResourcePolicy": shared, "ResourceArns": ["arn:aws:s3:::a/x"]}
    (result,) = custom(iam, [policy("ec2:*")], ["s3:GetObject"], CallerArn=caller, **more)
    assert result["EvalDecision"] == "allowed"
    assert result["MatchedStatements"][0]["SourcePolicyType"] == "Resource Policy"
    assert result["EvalDecisionDetails"] == {}
    (result,) = custom(
        iam, [policy("ec2:*")], ["s3:GetObject"], CallerArn=stranger, ResourceOwner=ACCOUNT, **more
    )
    assert result["EvalDecision"] == "implicitDeny"
    assert result["EvalDecisionDetails"] == {"IAM Policy": "implicitDeny", "Resource Policy": "allowed"}
    assert (
        decision(iam, [policy("s3:*")], "s3:GetObject", CallerArn=stranger, ResourceOwner=ACCOUNT, **more)
        == "allowed"
    )
    with refused("InvalidInput", "CallerArn is required with a ResourcePolicy."):
        custom(iam, [policy("s3:*")], ["s3:GetObject"], **more)


def test_a_principals_policies(iam: Iam) -> None:
    group, managed = iam.group(), iam.managed("kms:Encrypt")
    iam.admin.put_group_policy(
        GroupName=group, PolicyName="g", PolicyDocument=policy("kms:Decrypt", effect="Deny")
    )
    user = iam.user(policy("kms:Decrypt", "kms:DescribeKey"))
    iam.admin.attach_user_policy(UserName=user, PolicyArn=managed)
    iam.admin.add_user_to_group(GroupName=group, UserName=user)

    def simulated(*actions: str, source: str = arn("user", user), **more: Any) -> list[Any]:
        answer = iam.admin.simulate_principal_policy(
            PolicySourceArn=source, ActionNames=list(actions), **more
        )
        return [
            (each["EvalDecision"], [s["SourcePolicyId"] for s in each["MatchedStatements"]])
            for each in answer["EvaluationResults"]
        ]

    assert simulated(
        "kms:Encrypt", "kms:Decrypt", "kms:DescribeKey", "kms:CreateKey", ResourceArns=[KEY]
    ) == [
        ("allowed", [managed.rpartition("/")[2]]),
        ("explicitDeny", [f"group_{group}_g"]),
        ("allowed", [f"user_{user}_p0"]),
        ("implicitDeny", []),
    ]
    assert simulated("kms:Decrypt", source=arn("group", group)) == [("explicitDeny", [f"group_{group}_g"])]
    assert simulated("s3:GetObject", PolicyInputList=[policy("s3:*")]) == [("allowed", ["PolicyInputList.1"])]
    inline = {"PolicyName": "g", "AttachmentType": "group", "AttachmentName": group}
    assert (
        simulated("kms:Decrypt", PolicyExclusionList=[{"InlinePolicyIdentifier": inline}])[0][0] == "allowed"
    )
    for entry in (
        {"PolicyType": "user-managed"},
        {"PolicyArn": managed},
        {"PolicyArn": arn("policy", "policy-*")},
    ):
        assert simulated("kms:Encrypt", PolicyExclusionList=[entry])[0][0] == "implicitDeny"
    iam.admin.put_user_permissions_boundary(UserName=user, PermissionsBoundary=iam.managed("s3:*"))
    assert simulated("kms:Encrypt")[0][0] == "implicitDeny"
    assert (
        simulated("kms:Encrypt", PolicyExclusionList=[{"PolicyType": "permission-boundary"}])[0][0]
        == "allowed"
    )
    assert simulated("kms:Encrypt", PermissionsBoundaryPolicyInputList=[policy("kms:*")])[0][0] == "allowed"


@pytest.mark.parametrize("kind", ["user", "role"])
def test_it_decides_as_the_server_does(iam: Iam, kind: str) -> None:
    documents = [policy("iam:List*", "iam:GetUser"), policy("iam:ListRoles", effect="Deny")]
    if kind == "user":
        source = arn("user", user := iam.user(*documents))
        client = iam.client("iam", iam.key(user))
    else:
        role = iam.role(
            AssumeRolePolicyDocument=json.dumps(
                {
                    "Version": "2012-10-17",
                    "Statement": {
                        "Effect": "Allow",
                        "Principal": {"AWS": ACCOUNT},
                        "Action": "sts:AssumeRole",
                    },
                }
            )
        )
        for number, document in enumerate(documents):
            iam.admin.put_role_policy(RoleName=role, PolicyName=str(number), PolicyDocument=document)
        source = arn("role", role)
        made = iam.client("sts", ADMIN).assume_role(RoleArn=source, RoleSessionName="test")["Credentials"]
        client = _client(iam, made)
    for action, call in {
        "iam:ListUsers": client.list_users,
        "iam:ListRoles": client.list_roles,
        "iam:GetAccountSummary": client.get_account_summary,
    }.items():
        (result,) = iam.admin.simulate_principal_policy(PolicySourceArn=source, ActionNames=[action])[
            "EvaluationResults"
        ]
        if result["EvalDecision"] == "allowed":
            call()
        else:
            with refused("AccessDenied", status=403):
                call()


def _client(iam: Iam, credentials: Any) -> Any:
    import boto3

    session: Any = boto3.session.Session(
        aws_access_key_id=credentials["AccessKeyId"],
        aws_secret_access_key=credentials["SecretAccessKey"],
        aws_session_token=credentials["SessionToken"],
        region_name="us-east-1",
    )
    return session.client("iam", endpoint_url=iam.server.endpoint)


def test_results_come_in_pages(iam: Iam) -> None:
    actions = [f"s3:Action{number}" for number in range(5)]
    request: dict[str, Any] = {"PolicyInputList": [policy("s3:*")], "ActionNames": actions, "MaxItems": 2}
    found = []
    while True:
        answer = iam.admin.simulate_custom_policy(**request)
        found += [each["EvalActionName"] for each in answer["EvaluationResults"]]
        if not answer["IsTruncated"]:
            break
        request["Marker"] = answer["Marker"]
    assert found == actions


def test_what_is_refused(iam: Iam) -> None:
    for more in (
        {"documents": ["{"]},
        {"actions": ["s3x"]},
        {"actions": ["s3:*"]},
        {"ResourceArns": ["x"]},
        {"CallerArn": f"arn:aws:sts::{ACCOUNT}:assumed-role/a/b"},
        {"PermissionsBoundaryPolicyInputList": [policy("*")] * 2},
        {"ContextEntries": [{"ContextKeyName": "aws:SourceIp"}]},
        {"ResourceArns": [f"{KEY}{number}" for number in range(5_001)]},
    ):
        values: Any = {"documents": [policy("*")], "actions": ["s3:GetObject"], **more}
        with refused("InvalidInput"):
            custom(iam, **values)
    for source in (arn("user", "a", "444455556666"), f"arn:aws:iam::{ACCOUNT}:policy/a"):
        with refused("InvalidInput"):
            iam.admin.simulate_principal_policy(PolicySourceArn=source, ActionNames=["s3:GetObject"])
    absent = name("absent")
    with refused("NoSuchEntity", f"The user with name {absent} cannot be found.", 404):
        iam.admin.simulate_principal_policy(PolicySourceArn=arn("user", absent), ActionNames=["s3:GetObject"])
    user = iam.user()
    client = iam.client("iam", iam.key(user))
    for call, action, resource in (
        (client.simulate_principal_policy, "iam:SimulatePrincipalPolicy", arn("user", absent)),
        (client.simulate_custom_policy, "iam:SimulateCustomPolicy", "*"),
    ):
        request: Any = {"PolicyInputList": [policy("*")], "ActionNames": ["s3:GetObject"]}
        if resource != "*":
            request["PolicySourceArn"] = resource
        with refused("AccessDenied", denied(arn("user", user), action, resource), 403):
            call(**request)


def test_context_keys_of_a_principal(iam: Iam) -> None:
    user = iam.user(policy("s3:*", Condition={"Bool": {"aws:SecureTransport": "true"}}))
    document = policy("s3:*", resource="arn:aws:s3:::${aws:PrincipalTag/team, 'x'}/${*}")
    answer = iam.admin.get_context_keys_for_principal_policy(
        PolicySourceArn=arn("user", user), PolicyInputList=[document]
    )
    assert answer["ContextKeyNames"] == ["aws:PrincipalTag/team", "aws:SecureTransport"]


_spaces = st.text(" \n\t", max_size=3)


@given(st.lists(st.text('ab{}[],"\\', max_size=5), max_size=4), st.data())
def test_spans_of_statements(sids: list[str], data: st.DataObject) -> None:
    def space() -> str:
        return data.draw(_spaces)

    statements = [json.dumps({"Sid": sid, "Statement": [1]}) for sid in sids]
    inner = ",".join(f"{space()}{each}{space()}" for each in statements)
    first = f'{space()}"Id"{space()}:{space()}"Statement"'
    text = f'{space()}{{{first},{space()}"Statement"{space()}:{space()}[{inner}]}}'
    lines = text.split("\n")
    found = []
    for span in spans(text) if sids else []:
        (top, left), (bottom, right) = span
        part = lines[top - 1 : bottom]
        part[-1] = part[-1][: right - 1]
        part[0] = part[0][left - 1 :]
        found.append("\n".join(part))
    assert found == statements


def test_context_keys_are_named_as_they_are_written() -> None:
    document = policy("s3:*", Condition={"StringLike": {"AWS:PrincipalTag/Team": "${aws:username}-${$}"}})
    assert context_keys(document) == {
        "aws:principaltag/team": "AWS:PrincipalTag/Team",
        "aws:username": "aws:username",
    }
