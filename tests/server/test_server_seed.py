"""Seeds: all of a file is checked, all that is wrong is told by entry, nothing that exists is touched."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from casemate.server.composition import Opened, open_data
from casemate.server.config import Config
from casemate.server.credentials_file import read_credentials
from casemate.server.first_start import first_start, prepare_data
from casemate.server.seed import Seed, SeedError, read_seed
from casemate.services.iam.directory import IamDirectory
from casemate.services.iam.identities import AccessKey

ADMIN = "arn:aws:iam::aws:policy/AdministratorAccess"
KEY_ID = "1234abcd-12ab-34cd-56ef-1234567890ab"
MATERIAL = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"

TOML = f"""
[[accounts]]
id = "111122223333"
name = "test"

[[accounts.users]]
name = "alice"
attached_policies = ["{ADMIN}"]
access_keys = [{{ id = "AKIAIOSFODNN7EXAMPLE", secret = "{SECRET}" }}]

[[accounts.users]]
name = "bob"
access_keys = [{{ id = "AKIAI44QH8DHBEXAMPLE", secret = "{SECRET}" }}]
[accounts.users.inline_policies.encrypt-only]
Version = "2012-10-17"
Statement = [{{ Effect = "Allow", Action = "kms:Encrypt", Resource = "*" }}]

