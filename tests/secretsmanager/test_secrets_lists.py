"""ListSecrets: filters, orders, pages."""

from __future__ import annotations

from typing import Any

import pytest
from secrets_support import SecretsServer, refused

NAMES = ("lists/alpha", "lists/beta", "lists/Gamma", "other/delta")


@pytest.fixture(scope="module")
def account(secretsmanager: SecretsServer) -> Any:
    """A client of a Region of this module's own, with secrets."""
    client = secretsmanager.of(region="ap-southeast-2")
    descriptions = ("First Database", "second queue", "", "the database of delta")
    for name, description in zip(NAMES, descriptions, strict=True):
        client.create_secret(
            Name=name,
            SecretString=name,
            Description=description,
            Tags=[{"Key": f"key-{name[-1]}", "Value": f"Value {name}"}],
        )
    client.create_secret(Name="lists/gone", SecretString="x")
    client.delete_secret(SecretId="lists/gone")
    client.update_secret(SecretId="lists/alpha", Description="First Database again")
    return client


def names(client: Any, **request: Any) -> list[str]:
    return [each["Name"] for each in client.list_secrets(**request)["SecretList"]]


@pytest.mark.parametrize(
    ("key", "values", "expected"),
    [
        ("name", ["lists/"], NAMES[:3]),
        ("name", ["Lists/"], ()),
        ("name", ["lists/a", "other"], (NAMES[0], NAMES[3])),
        ("name", ["!lists/"], (NAMES[3],)),
        ("name", ["lists/", "!lists/a"], NAMES[1:3]),
        ("description", ["first"], (NAMES[0],)),
        ("description", ["DATABASE"], (NAMES[0], NAMES[3])),
        ("description", ["tabase"], ()),
        ("tag-key", ["key-"], NAMES),
        ("tag-key", ["key-a"], (NAMES[0], NAMES[1], NAMES[2], NAMES[3])),
        ("tag-key", ["Key-"], ()),
        ("tag-value", ["Value lists/b"], (NAMES[1],)),
        ("tag-value", ["value"], ()),
        ("primary-region", ["us-"], ()),
        ("owning-service", ["rds"], ()),
        ("all", ["database delta"], (NAMES[3],)),
        ("all", ["GAMMA"], (NAMES[2],)),
        ("all", ["!database"], (NAMES[1], NAMES[2])),
    ],
)
def test_filters(account: Any, key: str, values: list[str], expected: tuple[str, ...]) -> None:
    assert tuple(names(account, Filters=[{"Key": key, "Values": values}])) == expected


def test_every_filter_must_match(account: Any) -> None:
    both = [{"Key": "name", "Values": ["lists"]}, {"Key": "description", "Values": ["database"]}]
    assert names(account, Filters=both) == ["lists/alpha"]


def test_a_filter_needs_its_key_and_values(account: Any) -> None:
    for incomplete in ({"Key": "name"}, {"Values": ["x"]}):
        with refused("InvalidParameterException", "You must provide both a Key and Values for each filter."):
            account.list_secrets(Filters=[incomplete])
    with refused("ValidationException"):
        account.list_secrets(Filters=[{"Key": "colour", "Values": ["x"]}])


def test_orders(account: Any) -> None:
    assert names(account) == list(NAMES)
    assert names(account, SortOrder="desc") == [*reversed(NAMES)]
    assert names(account, SortBy="name") == sorted(NAMES)
    assert names(account, SortBy="name", SortOrder="desc") == sorted(NAMES, reverse=True)
    changed = [*NAMES[1:], NAMES[0]]
    assert names(account, SortBy="last-changed-date") == changed
    assert names(account, SortBy="last-accessed-date") == sorted(NAMES)


def test_secrets_that_are_to_be_deleted_are_listed_when_they_are_asked_for(account: Any) -> None:
    everything = account.list_secrets(IncludePlannedDeletion=True)["SecretList"]
    assert [each["Name"] for each in everything] == [*NAMES, "lists/gone"]
    assert everything[-1]["DeletedDate"] > everything[-1]["CreatedDate"]
    assert all("DeletedDate" not in each for each in everything[:-1])


@pytest.mark.parametrize("sort", ["created-date", "last-changed-date", "last-accessed-date", "name"])
@pytest.mark.parametrize("order", ["asc", "desc"])
def test_pages(account: Any, sort: str, order: str) -> None:
    request: dict[str, Any] = {"SortBy": sort, "SortOrder": order, "IncludePlannedDeletion": True}
    whole = names(account, **request)
    found: list[str] = []
    token: dict[str, str] = {}
    for _ in range(10):
        page = account.list_secrets(MaxResults=2, **request, **token)
        found += [each["Name"] for each in page["SecretList"]]
        if "NextToken" not in page:
            break
        token = {"NextToken": page["NextToken"]}
    assert found == whole
    assert len(whole) == 5


def test_a_token_is_good_for_its_own_list(account: Any) -> None:
    token = account.list_secrets(MaxResults=1)["NextToken"]
    for other in ({"SortBy": "name"}, {"SortOrder": "desc"}):
        with refused("InvalidNextTokenException", "The NextToken value is invalid."):
            account.list_secrets(NextToken=token, **other)
    with refused("InvalidNextTokenException", "The NextToken value is invalid."):
        account.list_secrets(NextToken="made-up")
    with refused("InvalidNextTokenException", "The NextToken value is invalid."):
        account.batch_get_secret_value(Filters=[{"Key": "name", "Values": ["x"]}], NextToken=token)


def test_what_a_list_shows_of_a_secret(account: Any) -> None:
    (entry,) = account.list_secrets(Filters=[{"Key": "name", "Values": ["lists/beta"]}])["SecretList"]
    assert entry["Description"] == "second queue"
    assert entry["Tags"] == [{"Key": "key-a", "Value": "Value lists/beta"}]
    assert list(entry["SecretVersionsToStages"].values()) == [["AWSCURRENT"]]
    assert "SecretString" not in entry
