"""Bundles of settings and secrets, wherever they are: values by name, in which slashes make hierarchies.

    ssm:/app/prod         the parameters below a path, by their names from there
    secret:NAME           the members of a secret that is a JSON object
    dotenv:FILE           a file of NAME=value lines; - is standard input or output
    json:FILE             a JSON object, whose objects are hierarchies
    vault:MOUNT/PATH      what a path of a KV secrets engine holds

What JSON has besides strings is kept among JSON, and is its JSON text elsewhere.
"""

from __future__ import annotations

import argparse
import json
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from casemate.cli import dotenv
from casemate.cli.problems import CommandError
from casemate.cli.shell_clients import ShellClients

Values = Mapping[str, Any]
"""Strings, and what else JSON has but objects."""


class Changes(NamedTuple):
    """What is to become of a bundle. new: all that it will hold; put: what is another value, or a new one; gone:
    names that it will not have any more."""

    new: Values
    put: Values
    gone: frozenset[str]


def text_of(value: Any) -> str:
    """A value where there are only strings."""
    return value if isinstance(value, str) else json.dumps(value)


class Bundle(ABC):
    """One place."""

    name = ""

    @abstractmethod
    def read(self) -> dict[str, Any] | None:
        """What it holds, None where there is nothing. Raises CommandError."""

    @abstractmethod
    def write(self, changes: Changes) -> None:
        """Change it. It has been read before. Raises CommandError."""


def bundle(text: str, options: argparse.Namespace, clients: ShellClients | None) -> Bundle:
    """What a command's argument names. clients: None makes them when they are needed."""
    kind, colon, rest = text.partition(":")
    if not colon or kind not in _KINDS or not rest:
        raise CommandError(
            f"{text!r} names no place",
            "Name one as ssm:/path, secret:NAME, dotenv:FILE, json:FILE or vault:MOUNT/PATH.",
            status=2,
        )
    return _KINDS[kind](rest, options, clients)


# --- hierarchies