[[accounts.kms_keys]]
id = "{KEY_ID}"
region = "eu-central-1"
material = "{MATERIAL}"
aliases = ["alias/app"]
description = "for tests"
tags = {{ stage = "test" }}
"""


def seed_file(tmp_path: Path, content: str | dict[str, Any]) -> Path:
    file = tmp_path / ("seed.toml" if isinstance(content, str) else "seed.json")
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return file


def problems(tmp_path: Path, content: str | dict[str, Any]) -> list[str]:
    with pytest.raises(SeedError) as refused:
        read_seed(seed_file(tmp_path, content))
    return refused.value.problems


def account(**members: Any) -> dict[str, Any]:
    return {"accounts": [{"id": "111122223333", **members}]}


def opened_with(tmp_path: Path, seed: Seed | None, **settings: Any) -> Opened:
    config = Config(data=tmp_path / "data", **settings)
    prepare_data(config)
    return open_data(config, seed)


def test_a_seed_makes_what_it_names(tmp_path: Path) -> None:
    opened = opened_with(tmp_path, read_seed(seed_file(tmp_path, TOML)))
    try:
        administrator = first_start(opened)
        assert administrator is not None
        assert administrator.account == "111122223333"
        assert administrator.key.id == "AKIAIOSFODNN7EXAMPLE", "the seed's administrator is the server's"
        assert read_credentials(tmp_path / "data") == administrator
        directory = IamDirectory(opened.store, opened.keyring)
        bob = opened.store.read(lambda tx: directory.credential("AKIAI44QH8DHBEXAMPLE", tx))
        assert bob is not None
        assert bob.secret == SECRET
        assert bob.identity.principal.arn == "arn:aws:iam::111122223333:user/bob"
        assert len(bob.identity.attached.identity) == 1
        key = opened.store.read(lambda tx: opened.keys.load(tx, "111122223333", "eu-central-1", KEY_ID))
        assert key is not None
        assert key.aliases == ("alias/app",)
        assert dict(key.tags()) == {"stage": "test"}
        users = opened.store.read(
            lambda tx: tx.all("SELECT name FROM iam_entities WHERE kind = 'user' ORDER BY name")
        )
        assert users == [("alice",), ("bob",)], "no random administrator beside the seed's"
    finally:
        opened.close()


def test_a_seed_makes_groups_roles_and_policies(tmp_path: Path) -> None:
    allow = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "kms:*", "Resource": "*"}]}
    root = {"AWS": ["arn:aws:iam::111122223333:user/bob", "arn:aws:iam::111122223333:user/nobody"]}
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": root}
    own = "arn:aws:iam::111122223333:policy/own"
    content = account(
        policies=[{"name": "own", "document": allow}],
        groups=[{"name": "Crew", "attached_policies": [own], "inline_policies": {"in": allow}}],
        users=[{"name": "bob", "groups": ["crew"], "access_keys": [ACCESS_KEY]}],
        roles=[
            {
                "name": "ops",
                "trust_policy": {"Version": "2012-10-17", "Statement": trust},
                "attached_policies": [own, ADMIN],
            }
        ],
    )
    opened = opened_with(tmp_path, read_seed(seed_file(tmp_path, content)))
    try:
        first_start(opened)
        directory = IamDirectory(opened.store, opened.keyring)
        bob = opened.store.read(lambda tx: directory.credential(ACCESS_KEY["id"], tx))
        assert bob is not None
        assert [policy.name for policy in bob.identity.attached.identity] == [own, "in"]
        role = opened.store.read(lambda tx: directory.role("111122223333", "ops", tx))
        assert role is not None
        assert [policy.name for policy in role.attached.identity] == [own, ADMIN]
        assert list(role.trust.principals()) == [
            ("AWS", bob.identity.principal.id),
            ("AWS", "arn:aws:iam::111122223333:user/nobody"),
        ], "who exists is meant by id"
    finally:
        opened.close()


def test_a_seed_given_again_changes_nothing(tmp_path: Path) -> None:
    def rows(opened: Opened) -> list[list[Any]]:
        return opened.store.read(
            lambda tx: [
                tx.all(f"SELECT * FROM {table} ORDER BY 1, 2")
                for table in ("accounts", "iam_entities", "iam_access_keys", "kms_keys", "kms_aliases")
            ]
        )

    seed = read_seed(seed_file(tmp_path, TOML))
    opened = opened_with(tmp_path, seed)
    first_start(opened)
    before = rows(opened)
    opened.close()
    opened = open_data(Config(data=tmp_path / "data"), seed)
    try:
        assert first_start(opened) is None
        assert rows(opened) == before
    finally:
        opened.close()


def test_a_seed_adds_to_a_server_that_has_an_account(tmp_path: Path) -> None:
    opened = opened_with(tmp_path, None)
    made = first_start(opened)
    opened.close()
    opened = open_data(Config(data=tmp_path / "data"), read_seed(seed_file(tmp_path, TOML)))
    try:
        assert first_start(opened) is None
        assert read_credentials(tmp_path / "data") == made, "the administrator stays who it was"
        directory = IamDirectory(opened.store, opened.keyring)
        assert opened.store.read(lambda tx: directory.credential("AKIAIOSFODNN7EXAMPLE", tx)) is not None
    finally:
        opened.close()


def test_a_seed_without_an_administrator_gets_a_random_one_in_its_first_account(tmp_path: Path) -> None:
    content = account(users=[{"name": "admin"}])
    opened = opened_with(tmp_path, read_seed(seed_file(tmp_path, content)))
    try:
        administrator = first_start(opened)
        assert administrator is not None
        assert administrator.account == "111122223333"
        directory = IamDirectory(opened.store, opened.keyring)
        credential = opened.store.read(lambda tx: directory.credential(administrator.key.id, tx))
        assert credential is not None
        arn = credential.identity.principal.arn
        assert arn.endswith(":user/casemate-admin"), "not the seed's user of the usual name"
    finally:
        opened.close()


def test_the_root_can_be_the_administrator(tmp_path: Path) -> None:
    root = {"id": "AKIAIOSFODNN7EXAMPLE", "secret": SECRET}
    seed = read_seed(seed_file(tmp_path, account(root_access_keys=[root])))
    assert seed.administrator("111122223333") == AccessKey(root["id"], root["secret"])
    assert seed.administrator("444455556666") is None


def test_an_account_that_the_settings_name_is_the_administrators(tmp_path: Path) -> None:
    opened = opened_with(tmp_path, read_seed(seed_file(tmp_path, TOML)), account="999988887777")
    try:
        administrator = first_start(opened)
        assert administrator is not None
        assert administrator.account == "999988887777"
        assert administrator.key.id != "AKIAIOSFODNN7EXAMPLE"
        accounts = opened.store.read(lambda tx: tx.all("SELECT id FROM accounts ORDER BY id"))
        assert accounts == [("111122223333",), ("999988887777",)]
    finally:
        opened.close()


KEY = {"id": KEY_ID}
ACCESS_KEY = {"id": "AKIAIOSFODNN7EXAMPLE", "secret": SECRET}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"acounts": []}, "the file: knows no 'acounts'"),
        ({"accounts": 5}, "accounts: must be a list"),
        ({"accounts": [5]}, "accounts[0]: must be a table"),
        ({"accounts": [{}]}, "accounts[0].id: is missing"),
        ({"accounts": [{"id": "12"}]}, "accounts[0].id: must be 12 digits"),
        (
            {"accounts": [{"id": "1" * 12}, {"id": "1" * 12}]},
            "accounts[1]: is the same account as accounts[0]",
        ),
        (account(users=[{"name": "no spaces"}]), "accounts[0].users[0].name"),
        (account(users=[{"name": "a"}, {"name": "A"}]), "accounts[0].users[1]: is the same user"),
        (
            account(users=[{"name": "a", "attached_policies": ["arn:x"]}]),
            "users[0].attached_policies: there is no",
        ),
        (account(users=[{"name": "a", "inline_policies": {"p": {}}}]), "users[0].inline_policies.p"),
        (account(users=[{"name": "a", "inline_policies": {"p": "{"}}]), "users[0].inline_policies.p"),
        (account(users=[{"name": "a", "access_keys": [{"id": "short"}]}]), "access_keys[0].id: must be"),
        (
            account(users=[{"name": "a", "access_keys": [{"id": "A" * 20}]}]),
            "access_keys[0].secret: is missing",
        ),
        (
            account(users=[{"name": "a", "access_keys": [ACCESS_KEY, ACCESS_KEY]}]),
            "access_keys[1]: is the same access key",
        ),
        (account(users=[{"name": "a", "groups": ["g"]}]), "users[0].groups: there is no 'g' among"),
        (account(groups=[{"name": "g"}, {"name": "G"}]), "groups[1]: is the same group"),
        (account(roles=[{"name": "r"}]), "roles[0].trust_policy: "),
        (account(roles=[{"name": "r", "trust_policy": {}}]), "roles[0].trust_policy: "),
        (account(policies=[{"name": "p", "document": "{"}]), "policies[0].document: "),
        (account(policies=[{"name": "p"}]), "policies[0].document: "),
        (account(kms_keys=[{"id": "not-a-key"}]), "kms_keys[0].id: must be a key id"),
        (account(kms_keys=[KEY, KEY]), "kms_keys[1]: is the same KMS key"),
        (account(kms_keys=[{**KEY, "region": "mars-1"}]), "kms_keys[0].region"),
        (account(kms_keys=[{**KEY, "material": "AAAA"}]), "kms_keys[0].material: must be 32 bytes"),
        (account(kms_keys=[{**KEY, "material": "not base64"}]), "kms_keys[0].material"),
        (account(kms_keys=[{**KEY, "aliases": ["app"]}]), "kms_keys[0].aliases: 'app' is not an alias"),
        (account(kms_keys=[{**KEY, "aliases": ["alias/aws/s3"]}]), "is not an alias"),
        (
            account(
                kms_keys=[{**KEY, "aliases": ["alias/a"]}, {"id": KEY_ID[:-1] + "c", "aliases": ["alias/a"]}]
            ),
            "kms_keys[1].aliases: is the same alias",
        ),
        (account(kms_keys=[{**KEY, "policy": {"Version": "2012-10-17"}}]), "kms_keys[0].policy"),
        (account(kms_keys=[{**KEY, "tags": {"aws:x": "1"}}]), "kms_keys[0].tags.aws:x"),
        (account(kms_keys=[{**KEY, "tags": {"x": 1}}]), "kms_keys[0].tags.x"),
        (account(kms_keys=[{**KEY, "description": "x" * 8193}]), "kms_keys[0].description"),
    ],
)
def test_a_wrong_entry_is_named(tmp_path: Path, content: dict[str, Any], told: str) -> None:
    assert told in "\n".join(problems(tmp_path, content))


def test_everything_wrong_is_told_at_once(tmp_path: Path) -> None:
    told = problems(tmp_path, account(users=[{"name": "?"}], kms_keys=[{"id": "x", "material": "y"}]))
    assert len(told) == 3


def test_no_secret_is_told(tmp_path: Path) -> None:
    bad = {"id": "AKIAIOSFODNN7EXAMPLE", "secret": "has space"}
    told = problems(
        tmp_path, account(users=[{"name": "a", "access_keys": [bad]}], kms_keys=[{**KEY, "material": "s3cr"}])
    )
    assert "has space" not in "\n".join(told)
    assert "s3cr" not in "\n".join(told)
    told = problems(tmp_path, "secret = hunter2")
    assert told == ["it is not TOML (at line 1, column 10)"]


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(SeedError, match="cannot be read"):
        read_seed(tmp_path / "nowhere.toml")


def test_material_does_not_show_in_a_repr(tmp_path: Path) -> None:
    assert "material" not in repr(read_seed(seed_file(tmp_path, TOML)))
    assert SECRET not in repr(read_seed(seed_file(tmp_path, TOML)))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "id",
                    "name",
                    "users",
                    "groups",
                    "roles",
                    "policies",
                    "kms_keys",
                    "access_keys",
                    "policy",
                    "x",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(entries=JSON)
def test_any_content_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, entries: Any) -> None:
    file = tmp_path_factory.getbasetemp() / "any-seed.json"
    file.write_text(json.dumps({"accounts": entries}))
    try:
        seed = read_seed(file)
    except SeedError:
        pass
    else:
        assert len(seed.accounts) == len(entries)
