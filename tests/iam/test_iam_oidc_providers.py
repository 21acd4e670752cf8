"""OpenID Connect identity providers by boto3."""

from __future__ import annotations

from typing import Any

import pytest
from iam_support import ACCOUNT, OTHER_ACCOUNT, Iam, name, tags
from server_support import refused


def url() -> str:
    return f"https://{name('issuer')}.example.com"


def arn_of(address: str) -> str:
    return f"arn:aws:iam::{ACCOUNT}:oidc-provider/{address.removeprefix('https://')}"


def test_a_provider(iam: Iam) -> None:
    address = url() + "/tenant/a"
    made = iam.admin.create_open_id_connect_provider(
        Url=address + "/",
        ClientIDList=["one", "two", "one"],
        ThumbprintList=["A" * 40],
        Tags=tags(team="red"),
    )
    arn = made["OpenIDConnectProviderArn"]
    assert arn == arn_of(address)
    assert made["Tags"] == tags(team="red")
    shown = iam.admin.get_open_id_connect_provider(OpenIDConnectProviderArn=arn)
    assert shown["Url"] == address.removeprefix("https://")
    assert (shown["ClientIDList"], shown["ThumbprintList"]) == (["one", "two"], ["a" * 40])
    assert (shown["Tags"], shown["CreateDate"].tzinfo is not None) == (tags(team="red"), True)
    listed = iam.admin.list_open_id_connect_providers()["OpenIDConnectProviderList"]
    assert {"Arn": arn} in listed
    with refused("EntityAlreadyExists", f"Provider with url {address} already exists.", 409):
        iam.admin.create_open_id_connect_provider(Url=address)


def test_changes_of_a_provider(iam: Iam) -> None:
    client = iam.admin
    arn = client.create_open_id_connect_provider(Url=url())["OpenIDConnectProviderArn"]

    def shown() -> Any:
        return client.get_open_id_connect_provider(OpenIDConnectProviderArn=arn)

    for _ in range(2):
        client.add_client_id_to_open_id_connect_provider(OpenIDConnectProviderArn=arn, ClientID="app")
        assert shown()["ClientIDList"] == ["app"]
    for _ in range(2):
        client.remove_client_id_from_open_id_connect_provider(OpenIDConnectProviderArn=arn, ClientID="app")
        assert shown()["ClientIDList"] == []
    client.update_open_id_connect_provider_thumbprint(OpenIDConnectProviderArn=arn, ThumbprintList=["b" * 40])
    assert shown()["ThumbprintList"] == ["b" * 40]
    client.tag_open_id_connect_provider(OpenIDConnectProviderArn=arn, Tags=tags(team="red", stage="test"))
    client.untag_open_id_connect_provider(OpenIDConnectProviderArn=arn, TagKeys=["stage", "absent"])
    listed = client.list_open_id_connect_provider_tags(OpenIDConnectProviderArn=arn)
    assert (listed["Tags"], listed["IsTruncated"]) == (tags(team="red"), False)
    # Deleting what is not there is no error.
    for _ in range(2):
        client.delete_open_id_connect_provider(OpenIDConnectProviderArn=arn)
    with refused("NoSuchEntity", f"OpenIDConnect Provider not found for arn {arn}", 404):
        shown()


@pytest.mark.parametrize(
    "address",
    [
        "http://issuer.example.com",
        "issuer.example.com",
        "https://",
        "https:///path",
        "https://issuer.example.com?x=1",
        "https://issuer.example.com/#x",
        "https://user@issuer.example.com",
        "https://issuer example.com",
    ],
)
def test_addresses_of_no_issuer(iam: Iam, address: str) -> None:
    with refused("InvalidInput", "Invalid Open ID Connect Provider URL"):
        iam.admin.create_open_id_connect_provider(Url=address)


def test_limits_of_a_provider(iam: Iam) -> None:
    with refused("InvalidInput", "Invalid thumbprint"):
        iam.admin.create_open_id_connect_provider(Url=url(), ThumbprintList=["x" * 40])
    with refused("InvalidInput", "Thumbprint list must contain fewer than 5 entries."):
        iam.admin.create_open_id_connect_provider(Url=url(), ThumbprintList=["a" * 40] * 6)
    with refused("LimitExceeded", "Cannot exceed quota for ClientIdsPerOpenIdConnectProvider: 100", 409):
        iam.admin.create_open_id_connect_provider(Url=url(), ClientIDList=[f"app-{n}" for n in range(101)])
    with refused("InvalidInput", "Invalid ARN: arn:aws:iam::111122223333:user/admin"):
        iam.admin.get_open_id_connect_provider(
            OpenIDConnectProviderArn="arn:aws:iam::111122223333:user/admin"
        )
    foreign = arn_of(url()).replace(ACCOUNT, OTHER_ACCOUNT)
    with refused("AccessDenied", status=403):
        iam.admin.get_open_id_connect_provider(OpenIDConnectProviderArn=foreign)