def flattened(document: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The values of an object and of the objects in it, by their paths."""
    found: dict[str, Any] = {}
    for name, value in document.items():
        path = f"{prefix}{name}"
        if not name or "/" in name:
            raise CommandError(f"the name {path!r} cannot be used: it is empty, or has a slash")
        if isinstance(value, dict):
            found |= flattened(value, f"{path}/")
        else:
            found[path] = value
    return found


def nested(values: Values) -> dict[str, Any]:
    """The objects that flatten to these values."""
    document: dict[str, Any] = {}
    for path, value in values.items():
        *parents, name = path.split("/")
        inner = document
        for parent in parents:
            inner = inner.setdefault(parent, {})
            if not isinstance(inner, dict):
                raise CommandError(f"{path!r} is below a name that has a value of its own")
        if isinstance(inner.get(name), dict):
            raise CommandError(f"{path!r} has a value, and there are others below it")
        inner[name] = value
    return document


def _object(text: str, what: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise CommandError(f"{what} is no JSON object")
    return document


# --- the places


class Parameters(Bundle):
    """Those below a path. New ones are SecureStrings unless options say otherwise."""

    def __init__(self, path: str, options: argparse.Namespace, clients: ShellClients | None) -> None:
        if not path.startswith("/") or path.startswith("/aws/"):
            raise CommandError(f"{path!r} is no path of parameters of your own", status=2)
        self._path = path.rstrip("/")
        self.name = f"ssm:{self._path or '/'}"
        self._options = options
        self._clients = clients or ShellClients(options)
        self._client = self._clients.client("ssm")
        self._there: frozenset[str] = frozenset()

    def read(self) -> dict[str, Any] | None:
        pages = self._client.get_paginator("get_parameters_by_path").paginate(
            Path=self._path or "/", Recursive=True, WithDecryption=True
        )
        with self._clients.asking():
            found = {each["Name"]: each["Value"] for page in pages for each in page["Parameters"]}
        values = {name.removeprefix(f"{self._path}/"): value for name, value in found.items()}
        self._there = frozenset(values)
        return values or None

    def write(self, changes: Changes) -> None:
        with self._clients.asking():
            for name, each in changes.put.items():
                value = text_of(each)
                if name in self._there:
                    self._client.put_parameter(
                        Name=f"{self._path}/{name}", Value=value, Overwrite=True, Tier="Intelligent-Tiering"
                    )
                    continue
                kind: dict[str, str] = {"Type": self._options.type}
                if self._options.key_id and self._options.type == "SecureString":
                    kind["KeyId"] = self._options.key_id
                self._client.put_parameter(
                    Name=f"{self._path}/{name}", Value=value, Tier="Intelligent-Tiering", **kind
                )
            gone = sorted(changes.gone)
            for first in range(0, len(gone), 10):
                names = [f"{self._path}/{name}" for name in gone[first : first + 10]]
                self._client.delete_parameters(Names=names)


class Secret(Bundle):
    """A secret of Secrets Manager. One that is no JSON object is one value, by the last part of the secret's name."""

    def __init__(self, name: str, options: argparse.Namespace, clients: ShellClients | None) -> None:
        self.name = f"secret:{name}"
        self._id = name
        self._options = options
        self._clients = clients or ShellClients(options)
        self._client = self._clients.client("secretsmanager")
        self._exists = False

    def read(self) -> dict[str, Any] | None:
        with self._clients.asking():
            try:
                answer = self._client.get_secret_value(SecretId=self._id)
            except self._client.exceptions.ResourceNotFoundException:
                return None
        self._exists = True
        if "SecretString" not in answer:
            raise CommandError(f"{self.name} is binary")
        text: str = answer["SecretString"]
        try:
            document = json.loads(text)
        except ValueError:
            document = None
        if isinstance(document, dict):
            return flattened(document)
        return {answer["Name"].rpartition("/")[2]: text}

    def write(self, changes: Changes) -> None:
        text = json.dumps(nested(changes.new))
        with self._clients.asking():
            if self._exists:
                self._client.put_secret_value(SecretId=self._id, SecretString=text)
            else:
                key = {"KmsKeyId": self._options.key_id} if self._options.key_id else {}
                self._client.create_secret(Name=self._id, SecretString=text, **key)


class _File(Bundle):
    """A file that only its owner may read, or standard input and output."""

    kind = ""

    def __init__(self, name: str) -> None:
        self.name = f"{self.kind}:{name}"
        self._file = None if name == "-" else Path(name)

    def read(self) -> dict[str, Any] | None:
        if self._file is None:
            return self.parsed(sys.stdin.read())
        try:
            return self.parsed(self._file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except UnicodeDecodeError:
            raise CommandError(f"{self._file} is not in UTF-8") from None
        except OSError as error:
            raise CommandError(f"{self._file} cannot be read: {error.strerror}") from None

    def write(self, changes: Changes) -> None:
        from casemate.cli.whole_file import whole_file

        text = self.rendered(changes.new)
        if self._file is None:
            sys.stdout.write(text)
            return
        try:
            with whole_file(self._file.absolute(), 0o600, replace=True) as file:
                file.write(text.encode())
        except OSError as error:
            raise CommandError(f"{self._file} cannot be written: {error.strerror}") from None

    @abstractmethod
    def parsed(self, text: str) -> dict[str, Any]: ...

    @abstractmethod
    def rendered(self, values: Values) -> str: ...


class Dotenv(_File):
    """Names in capitals, with underscores for all else."""

    kind = "dotenv"

    def parsed(self, text: str) -> dict[str, Any]:
        try:
            return dotenv.parse(text)
        except dotenv.NotDotenv as error:
            raise CommandError(f"{self.name}: {error}") from None

    def rendered(self, values: Values) -> str:
        return dotenv.render(values)


class Json(_File):
    kind = "json"

    def parsed(self, text: str) -> dict[str, Any]:
        return flattened(_object(text, self.name))

    def rendered(self, values: Values) -> str:
        return json.dumps(nested(values), indent=2, ensure_ascii=False) + "\n"


class VaultPath(Bundle):
    """A path of a KV secrets engine."""

    def __init__(self, path: str) -> None:
        from casemate.cli.vault_kv import Held, Vault

        self.name = f"vault:{path}"
        self._path = path.strip("/")
        self._vault = Vault()
        self._held = Held(None, 0)

    def read(self) -> dict[str, Any] | None:
        self._held = self._vault.read(self._path)
        return None if self._held.data is None else flattened(self._held.data)

    def write(self, changes: Changes) -> None:
        self._vault.write(self._path, nested(changes.new), self._held)


_KINDS: Mapping[str, Callable[[str, argparse.Namespace, ShellClients | None], Bundle]] = {
    "ssm": Parameters,
    "secret": Secret,
    "dotenv": lambda rest, *_: Dotenv(rest),
    "json": lambda rest, *_: Json(rest),
    "vault": lambda rest, *_: VaultPath(rest),
}


def variable(name: str) -> str:
    """An environment variable's name for a value's: capitals, and an underscore for all that no variable has."""
    found = "".join(each if each.isascii() and each.isalnum() else "_" for each in name).upper()
    return f"_{found}" if found[:1].isdigit() else found


def variables(values: Values, name: str) -> dict[str, str]:
    """Values by their variables. Raises CommandError when two have the same."""
    found: dict[str, str] = {}
    for path, value in values.items():
        made = variable(path)
        if made in found:
            raise CommandError(f"{name} has two names that make the variable {made}")
        found[made] = text_of(value)
    return found
