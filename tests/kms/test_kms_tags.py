"""Tags by a real client."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kms_support import Kms, refused


def tags(**named: str) -> list[dict[str, str]]:
    return [{"TagKey": name, "TagValue": value} for name, value in named.items()]


def tags_of(kms: Kms, key_id: str, **parameters: Any) -> Mapping[str, str]:
    answer = kms.of().list_resource_tags(KeyId=key_id, **parameters)
    return {tag["TagKey"]: tag["TagValue"] for tag in answer["Tags"]}


def test_tags_are_added_replaced_and_removed(kms: Kms) -> None:
    key_id = kms.key(Tags=tags(team="red", cost=""))["KeyId"]
    assert tags_of(kms, key_id) == {"team": "red", "cost": ""}
    kms.of().tag_resource(KeyId=key_id, Tags=tags(team="blue", Team="case matters", größe="ja"))
    kms.of().untag_resource(KeyId=key_id, TagKeys=["cost", "never there"])
    assert tags_of(kms, key_id) == {"team": "blue", "Team": "case matters", "größe": "ja"}


def test_what_a_tag_may_be(kms: Kms) -> None:
    key_id, client = kms.key()["KeyId"], kms.of()
    for name in ("aws:created", "AWS:x"):
        with refused("TagException", "Tags beginning with aws: are reserved"):
            client.tag_resource(KeyId=key_id, Tags=[{"TagKey": name, "TagValue": "x"}])
        with refused("TagException", "Tags beginning with aws: are reserved"):
            kms.key(Tags=[{"TagKey": name, "TagValue": "x"}])
        with refused("TagException", "Tags beginning with aws: are reserved"):
            client.untag_resource(KeyId=key_id, TagKeys=[name])
    with refused("TagException", "Duplicate tag keys"):
        client.tag_resource(KeyId=key_id, Tags=[*tags(a="1"), *tags(a="2")])
    for tag in ({"TagKey": "k" * 129, "TagValue": ""}, {"TagKey": "k", "TagValue": "v" * 257}):
        with refused("ValidationException"):
            client.tag_resource(KeyId=key_id, Tags=[tag])
    assert tags_of(kms, key_id) == {}


def test_a_key_has_50_tags_at_most(kms: Kms) -> None:
    many = {f"tag-{number:02}": str(number) for number in range(50)}
    key_id, client = kms.key(Tags=tags(**many))["KeyId"], kms.of()
    client.tag_resource(KeyId=key_id, Tags=tags(**{"tag-00": "replaced"}))
    with refused("TagException", "Too many tags"):
        client.tag_resource(KeyId=key_id, Tags=tags(one="more"))
    with refused("TagException", "Too many tags"):
        kms.key(Tags=tags(one="more", **many))
    assert tags_of(kms, key_id) == many | {"tag-00": "replaced"}


def test_tags_are_listed_in_pages(kms: Kms) -> None:
    key_id, client = kms.key(Tags=tags(a="1", b="2", c="3"))["KeyId"], kms.of()
    first = client.list_resource_tags(KeyId=key_id, Limit=2)
    assert first["Tags"] == tags(a="1", b="2")
    assert first["Truncated"] is True
    second = client.list_resource_tags(KeyId=key_id, Limit=2, Marker=first["NextMarker"])
    assert second["Tags"] == tags(c="3")
    assert second["Truncated"] is False
    with refused(
        "ValidationException",
        "1 validation error detected: Value '51' at 'limit' failed to satisfy constraint: Member must have "
        "value less than or equal to 50",
    ):
        client.list_resource_tags(KeyId=key_id, Limit=51)
    with refused("InvalidMarkerException"):
        client.list_resource_tags(KeyId=key_id, Marker="nonsense")
