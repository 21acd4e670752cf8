"""Cost Explorer's API as boto3 uses it: what was used, by day and month, filtered, grouped, in pages."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cost_support import encrypt, groups, keys_of, month, refused, today
from server_support import Server, casemate, running_server

from casemate.services.ce import costs
from casemate.services.iam.identities import AccessKey

DIMENSION = "DIMENSION"


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, list[str]]]:
    """A server on which two keys were used, and their ids."""
    with running_server(tmp_path_factory.mktemp("costs"), "--dev") as server:
        keys = [
            server.client("kms", region=region).create_key()["KeyMetadata"]["KeyId"]
            for region in ("us-east-1", "eu-west-1")
        ]
        encrypt(server, keys[0], 5)
        encrypt(server, keys[1], 3, "eu-west-1")
        with refused("NotFoundException"):
            server.client("kms").encrypt(KeyId="alias/none", Plaintext=b"x")
        yield server, keys


KMS = {"Dimensions": {"Key": "SERVICE", "Values": ["AWS Key Management Service"]}}


def ask(server: Server, **more: Any) -> Any:
    request: dict[str, Any] = {"TimePeriod": month(), "Granularity": "MONTHLY", "Metrics": ["UsageQuantity"]}
    return server.client("ce").get_cost_and_usage(**{**request, **more})


def test_calls_are_there_at_once_by_usage_type_and_operation(used: tuple[Server, list[str]]) -> None:
    found = groups(used[0], "USAGE_TYPE", "OPERATION", Filter=KMS)
    assert found["us-east-1-KMS-Requests", "Encrypt"] == "5", "the refused one is not paid for"
    assert found["eu-west-1-KMS-Requests", "Encrypt"] == "3"
    assert found["us-east-1-KMS-Requests", "CreateKey"] == "1"
    assert 0 < float(found["us-east-1-KMS-Keys", "Unknown"]) < 0.1
    assert set(found) == {
        ("us-east-1-KMS-Requests", "Encrypt"),
        ("us-east-1-KMS-Requests", "CreateKey"),
        ("us-east-1-KMS-Keys", "Unknown"),
        ("eu-west-1-KMS-Requests", "Encrypt"),
        ("eu-west-1-KMS-Requests", "CreateKey"),
        ("eu-west-1-KMS-Keys", "Unknown"),
    }


def test_a_total_without_groups(used: tuple[Server, list[str]]) -> None:
    names = ["UnblendedCost", "BlendedCost", "AmortizedCost", "NormalizedUsageAmount", "UsageQuantity"]
    answer = ask(used[0], Metrics=names, Filter=KMS)
    (result,) = answer["ResultsByTime"]
    assert result["TimePeriod"] == month()
    assert result["Estimated"] is True
    assert result["Groups"] == []
    total = result["Total"]
    assert total["UnblendedCost"] == total["BlendedCost"] == total["AmortizedCost"]
    assert total["UnblendedCost"]["Unit"] == "USD"
    assert float(total["UnblendedCost"]["Amount"]) > 0
    assert total["NormalizedUsageAmount"] == {"Amount": "0", "Unit": "N/A"}
    assert total["UsageQuantity"]["Unit"] == "N/A", "keys and requests"


def test_days_without_use_are_there_too(used: tuple[Server, list[str]]) -> None:
    start = today() - timedelta(days=3)
    period = {"Start": str(start), "End": str(today() + timedelta(days=1))}
    answer = ask(used[0], TimePeriod=period, Granularity="DAILY", Filter=KMS)
    days = [each["TimePeriod"]["Start"] for each in answer["ResultsByTime"]]
    assert days == [str(start + timedelta(days=number)) for number in range(4)]
    amounts = [float(each["Total"]["UsageQuantity"]["Amount"]) for each in answer["ResultsByTime"]]
    assert amounts[:3] == [0, 0, 0] or today() != start + timedelta(days=3)
    assert amounts[3] > 9
    assert answer["ResultsByTime"][0]["Total"]["UsageQuantity"]["Unit"] == "N/A"


def test_months_are_cut_at_the_period(used: tuple[Server, list[str]]) -> None:
    this = today().replace(day=1)
    last = (this - timedelta(days=1)).replace(day=10)
    answer = ask(used[0], TimePeriod={"Start": str(last), "End": str(this + timedelta(days=1))})
    assert [each["TimePeriod"] for each in answer["ResultsByTime"]] == [
        {"Start": str(last), "End": str(this)},
        {"Start": str(this), "End": str(this + timedelta(days=1))},
    ]
    assert [each["Estimated"] for each in answer["ResultsByTime"]] == [False, True]


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("SERVICE", {"AWS Key Management Service"}),
        ("REGION", {"us-east-1", "eu-west-1"}),
        ("LINKED_ACCOUNT", {"000000000000"}),
        ("RECORD_TYPE", {"Usage"}),
        ("AZ", {"NoAZ"}),
    ],
)
def test_groups(used: tuple[Server, list[str]], key: str, values: set[str]) -> None:
    assert {keys[0] for keys in groups(used[0], key, Filter=KMS)} == values


def test_tags_that_are_not_activated_group_everything_together(used: tuple[Server, list[str]]) -> None:
    answer = ask(used[0], GroupBy=[{"Type": "TAG", "Key": "team"}], Filter=KMS)
    assert keys_of(answer["ResultsByTime"]) == [["team$"]]
    assert answer["GroupDefinitions"] == [{"Type": "TAG", "Key": "team"}]
    assert answer["ResultsByTime"][0]["Total"] == {}


def _only(key: str, *values: str) -> dict[str, Any]:
    return {"Dimensions": {"Key": key, "Values": list(values)}}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (_only("OPERATION", "Encrypt"), "8"),
        ({"And": [_only("OPERATION", "Encrypt"), _only("REGION", "eu-west-1")]}, "3"),
        ({"And": [KMS, {"Not": _only("OPERATION", "Encrypt", "Unknown")}]}, "2"),
        ({"Or": [_only("USAGE_TYPE", "us-east-1-KMS-Requests"), _only("REGION", "eu-north-1")]}, "6"),
        (_only("OPERATION", "encrypt"), "0"),
        ({"And": [_only("OPERATION", "Encrypt"), {"Tags": {"Key": "team", "Values": ["red"]}}]}, "0"),
        (
            {"And": [_only("OPERATION", "Encrypt"), {"Tags": {"Key": "team", "MatchOptions": ["ABSENT"]}}]},
            "8",
        ),
    ],
)
def test_filters(used: tuple[Server, list[str]], expression: dict[str, Any], expected: str) -> None:
    (result,) = ask(used[0], Filter=expression)["ResultsByTime"]
    assert result["Total"]["UsageQuantity"]["Amount"] == expected


_MORE_ROOTS = (
    "Expression has more than one roots. Only one root operator is allowed for each expression: "
    "And, Or, Not, Dimensions, Tags, CostCategories"
)


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"TimePeriod": {"Start": "2026-13-01", "End": "2026-14-01"}}, None),
        (
            {"TimePeriod": {"Start": str(today()), "End": str(today())}},
            "Start date (and hour) should be before end date (and hour)",
        ),
        (
            {"TimePeriod": {"Start": str(today()), "End": str(today() + timedelta(days=70))}},
            "end date past the beginning of next month",
        ),
        (
            {"TimePeriod": {"Start": "2015-01-01", "End": str(today())}},
            "You haven't enabled historical data beyond 14 months",
        ),
        ({"Metrics": ["Nothing"]}, None),
        ({"Metrics": []}, None),
        ({"GroupBy": [{"Type": DIMENSION, "Key": key} for key in ("SERVICE", "REGION", "AZ")]}, None),
        ({"GroupBy": [{"Type": DIMENSION, "Key": "Nothing"}]}, None),
        ({"GroupBy": [{"Type": "TAG"}]}, None),
        ({"Filter": {}}, "Expression has no root operator."),
        ({"Filter": {"Not": KMS, **KMS}}, _MORE_ROOTS),
        ({"Filter": {"And": [KMS]}}, None),
        ({"Filter": {"Dimensions": {"Key": "SERVICE"}}}, None),
        ({"Filter": _only("SAVINGS_PLAN_ARN", "x")}, None),
        ({"Filter": {"Dimensions": {**KMS["Dimensions"], "MatchOptions": ["CONTAINS"]}}}, None),
    ],
)
def test_questions_that_are_none(
    used: tuple[Server, list[str]], request_: dict[str, Any], message: str | None
) -> None:
    with refused("ValidationException", message):
        ask(used[0], **request_)


def test_hours_are_not_enabled(used: tuple[Server, list[str]]) -> None:
    with refused(
        "AccessDeniedException",
        "Hourly data granularity is an opt-in only feature. You can enable this feature from the PAYER "
        "account's Cost Explorer Settings page.",
    ):
        ask(used[0], Granularity="HOURLY")


def test_billing_views(used: tuple[Server, list[str]]) -> None:
    primary = "arn:aws:billing::000000000000:billingview/primary"
    assert ask(used[0], BillingViewArn=primary)["ResultsByTime"]
    with refused("ResourceNotFoundException"):
        ask(used[0], BillingViewArn=primary.replace("primary", "other"))


def test_tokens_belong_to_their_request(used: tuple[Server, list[str]]) -> None:
    token = costs._Token("GetCostAndUsage", {"Granularity": "DAILY"}).after(5)
    with refused("RequestChangedException"):
        ask(used[0], NextPageToken=token)
    for wrong in ("x", "AAAA", "e30="):
        with refused("InvalidNextTokenException"):
            ask(used[0], NextPageToken=wrong)


def test_the_values_of_a_dimension(used: tuple[Server, list[str]]) -> None:
    ce = used[0].client("ce")

    def values(**more: Any) -> list[str]:
        answer = ce.get_dimension_values(**{"TimePeriod": month(), "Dimension": "OPERATION", **more})
        assert answer["ReturnSize"] == len(answer["DimensionValues"]) <= answer["TotalSize"]
        return [each["Value"] for each in answer["DimensionValues"]]

    assert values(Filter=KMS) == ["CreateKey", "Encrypt", "Unknown"]
    assert values(Filter=KMS, SearchString="crypt") == ["Encrypt"]
    by_cost = [{"Key": "UnblendedCost", "SortOrder": "DESCENDING"}]
    assert values(Filter=KMS, SortBy=by_cost, MaxResults=1) == ["Unknown"]
    assert values(Dimension="REGION", Filter=KMS) == ["eu-west-1", "us-east-1"]
    for wrong in (
        {"Context": "RESERVATIONS"},
        {"SortBy": [{"Key": "Nothing"}]},
        {"SortBy": by_cost, "SearchString": "x"},
        {"Dimension": "RESERVATION_ID"},
    ):
        with refused("ValidationException"):
            values(**wrong)


def test_costs_of_single_keys(used: tuple[Server, list[str]]) -> None:
    server, keys = used
    ce = server.client("ce")
    tomorrow = today() + timedelta(days=1)
    request: dict[str, Any] = {
        "TimePeriod": {"Start": str(today() - timedelta(days=1)), "End": str(tomorrow)},
        "Granularity": "DAILY",
        "Metrics": ["UsageQuantity", "UnblendedCost"],
        "Filter": {"And": [KMS, _only("OPERATION", "Encrypt")]},
    }
    by_key = {"GroupBy": [{"Type": DIMENSION, "Key": "RESOURCE_ID"}]}
    answer = ce.get_cost_and_usage_with_resources(**request, **by_key)
    found = {
        group["Keys"][0].rpartition("/")[2]: group["Metrics"]["UsageQuantity"]["Amount"]
        for group in answer["ResultsByTime"][-1]["Groups"]
    }
    assert found == {keys[0]: "5", keys[1]: "3"}
    one = _only("RESOURCE_ID", f"arn:aws:kms:us-east-1:000000000000:key/{keys[0]}")
    filtered = ce.get_cost_and_usage_with_resources(**{**request, "Filter": one})["ResultsByTime"][-1]
    assert filtered["Total"]["UsageQuantity"]["Unit"] == "N/A"
    assert float(filtered["Total"]["UsageQuantity"]["Amount"]) > 6
    with refused("ValidationException", "Group by or filter by RESOURCE_ID."):
        ce.get_cost_and_usage_with_resources(**request)
    long_ago = {"Start": str(today() - timedelta(days=15)), "End": str(tomorrow)}
    with refused("ValidationException", "The start date cannot be earlier than 14 days ago."):
        ce.get_cost_and_usage_with_resources(**{**request, **by_key, "TimePeriod": long_ago})
    with refused("ValidationException"):
        ask(server, Filter={"Not": {"Or": [one, KMS]}})
    with refused("ValidationException"):
        ask(server, **by_key)
    with refused("ValidationException"):
        ce.get_dimension_values(TimePeriod=month(), Dimension="RESOURCE_ID")


def test_asking_costs_a_cent(used: tuple[Server, list[str]]) -> None:
    server = used[0]

    def spent() -> float:
        found = groups(server, "SERVICE", metric="UnblendedCost")
        return float(found.get(("AWS Cost Explorer",), 0))

    assert round(-spent() + spent(), 2) == 0.01


def test_other_operations_are_not_served(used: tuple[Server, list[str]]) -> None:
    with refused("NotImplemented", status=501):
        used[0].client("ce").get_tags(TimePeriod=month())


ACCOUNTS = ("111122223333", "444455556666")
USERS = [AccessKey(f"AKIATEST{number}XXXXXXXXXXX", f"secret-{number}-0123456789") for number in (0, 1)]


@pytest.fixture
def accounts(tmp_path: Path) -> Iterator[Server]:
    """A server with two accounts, of which the second has used a key of the first's."""
    seed = tmp_path / "seed.toml"
    seed.write_text(
        "".join(
            f'[[accounts]]\nid = "{account}"\nname = "the {account}"\n[[accounts.users]]\nname = "u"\n'
            f'attached_policies = ["arn:aws:iam::aws:policy/AdministratorAccess"]\n'
            f'access_keys = [{{ id = "{user.id}", secret = "{user.secret}" }}]\n'
            for account, user in zip(ACCOUNTS, USERS, strict=True)
        )
    )
    with running_server(tmp_path, "--dev", "--seed", str(seed)) as server:
        key = server.client("kms", USERS[0]).create_key()["KeyMetadata"]["Arn"]
        policy = (
            '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "kms:*", "Resource": "*", '
            '"Principal": {"AWS": ["111122223333", "444455556666"]}}]}'
        )
        server.client("kms", USERS[0]).put_key_policy(KeyId=key, Policy=policy)
        for _ in range(4):
            server.client("kms", USERS[1]).encrypt(KeyId=key, Plaintext=b"x")
        yield server


