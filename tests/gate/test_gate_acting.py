"""Services that act by themselves: what lets them, what does not, and how the audit shows it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from acting_support import ACCOUNT, REGION, Household, document, household_in
from gate_support import Rig

from casemate.api import kms
from casemate.errors import AwsError
from casemate.gate.acting import Actor, act_as, in_background, perform
from casemate.gate.call import Call
from casemate.gate.pass_role import passed_role, trusts

RULE = f"arn:aws:events:{REGION}:{ACCOUNT}:rule/nightly"
EVENTS = Actor("events.amazonaws.com", ACCOUNT, REGION, source_arn=RULE)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Household]:
    with household_in(tmp_path) as made:
        yield made


def key_for(house: Household, *statements: Any) -> str:
    root = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
        "Action": "kms:*",
        "Resource": "*",
    }
    policy = document(root, *statements)
    made = house.by_admin(lambda call: kms.CreateKey.ask(call, {"Policy": policy}))
    return made["KeyMetadata"]["Arn"]


def to_events(**condition: Any) -> dict[str, Any]:
    return {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "kms:GenerateDataKey*",
        "Resource": "*",
        **({"Condition": condition} if condition else {}),
    }


def use(house: Household, key: str, actor: Actor = EVENTS) -> None:
    perform(
        house.gate, actor, lambda call: kms.GenerateDataKey.ask(call, {"KeyId": key, "KeySpec": "AES_256"})
    )


def test_the_targets_policy_must_allow_the_service(house: Household) -> None:
    key = key_for(house)
    with pytest.raises(AwsError) as refused:
        use(house, key)
    assert refused.value.code == "AccessDeniedException"
    assert refused.value.message == (
        f"User: events.amazonaws.com is not authorized to perform: kms:GenerateDataKey on resource: {key} "
        "because no resource-based policy allows the kms:GenerateDataKey action"
    )
    use(house, key_for(house, to_events()))
    with pytest.raises(AwsError, match=r"User: s3\.amazonaws\.com is not authorized"):
        use(house, key_for(house, to_events()), EVENTS._replace(service="s3.amazonaws.com"))


@pytest.mark.parametrize(
    ("condition", "allowed"),
    [
        ({"ArnEquals": {"aws:SourceArn": RULE}, "StringEquals": {"aws:SourceAccount": ACCOUNT}}, True),
        ({"ArnEquals": {"aws:SourceArn": RULE + "2"}}, False),
        ({"StringEquals": {"aws:SourceAccount": "444455556666"}}, False),
        ({"StringEquals": {"aws:PrincipalServiceName": "events.amazonaws.com"}}, True),
        ({"Bool": {"aws:PrincipalIsAWSService": "true", "aws:ViaAWSService": "false"}}, True),
        ({"Bool": {"aws:SecureTransport": "false"}}, False),
        ({"NotIpAddress": {"aws:SourceIp": "192.0.2.0/24"}}, True),
        ({"Null": {"aws:SourceIp": "true", "aws:UserAgent": "true", "aws:PrincipalArn": "true"}}, True),
        ({"Null": {"aws:SourceOrgID": "false"}}, False),
    ],
)
def test_conditions_see_on_whose_behalf_it_acts(house: Household, condition: Any, allowed: bool) -> None:
    key = key_for(house, to_events(**condition))
    if allowed:
        use(house, key)
    else:
        with pytest.raises(AwsError, match="is not authorized"):
            use(house, key)


def test_a_services_regional_name_means_it_too(house: Household) -> None:
    regional = to_events()
    regional["Principal"] = {"Service": f"events.{REGION}.amazonaws.com"}
    use(house, key_for(house, regional))
    regional["Principal"] = {"Service": "events.eu-west-1.amazonaws.com"}
    with pytest.raises(AwsError, match="is not authorized"):
        use(house, key_for(house, regional))


def test_the_audit_shows_the_service(house: Household) -> None:
    use(house, key_for(house, to_events()))
    with pytest.raises(AwsError):
        use(house, key_for(house))
    done, refused = house.records("GenerateDataKey")
    assert done["userIdentity"] == {"type": "AWSService", "invokedBy": "events.amazonaws.com"}
    assert done["sourceIPAddress"] == done["userAgent"] == "events.amazonaws.com"
    assert done["recipientAccountId"] == ACCOUNT
    assert "errorCode" not in done
    assert refused["errorCode"] == "AccessDeniedException"


def test_a_role_must_trust_the_service(house: Household) -> None:
    key = key_for(house)
    allow = {"Effect": "Allow", "Action": "kms:GenerateDataKey", "Resource": key}
    right = house.role("right", "events.amazonaws.com", allow)
    wrong = house.role("wrong", "lambda.amazonaws.com", allow)
    use(house, key, EVENTS._replace(role=right, session="for-rule"))
    for role in (wrong, right + "-absent"):
        with pytest.raises(AwsError) as refused:
            use(house, key, EVENTS._replace(role=role))
        assert (refused.value.code, refused.value.status) == ("AccessDenied", 403)
        assert refused.value.message.startswith(
            "User: events.amazonaws.com is not authorized to perform: sts:AssumeRole on resource: " + role
        )
    assert house.by_admin(lambda call: [trusts(call, role, EVENTS) for role in (right, wrong, "none")]) == [
        *(True, False, False)
    ]


def test_a_role_may_trust_the_service_for_one_source_only(house: Household) -> None:
    key = key_for(house)
    allow = {"Effect": "Allow", "Action": "kms:GenerateDataKey", "Resource": key}
    role = house.role(
        "bound", "events.amazonaws.com", allow, Condition={"ArnEquals": {"aws:SourceArn": RULE}}
    )
    use(house, key, EVENTS._replace(role=role))
    with pytest.raises(AwsError, match="sts:AssumeRole"):
        use(house, key, EVENTS._replace(role=role, source_arn=RULE + "2"))


def test_a_session_may_what_its_role_may_and_no_more_once_that_changes(house: Household) -> None:
    from casemate.api import iam

    key = key_for(house)
    role = house.role(
        "able", "events.amazonaws.com", {"Effect": "Allow", "Action": "kms:GenerateDataKey", "Resource": key}
    )
    actor = EVENTS._replace(role=role, session="s")
    use(house, key, actor)
    use(house, key, actor)
    house.by_admin(lambda call: iam.DeleteRolePolicy.ask(call, {"RoleName": "able", "PolicyName": "own"}))
    with pytest.raises(AwsError) as refused:
        use(house, key, actor)
    assert "assumed-role/able/s is not authorized to perform: kms:GenerateDataKey" in refused.value.message
    first, again, denied = house.records("GenerateDataKey")
    assert first["userIdentity"]["type"] == "AssumedRole"
    assert first["userIdentity"]["arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/able/s"
    assert first["userIdentity"]["invokedBy"] == first["sourceIPAddress"] == "events.amazonaws.com"
    assert first["userIdentity"]["accessKeyId"] == again["userIdentity"]["accessKeyId"], "used again"
    assert denied["userIdentity"]["accessKeyId"] != first["userIdentity"]["accessKeyId"]
    assumed = house.records("AssumeRole")
    assert len(assumed) == 2
    assert assumed[0]["userIdentity"] == {"type": "AWSService", "invokedBy": "events.amazonaws.com"}


def test_what_is_done_in_the_background_is_one_transaction(house: Household) -> None:
    key = key_for(house)

    def work(call: Call) -> None:
        kms.CreateAlias.ask(call, {"AliasName": "alias/half", "TargetKeyId": key})
        kms.GenerateDataKey.ask(act_as(call, EVENTS), {"KeyId": key, "KeySpec": "AES_256"})

    with pytest.raises(AwsError, match="kms:GenerateDataKey"):
        house.by_admin(work)
    assert house.by_admin(lambda call: kms.ListAliases.ask(call, {"KeyId": key})["Aliases"]) == []
    (created,) = house.records("CreateAlias")
    assert created["userIdentity"]["type"] == "IAMUser", "what was undone is audited too"


def test_nobody_may_nothing_in_the_background(house: Household) -> None:
    key = key_for(house, to_events())

    def work(base: Call) -> None:
        base.account, base.region = ACCOUNT, REGION
        kms.GenerateDataKey.ask(base, {"KeyId": key, "KeySpec": "AES_256"})

    with pytest.raises(AwsError, match="Access Denied"):
        in_background(house.gate, work)


def test_passing_a_role_is_decided_by_its_own_keys(house: Household) -> None:
    role = house.role("passed", "lambda.amazonaws.com", {"Effect": "Deny", "Action": "*", "Resource": "*"})

    def look(call: Call) -> None:
        target = passed_role(call, role, "lambda.amazonaws.com", RULE)
        assert target.arn == role
        assert target.account == ACCOUNT
        assert target.condition("iam:passedtoservice", call, {}) == "lambda.amazonaws.com"
        assert target.condition("iam:associatedresourcearn", call, {}) == RULE
        assert passed_role(call, "nonsense", "lambda.amazonaws.com").account == ACCOUNT
        assert passed_role(call, role.replace(ACCOUNT, "444455556666"), "x.amazonaws.com").account != ACCOUNT

    house.by_admin(look)


def test_no_header_makes_a_client_a_service(rig: Rig) -> None:
    claims = {
        "User-Agent": "events.amazonaws.com",
        "X-Amz-Source-Arn": RULE,
        "X-Amz-Source-Account": ACCOUNT,
        "X-Amz-Invoked-By": "events.amazonaws.com",
    }
    rig.put("toy")
    answer = rig.json("secretsmanager.GetSecretValue", {"SecretId": "toy"}, more_headers=claims)
    (record,) = rig.records_of(answer)
    assert record["userIdentity"]["type"] == "IAMUser"
    assert "invokedBy" not in record["userIdentity"]
    assert record["sourceIPAddress"] == "192.0.2.7"
    unsigned = rig.json("secretsmanager.GetSecretValue", {"SecretId": "toy"}, more_headers=claims, user=None)
    assert unsigned.code == "MissingAuthenticationTokenException"
