"""What ``--seed FILE`` asks for: accounts, users, groups, roles, policies, access keys and KMS keys with chosen ids
and material, so that tests and CI are deterministic.

The whole file is checked before anything is written, and all that is wrong is told at once, by entry. What exists
already is left as it is, so the same file may be given at every start. docs/configuration.md shows the format.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from casemate.engine.policy import PolicyError, parse
from casemate.gate.regions import regions
from casemate.services.iam.identities import AccessKey
from casemate.services.iam.managed_policies import ADMINISTRATOR_ACCESS, aws_managed

MATERIAL_BYTES = 32

_KEY_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|mrk-[0-9a-f]{32}")
_ALIAS = re.compile(r"alias/(?!aws/)[a-zA-Z0-9/_-]{1,250}")
_USER = re.compile(r"[\w+=,.@-]{1,64}", re.ASCII)
_POLICY_NAME = re.compile(r"[\w+=,.@-]{1,128}", re.ASCII)
_ACCESS_KEY = re.compile(r"[A-Z0-9]{16,128}")
_SECRET = re.compile(r"[!-~]{8,128}")
_TAG_KEY = re.compile(r"(?!aws:)[\w\s.:/=+@-]{1,128}")
_TAG_VALUE = re.compile(r"[\w\s.:/=+@-]{0,256}")


class SeedError(Exception):
    """A seed file that cannot be used. problems: one line each, beginning with the entry."""

    def __init__(self, file: Path, problems: list[str]) -> None:
        super().__init__(f"{file} cannot be used as a seed:\n" + "\n".join(f"  {each}" for each in problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class SeedPolicy:
    """A customer managed policy."""

    name: str
    document: str


@dataclass(frozen=True, slots=True)
class SeedGroup:
    """A group. attached: ARNs of managed policies, AWS's or the account's in the seed; inline: documents by name."""

    name: str
    attached: tuple[str, ...]
    inline: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class SeedUser(SeedGroup):
    """A user. groups: names."""

    groups: tuple[str, ...]
    keys: tuple[AccessKey, ...]


@dataclass(frozen=True, slots=True)
class SeedRole(SeedGroup):
    """A role. trust: its trust policy."""

    trust: str


@dataclass(frozen=True, slots=True)
class SeedKmsKey:
    """A symmetric KMS key. material: 32 bytes, None for random ones; policy: None for the default one."""

    region: str
    id: str
    material: bytes | None = field(repr=False)
    aliases: tuple[str, ...]
    description: str
    policy: str | None
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class SeedAccount:
    """An account. root_keys: access keys of its root user."""

    id: str
    name: str
    root_keys: tuple[AccessKey, ...]
    policies: tuple[SeedPolicy, ...]
    groups: tuple[SeedGroup, ...]
    users: tuple[SeedUser, ...]
    roles: tuple[SeedRole, ...]
    kms_keys: tuple[SeedKmsKey, ...]


@dataclass(frozen=True, slots=True)
class Seed:
    """A seed file's content."""

    accounts: tuple[SeedAccount, ...]

    def administrator(self, account: str) -> AccessKey | None:
        """The access key by which the account is administered: the first of a user with AdministratorAccess, else
        the root's first, else None."""
        for each in self.accounts:
            if each.id == account:
                of_users = (user.keys for user in each.users if ADMINISTRATOR_ACCESS in user.attached)
                return next((key for keys in (*of_users, each.root_keys) for key in keys), None)
        return None


def read_seed(file: Path) -> Seed:
    """The seed in a file, TOML or (by its name) JSON. Raises SeedError."""
    try:
        content = file.read_bytes().decode()
        if file.suffix == ".json":
            data = json.loads(content)
        else:
            import tomllib

            data = tomllib.loads(content)
    except OSError as error:
        raise SeedError(file, [f"it cannot be read: {error.strerror}"]) from None
    except ValueError as error:
        # Only where: the message of a decoder may quote what it could not read.
        where = re.search(r"\(at .*\)$|line \d+ column \d+", str(error))
        kind = "JSON" if file.suffix == ".json" else "TOML"
        raise SeedError(file, [f"it is not {kind}{' ' + where[0] if where else ''}"]) from None
    reader = _Reader()
    seed = reader.seed(data)
    if reader.problems:
        raise SeedError(file, reader.problems)
    return seed