def test_who_sees_whose_use(accounts: Server) -> None:
    def operations(user: AccessKey) -> set[str]:
        answer = accounts.client("ce", user).get_dimension_values(
            TimePeriod=month(), Dimension="OPERATION", Filter=KMS
        )
        return {each["Value"] for each in answer["DimensionValues"]}

    assert operations(USERS[0]) == {"CreateKey", "PutKeyPolicy", "Unknown"}
    assert operations(USERS[1]) == {"Encrypt"}, "whoever calls pays"
    listed = casemate("cost", "--data", str(accounts.data), "--by", "account").stdout
    assert all(account in listed for account in ACCOUNTS)

    # In an organisation the management account sees all of it.
    organizations = accounts.client("organizations", USERS[0])
    organizations.create_organization()
    invited = organizations.invite_account_to_organization(Target={"Type": "ACCOUNT", "Id": ACCOUNTS[1]})
    accounts.client("organizations", USERS[1]).accept_handshake(HandshakeId=invited["Handshake"]["Id"])
    assert operations(USERS[0]) == {"CreateKey", "PutKeyPolicy", "Unknown", "Encrypt"}
    assert operations(USERS[1]) == {"Encrypt"}
    answer = accounts.client("ce", USERS[0]).get_cost_and_usage(
        TimePeriod=month(),
        Granularity="MONTHLY",
        Metrics=["UsageQuantity"],
        Filter={"Dimensions": {"Key": "OPERATION", "Values": ["Encrypt", "CreateKey"]}},
        GroupBy=[{"Type": DIMENSION, "Key": "LINKED_ACCOUNT"}],
    )
    amounts = {
        group["Keys"][0]: group["Metrics"]["UsageQuantity"]["Amount"]
        for group in answer["ResultsByTime"][0]["Groups"]
    }
    assert amounts == {ACCOUNTS[0]: "1", ACCOUNTS[1]: "4"}
    assert answer["DimensionValueAttributes"] == [
        {"Value": ACCOUNTS[0], "Attributes": {"description": "default"}},
        {"Value": ACCOUNTS[1], "Attributes": {"description": f"the {ACCOUNTS[1]}"}},
    ]
    one = casemate("cost", "--data", str(accounts.data), "--by", "account", "--account", ACCOUNTS[1]).stdout
    assert ACCOUNTS[1] in one
    assert ACCOUNTS[0] not in one
