"""Service Quotas' API as boto3 uses it: lists, single quotas, requested increases, tags."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from quotas_support import ALIASES, CREATE_KEY, KEYS, POLICY_SIZE, quota, refused, value_of
from server_support import Server, running_server

from casemate.services.iam.identities import AccessKey

ACCOUNT, OTHER = "111122223333", "444455556666"
SECRET = "a-secret-of-somebody-0123456789"


def _user(name: str, *statements: dict[str, Any]) -> dict[str, Any]:
    document = {"Version": "2012-10-17", "Statement": list(statements)}
    return {
        "name": name,
        "inline_policies": {"own": document},
        "access_keys": [{"id": _key(name).id, "secret": SECRET}],
    }


def _key(name: str) -> AccessKey:
    return AccessKey(f"AKIATEST{name.upper():X<12}", SECRET)


SEED = {
    "accounts": [
        {
            "id": ACCOUNT,
            "users": [
                _user("admin", {"Effect": "Allow", "Action": "*", "Resource": "*"}),
                _user("nobody"),
                _user(
                    "asker",
                    {
                        "Effect": "Allow",
                        "Action": "servicequotas:RequestServiceQuotaIncrease",
                        "Resource": f"arn:aws:servicequotas:us-east-1:{ACCOUNT}:kms/{KEYS}",
                        "Condition": {"StringEquals": {"servicequotas:service": "kms"}},
                    },
                ),
            ],
        },
        {
            "id": OTHER,
            "users": [_user("stranger", {"Effect": "Allow", "Action": "*", "Resource": "*"})],
        },
    ]
}
SEED["accounts"][0]["users"][1]["inline_policies"] = {}  # type: ignore[index]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("quotas")
    seed = folder / "seed.json"
    seed.write_text(json.dumps(SEED))
    with running_server(
        folder, "--dev", "--seed", str(seed), env={"CASEMATE_QUOTA_APPROVAL": "2"}
    ) as running:
        yield running


def client(server: Server, user: str = "admin", region: str = "us-east-1") -> Any:
    return server.client("service-quotas", _key(user), region=region)


def test_services_with_quotas(server: Server) -> None:
    assert {"ServiceCode": "kms", "ServiceName": "AWS Key Management Service (AWS KMS)"} in client(
        server
    ).list_services()["Services"]


def test_a_quota_as_it_is_shown(server: Server) -> None:
    shown = client(server).get_service_quota(ServiceCode="kms", QuotaCode=CREATE_KEY)["Quota"]
    assert shown == {
        "ServiceCode": "kms",
        "ServiceName": "AWS Key Management Service (AWS KMS)",
        "QuotaArn": f"arn:aws:servicequotas:us-east-1:{ACCOUNT}:kms/{CREATE_KEY}",
        "QuotaCode": CREATE_KEY,
        "QuotaName": "CreateKey request rate",
        "Value": 5.0,
        "Unit": "None",
        "Adjustable": True,
        "GlobalQuota": False,
        "Period": {"PeriodValue": 1, "PeriodUnit": "SECOND"},
        "QuotaAppliedAtLevel": "ACCOUNT",
        "Description": "CreateKey requests a second.",
    }
    default = client(server).get_aws_default_service_quota(ServiceCode="kms", QuotaCode=KEYS)["Quota"]
    assert default["QuotaArn"] == f"arn:aws:servicequotas:us-east-1::kms/{KEYS}"
    assert default["Value"] == 100_000
    assert "Period" not in default


@pytest.mark.parametrize(
    ("region", "most"),
    [("us-east-1", 100_000), ("eu-central-1", 20_000), ("eu-north-1", 10_000)],
)
def test_defaults_differ_by_region(server: Server, region: str, most: float) -> None:
    assert value_of(client(server, region=region), "L-6E3AF000") == most


def test_a_global_services_quotas_are_in_one_region(server: Server) -> None:
    code = "L-E619E033"
    quota_ = client(server).get_service_quota(ServiceCode="organizations", QuotaCode=code)["Quota"]
    assert quota_["GlobalQuota"] is True
    elsewhere = client(server, region="eu-west-1")
    with refused("NoSuchResourceException"):
        elsewhere.get_service_quota(ServiceCode="organizations", QuotaCode=code)
    assert elsewhere.list_service_quotas(ServiceCode="organizations")["Quotas"] == []
    done = quota(server, "set", "organizations", code, "12", "--region", "eu-west-1", "--account", ACCOUNT)
    assert done.endswith("in us-east-1 is 12.\n")
    assert client(server).list_service_quotas(ServiceCode="organizations")["Quotas"][0]["Value"] == 12


def test_lists_come_in_pages_by_name(server: Server) -> None:
    quotas = client(server)
    for operation in ("list_service_quotas", "list_aws_default_service_quotas"):
        pages = quotas.get_paginator(operation).paginate(ServiceCode="kms", PaginationConfig={"PageSize": 7})
        sizes, names, codes = [], [], []
        for page in pages:
            sizes.append(len(page["Quotas"]))
            names += [each["QuotaName"] for each in page["Quotas"]]
            codes += [each["QuotaCode"] for each in page["Quotas"]]
        assert set(sizes[:-1]) == {7}
        assert len(codes) == len(set(codes)) > 50
        assert names == sorted(names)
    one = quotas.list_service_quotas(ServiceCode="kms", QuotaCode=KEYS)["Quotas"]
    assert [each["QuotaCode"] for each in one] == [KEYS]
    assert quotas.list_service_quotas(ServiceCode="kms", QuotaAppliedAtLevel="RESOURCE")["Quotas"] == []


def test_what_does_not_exist(server: Server) -> None:
    quotas = client(server)
    absent = "The request failed because the specified service does not exist."
    with refused("NoSuchResourceException", absent):
        quotas.list_service_quotas(ServiceCode="nothing")
    with refused("NoSuchResourceException", absent):
        quotas.list_aws_default_service_quotas(ServiceCode="nothing")
    with refused("NoSuchResourceException"):
        quotas.get_service_quota(ServiceCode="kms", QuotaCode="L-00000000")
    with refused("NoSuchResourceException"):
        quotas.get_service_quota(ServiceCode="kms", QuotaCode=KEYS, ContextId="x")
    with refused("NoSuchResourceException"):
        quotas.get_requested_service_quota_change(RequestId="a-request-of-nobody")
    with refused("NoSuchResourceException"):
        quotas.request_service_quota_increase(ServiceCode="kms", QuotaCode="L-00000000", DesiredValue=1)
    with refused("NoSuchResourceException"):
        quotas.list_tags_for_resource(ResourceARN=f"arn:aws:servicequotas:eu-west-1:{ACCOUNT}:kms/{KEYS}")


def test_tokens_of_others_are_refused(server: Server) -> None:
    quotas = client(server)
    token = quotas.list_service_quotas(ServiceCode="kms", MaxResults=1)["NextToken"]
    for wrong in ("AAAA", token):
        with refused("InvalidPaginationTokenException"):
            quotas.list_aws_default_service_quotas(ServiceCode="kms", NextToken=wrong)


def test_a_small_increase_is_approved_at_once_and_applies_there_only(server: Server) -> None:
    quotas = client(server, region="ap-south-1")
    made = quotas.request_service_quota_increase(ServiceCode="kms", QuotaCode=ALIASES, DesiredValue=100)
    requested = made["RequestedQuota"]
    assert (requested["Status"], requested["DesiredValue"]) == ("APPROVED", 100.0)
    assert json.loads(requested["Requester"]) == {
        "accountId": ACCOUNT,
        "callerArn": f"arn:aws:iam::{ACCOUNT}:user/admin",
    }
    assert value_of(quotas, ALIASES) == 100
    default = quotas.get_aws_default_service_quota(ServiceCode="kms", QuotaCode=ALIASES)
    assert default["Quota"]["Value"] == 50
    assert value_of(client(server, region="us-east-1"), ALIASES) == 50
    assert value_of(client(server, "stranger", region="ap-south-1"), ALIASES) == 50
    again = quotas.get_requested_service_quota_change(RequestId=requested["Id"])["RequestedQuota"]
    assert again == requested
    with refused("NoSuchResourceException"):
        client(server, "stranger", region="ap-south-1").get_requested_service_quota_change(
            RequestId=requested["Id"]
        )


def test_a_large_one_waits_for_the_operator(server: Server) -> None:
    quotas = client(server, region="sa-east-1")

    def ask(code: str, value: float) -> Any:
        made = quotas.request_service_quota_increase(ServiceCode="kms", QuotaCode=code, DesiredValue=value)
        return made["RequestedQuota"]

    more, many = ask(CREATE_KEY, 50), ask(KEYS, 1_000_000)
    assert (more["Status"], many["Status"]) == ("PENDING", "PENDING")
    assert value_of(quotas, CREATE_KEY) == 5
    with refused(
        "ResourceAlreadyExistsException",
        "Only one open service quota increase request is allowed per quota.",
    ):
        ask(CREATE_KEY, 60)
    listed = quota(server, "list", "--account", ACCOUNT, "--region", "sa-east-1")
    assert more["Id"] in listed
    assert many["Id"] in listed
    assert "APPROVED: kms L-32B67F4A = 50" in quota(server, "approve", more["Id"])
    assert "DENIED: kms L-C2F1777E = 1e+06" in quota(server, "deny", many["Id"])
    assert value_of(quotas, CREATE_KEY) == 50, "the running server notices"
    assert value_of(quotas, KEYS) == 100_000
    states = {
        each["Id"]: each["Status"]
        for each in quotas.list_requested_service_quota_change_history(ServiceCode="kms")["RequestedQuotas"]
    }
    assert states == {more["Id"]: "APPROVED", many["Id"]: "DENIED"}
    assert ask(KEYS, 2_000_000)["Status"] == "PENDING", "one that was answered is not open any more"


def test_one_that_may_not_wait_is_not_approved(server: Server) -> None:
    made = client(server, region="eu-west-3").request_service_quota_increase(
        ServiceCode="kms", QuotaCode=CREATE_KEY, DesiredValue=1000, SupportCaseAllowed=False
    )
    assert made["RequestedQuota"]["Status"] == "NOT_APPROVED"


def test_increases_that_are_none(server: Server) -> None:
    quotas = client(server)
    for value in (4, 5):
        with refused(
            "IllegalArgumentException",
            "You must provide a quota value greater than the current quota value.",
        ):
            quotas.request_service_quota_increase(ServiceCode="kms", QuotaCode=CREATE_KEY, DesiredValue=value)
    with refused("IllegalArgumentException", "The specified quota is not adjustable."):
        quotas.request_service_quota_increase(ServiceCode="kms", QuotaCode=POLICY_SIZE, DesiredValue=64)


def test_open_requests_have_a_limit(server: Server) -> None:
    quotas = client(server, region="eu-south-1")
    adjustable = [
        each for each in quotas.list_service_quotas(ServiceCode="kms")["Quotas"] if each["Adjustable"]
    ]
    for each in adjustable[:20]:
        quotas.request_service_quota_increase(
            ServiceCode="kms", QuotaCode=each["QuotaCode"], DesiredValue=each["Value"] * 3
        )
    with refused("QuotaExceededException"):
        quotas.request_service_quota_increase(
            ServiceCode="kms", QuotaCode=adjustable[20]["QuotaCode"], DesiredValue=adjustable[20]["Value"] * 3
        )


def test_the_history_comes_in_pages_the_newest_first(server: Server) -> None:
    quotas = client(server, region="me-south-1")
    made = [
        quotas.request_service_quota_increase(ServiceCode="kms", QuotaCode=code, DesiredValue=value)[
            "RequestedQuota"
        ]["Id"]
        for code, value in ((ALIASES, 60), (ALIASES, 70), (CREATE_KEY, 6), (ALIASES, 80), (CREATE_KEY, 500))
    ]
    pages = quotas.get_paginator("list_requested_service_quota_change_history").paginate(
        PaginationConfig={"PageSize": 2}
    )
    assert [each["Id"] for page in pages for each in page["RequestedQuotas"]] == made[::-1]
    of_quota = quotas.list_requested_service_quota_change_history_by_quota(
        ServiceCode="kms", QuotaCode=ALIASES, MaxResults=2
    )
    assert [each["Id"] for each in of_quota["RequestedQuotas"]] == [made[3], made[1]]
    rest = quotas.list_requested_service_quota_change_history_by_quota(
        ServiceCode="kms", QuotaCode=ALIASES, NextToken=of_quota["NextToken"]
    )
    assert [each["Id"] for each in rest["RequestedQuotas"]] == [made[0]]
    waiting = quotas.list_requested_service_quota_change_history(Status="PENDING")["RequestedQuotas"]
    assert [each["Id"] for each in waiting] == [made[4]]
    with refused("NoSuchResourceException"):
        quotas.list_requested_service_quota_change_history(ServiceCode="nothing")


def test_whoever_may_not_is_refused_whether_it_exists_or_not(server: Server) -> None:
    nobody = client(server, "nobody")
    for code in (KEYS, "L-00000000"):
        with refused("AccessDeniedException"):
            nobody.get_service_quota(ServiceCode="kms", QuotaCode=code)
        with refused("AccessDeniedException"):
            nobody.request_service_quota_increase(ServiceCode="kms", QuotaCode=code, DesiredValue=1e9)


def test_a_policy_may_name_a_quota_and_its_service(server: Server) -> None:
    asker = client(server, "asker")
    with refused("AccessDeniedException"):
        asker.request_service_quota_increase(ServiceCode="kms", QuotaCode=CREATE_KEY, DesiredValue=6)
    made = asker.request_service_quota_increase(ServiceCode="kms", QuotaCode=KEYS, DesiredValue=100_001)
    assert made["RequestedQuota"]["Status"] == "APPROVED"


def test_tags_of_a_quota(server: Server) -> None:
    quotas = client(server)
    arn = f"arn:aws:servicequotas:us-east-1:{ACCOUNT}:kms/{ALIASES}"
    quotas.tag_resource(ResourceARN=arn, Tags=[{"Key": "b", "Value": "1"}, {"Key": "a", "Value": ""}])
    quotas.tag_resource(ResourceARN=arn, Tags=[{"Key": "b", "Value": "2"}])
    assert quotas.list_tags_for_resource(ResourceARN=arn)["Tags"] == [
        {"Key": "a", "Value": ""},
        {"Key": "b", "Value": "2"},
    ]
    with refused("TooManyTagsException"):
        quotas.tag_resource(ResourceARN=arn, Tags=[{"Key": f"t{n}", "Value": ""} for n in range(49)])
    for wrong in ([{"Key": "x", "Value": ""}] * 2, [{"Key": "aws:x", "Value": ""}]):
        with refused("IllegalArgumentException"):
            quotas.tag_resource(ResourceARN=arn, Tags=wrong)
    quotas.untag_resource(ResourceARN=arn, TagKeys=["b", "none"])
    assert [tag["Key"] for tag in quotas.list_tags_for_resource(ResourceARN=arn)["Tags"]] == ["a"]


def test_other_operations_are_not_served(server: Server) -> None:
    with refused("NotImplemented", status=501):
        client(server).get_association_for_service_quota_template()


def test_the_command_refuses_what_it_does_not_know(server: Server, tmp_path: Path) -> None:
    from server_support import casemate

    def fails(*args: str) -> tuple[int, str]:
        done = casemate("quota", args[0], "--data", str(server.data), *args[1:])
        return done.returncode, done.stderr

    assert fails("set", "kms", "Nothing", "5") == (
        2,
        "casemate: kms has no quota Nothing\n`casemate quota list --all` shows them.\n",
    )
    assert fails("set", "kms", "CreateKey", "many")[0] == 2
    assert fails("set", "kms", "CreateKey", "-1")[0] == 2
    assert fails("set", "kms", "CreateKey", "5", "--account", "999999999999")[1].startswith(
        "casemate: there is no account 999999999999"
    )
    assert fails("approve", "f" * 32)[0] == 1
    done = quota(server, "set", "kms", "createkey", "7", "--region", "ca-central-1", "--account", OTHER)
    assert done == f"CreateKey request rate ({CREATE_KEY}) of account {OTHER} in ca-central-1 is 7.\n"
    stranger = client(server, "stranger", region="ca-central-1")
    assert value_of(stranger, CREATE_KEY) == 7
    quota(server, "set", "kms", "CreateKey", "default", "--region", "ca-central-1", "--account", OTHER)
    assert value_of(stranger, CREATE_KEY) == 5