class _Reader:
    """Reads entries and gathers what is wrong with them; what it returns counts only if nothing is."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self._seen: dict[tuple[str, ...], str] = {}

    def seed(self, data: Any) -> Seed:
        if not isinstance(data, dict):
            self._problem("the file", "must be a table with a list of accounts")
            return Seed(())
        self._only(data, "the file", {"accounts"})
        accounts = [self._account(entry, where) for entry, where in self._list(data, "accounts", "")]
        return Seed(tuple(accounts))

    def _account(self, entry: dict[str, Any], where: str) -> SeedAccount:
        self._only(
            entry,
            where,
            {"id", "name", "root_access_keys", "policies", "groups", "users", "roles", "kms_keys"},
        )
        account = self._matching(entry, "id", where, re.compile(r"[0-9]{12}"), "12 digits")
        self._unique(where, "account", account)
        policies = [self._policy(each, at, account) for each, at in self._list(entry, "policies", where)]
        own = {f"arn:aws:iam::{account}:policy/{policy.name}" for policy in policies}
        attachable = own | set(aws_managed())
        groups = [
            self._group(each, at, account, attachable) for each, at in self._list(entry, "groups", where)
        ]
        known = {group.name.lower() for group in groups}
        return SeedAccount(
            account,
            self._text(entry, "name", where, "default"),
            self._access_keys(entry, "root_access_keys", where),
            tuple(policies),
            tuple(groups),
            tuple(
                self._user(each, at, account, attachable, known)
                for each, at in self._list(entry, "users", where)
            ),
            tuple(
                self._role(each, at, account, attachable) for each, at in self._list(entry, "roles", where)
            ),
            tuple(self._kms_key(each, at, account) for each, at in self._list(entry, "kms_keys", where)),
        )

    def _policy(self, entry: dict[str, Any], where: str, account: str) -> SeedPolicy:
        self._only(entry, where, {"name", "document"})
        name = self._name(entry, where, account, "policy", _POLICY_NAME, 128)
        return SeedPolicy(name, self._document(entry.get("document"), f"{where}.document", "identity"))

    def _group(self, entry: dict[str, Any], where: str, account: str, attachable: set[str]) -> SeedGroup:
        self._only(entry, where, {"name", "attached_policies", "inline_policies"})
        name = self._name(entry, where, account, "group", _POLICY_NAME, 128)
        return SeedGroup(name, self._attached(entry, where, attachable), self._inline(entry, where))

    def _user(
        self, entry: dict[str, Any], where: str, account: str, attachable: set[str], known: set[str]
    ) -> SeedUser:
        self._only(entry, where, {"name", "groups", "attached_policies", "inline_policies", "access_keys"})
        groups = self._texts(entry, "groups", where)
        for group in groups:
            if group.lower() not in known:
                self._problem(f"{where}.groups", f"there is no {group!r} among the account's groups")
        return SeedUser(
            self._name(entry, where, account, "user", _USER, 64),
            self._attached(entry, where, attachable),
            self._inline(entry, where),
            tuple(groups),
            self._access_keys(entry, "access_keys", where),
        )

    def _role(self, entry: dict[str, Any], where: str, account: str, attachable: set[str]) -> SeedRole:
        self._only(entry, where, {"name", "trust_policy", "attached_policies", "inline_policies"})
        return SeedRole(
            self._name(entry, where, account, "role", _USER, 64),
            self._attached(entry, where, attachable),
            self._inline(entry, where),
            self._document(entry.get("trust_policy"), f"{where}.trust_policy", "trust"),
        )

    def _name(
        self, entry: dict[str, Any], where: str, account: str, kind: str, pattern: re.Pattern[str], most: int
    ) -> str:
        name = self._matching(entry, "name", where, pattern, f"1 to {most} letters, digits and +=,.@_-")
        self._unique(where, kind, account, name.lower())
        return name

    def _attached(self, entry: dict[str, Any], where: str, attachable: set[str]) -> tuple[str, ...]:
        attached = self._texts(entry, "attached_policies", where)
        for arn in attached:
            if arn not in attachable:
                known = ", ".join(sorted(attachable))
                self._problem(f"{where}.attached_policies", f"there is no {arn!r}; there are: {known}")
        return tuple(attached)

    def _inline(self, entry: dict[str, Any], where: str) -> Mapping[str, str]:
        inline = {}
        policies = self._table(entry, "inline_policies", where)
        for policy, document in policies.items():
            at = f"{where}.inline_policies.{policy}"
            if not _POLICY_NAME.fullmatch(policy):
                self._problem(at, "a policy's name is 1 to 128 letters, digits and +=,.@_-")
            inline[policy] = self._document(document, at, "identity")
        return inline

    def _access_keys(self, entry: dict[str, Any], name: str, where: str) -> tuple[AccessKey, ...]:
        keys = []
        for each, at in self._list(entry, name, where):
            self._only(each, at, {"id", "secret"})
            key = AccessKey(
                self._matching(each, "id", at, _ACCESS_KEY, "16 to 128 capitals and digits, as AKIA..."),
                self._matching(each, "secret", at, _SECRET, "8 to 128 printable characters"),
            )
            self._unique(at, "access key", key.id)
            keys.append(key)
        return tuple(keys)

    def _kms_key(self, entry: dict[str, Any], where: str, account: str) -> SeedKmsKey:
        self._only(entry, where, {"id", "region", "material", "aliases", "description", "policy", "tags"})
        key_id = self._matching(
            entry, "id", where, _KEY_ID, "a key id, as 1234abcd-12ab-34cd-56ef-1234567890ab"
        )
        region = self._text(entry, "region", where, "us-east-1")
        if region not in regions():
            self._problem(f"{where}.region", "must be an AWS Region, as us-east-1")
        self._unique(where, "KMS key", account, region, key_id)
        material = None
        if "material" in entry:
            try:
                material = base64.b64decode(self._text(entry, "material", where), validate=True)
            except (binascii.Error, ValueError):
                material = b""
            if len(material) != MATERIAL_BYTES:
                self._problem(f"{where}.material", f"must be {MATERIAL_BYTES} bytes in base64")
        aliases = self._texts(entry, "aliases", where)
        for alias in aliases:
            if not _ALIAS.fullmatch(alias):
                self._problem(f"{where}.aliases", f"{alias!r} is not an alias, as alias/my-key")
            self._unique(f"{where}.aliases", "alias", account, region, alias)
        description = self._text(entry, "description", where, "")
        if len(description) > 8192:
            self._problem(f"{where}.description", "must have at most 8192 characters")
        tags = self._table(entry, "tags", where)
        for tag, value in tags.items():
            if not _TAG_KEY.fullmatch(tag) or not isinstance(value, str) or not _TAG_VALUE.fullmatch(value):
                self._problem(f"{where}.tags.{tag}", "is not a tag that KMS accepts")
        policy = None
        if "policy" in entry:
            policy = self._document(entry["policy"], f"{where}.policy", "key")
        return SeedKmsKey(region, key_id, material, tuple(aliases), description, policy, tags)

    def _document(self, value: Any, where: str, kind: Any) -> str:
        """A policy, as text or as a table."""
        document = value if isinstance(value, str) else json.dumps(value, default=str)
        try:
            parse(document, kind)
        except PolicyError as error:
            self._problem(where, error.message)
        return document

    def _list(self, entry: Mapping[str, Any], name: str, where: str) -> Iterator[tuple[dict[str, Any], str]]:
        """The entries of a list of tables, each with its place in the file."""
        place = f"{where}.{name}" if where else name
        values = entry.get(name, [])
        if not isinstance(values, list):
            self._problem(place, "must be a list of tables")
            return
        for index, value in enumerate(values):
            at = f"{place}[{index}]"
            if isinstance(value, dict):
                yield value, at
            else:
                self._problem(at, "must be a table")

    def _table(self, entry: Mapping[str, Any], name: str, where: str) -> dict[str, Any]:
        value = entry.get(name, {})
        if isinstance(value, dict):
            return value
        self._problem(f"{where}.{name}", "must be a table")
        return {}

    def _texts(self, entry: Mapping[str, Any], name: str, where: str) -> Sequence[str]:
        value = entry.get(name, [])
        if isinstance(value, list) and all(isinstance(each, str) for each in value):
            return value
        self._problem(f"{where}.{name}", "must be a list of texts")
        return []

    def _text(self, entry: Mapping[str, Any], name: str, where: str, default: str | None = None) -> str:
        value = entry.get(name, default)
        if isinstance(value, str):
            return value
        self._problem(f"{where}.{name}", "is missing" if value is None else "must be a text")
        return ""

    def _matching(
        self, entry: Mapping[str, Any], name: str, where: str, pattern: re.Pattern[str], allowed: str
    ) -> str:
        value = entry.get(name)
        if isinstance(value, str) and pattern.fullmatch(value):
            return value
        # Not the value: it may be a secret.
        self._problem(f"{where}.{name}", "is missing" if value is None else f"must be {allowed}")
        return ""

    def _only(self, entry: Mapping[str, Any], where: str, allowed: set[str]) -> None:
        for name in entry:
            if name not in allowed:
                self._problem(where, f"knows no {name!r}, but {', '.join(sorted(allowed))}")

    def _unique(self, where: str, what: str, *name: str) -> None:
        if not all(name):
            return
        first = self._seen.setdefault((what, *name), where)
        if first != where:
            self._problem(where, f"is the same {what} as {first}")

    def _problem(self, where: str, what: str) -> None:
        self.problems.append(f"{where}: {what}")
