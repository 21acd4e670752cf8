"""The seal: what protects the root key, chosen by the operator. Current and previous seals are given together
while a seal is rotated (``hierarchy.RootKey.unsealed`` takes any number).

A seal is written as a text or as a mapping of the same fields:

- ``keyfile:/path`` or ``{"kind": "keyfile", "path": ...}``
- ``passphrase:env:NAME``, ``passphrase:file:/path`` or ``{"kind": "passphrase", "env": ...}`` / ``{...,
  "file": ...}``; a mapping may also set the cost for the next wrap: ``memory_kib``, ``iterations``,
  ``lanes``
- a PKCS#11 URI (RFC 7512), ``pkcs11:token=T;object=K?module-path=/lib.so&pin-source=env:NAME`` (or
  ``pin-source=file:/path``), or ``{"kind": "pkcs11", "module": ..., "token": ..., "key": ..., "pin_env":
  ...}`` / ``{..., "pin_file": ...}``

No seal takes its secret from the configuration itself.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote

from casemate.engine.envelope.errors import SealError

_SECRET_LIMIT = 64 * 1024


class Seal(Protocol):
    """Wraps and unwraps the root key."""

    @property
    def id(self) -> str:
        """The kind and which instance, giving nothing away: "keyfile:3fa9c1d2b4e6"."""
        ...

    def wrap(self, key: bytes, aad: bytes) -> bytes:
        """``key`` sealed and bound to ``aad``. Raises SealError when the seal cannot be used."""
        ...

    def unwrap(self, wrapped: bytes, aad: bytes) -> bytes:
        """The key. Raises WrongSeal when this seal did not wrap it, SealError when it cannot be used."""
        ...


def open_seal(spec: str | Mapping[str, str | int]) -> Seal:
    """The seal that ``spec`` describes. Raises SealError, whose text says what to change."""
    given = dict(_parse(spec) if isinstance(spec, str) else spec)
    kind = _text(given, "kind")
    if kind == "keyfile":
        from casemate.engine.envelope.seal_keyfile import KeyFileSeal

        path = Path(_required(given, "path", kind))
        _nothing_else(given, kind)
        return KeyFileSeal.read(path)
    if kind == "passphrase":
        from casemate.engine.envelope.seal_passphrase import Cost, PassphraseSeal

        secret = secret_from(_text(given, "env"), _text(given, "file"), "passphrase")
        standard = Cost()
        cost = Cost(
            _number(given, "memory_kib", standard.memory_kib),
            _number(given, "iterations", standard.iterations),
            _number(given, "lanes", standard.lanes),
        )
        _nothing_else(given, kind)
        return PassphraseSeal(secret, cost)
    if kind == "pkcs11":
        from casemate.engine.envelope.seal_pkcs11 import Pkcs11Seal

        seal = Pkcs11Seal(
            module=_required(given, "module", kind),
            token=_required(given, "token", kind),
            key=_required(given, "key", kind),
            pin=secret_from(_text(given, "pin_env"), _text(given, "pin_file"), "PIN"),
            mechanism=_text(given, "mechanism"),
        )
        _nothing_else(given, kind)
        return seal
    raise SealError(f"a seal's kind is keyfile, passphrase or pkcs11, not {kind!r}")


def _parse(spec: str) -> dict[str, str]:
    kind, _, rest = spec.partition(":")
    if kind == "keyfile":
        return {"kind": kind, "path": rest}
    if kind == "passphrase":
        source, _, name = rest.partition(":")
        if source not in ("env", "file"):
            raise SealError("a passphrase is given as passphrase:env:NAME or passphrase:file:/path")
        return {"kind": kind, source: name}
    if kind == "pkcs11":
        return {"kind": kind, **_parse_uri(rest)}
    return {"kind": kind}


def secret_files(spec: str) -> list[Path]:
    """The files from which a seal's secret is read. Raises SealError."""
    given = _parse(spec)
    return [Path(given[name]) for name in ("path", "file", "pin_file") if given.get(name)]


_URI_FIELDS = {"token": "token", "object": "key", "module-path": "module", "x-mechanism": "mechanism"}


def _parse_uri(rest: str) -> dict[str, str]:
    path, _, query = rest.partition("?")
    found: dict[str, str] = {}
    for part in (*path.split(";"), *query.split("&")):
        name, _, value = part.partition("=")
        value = unquote(value)
        if name in _URI_FIELDS:
            found[_URI_FIELDS[name]] = value
        elif name == "pin-source":
            source, _, where = value.partition(":")
            if source not in ("env", "file"):
                raise SealError("a PKCS#11 seal's pin-source is env:NAME or file:/path")
            found[f"pin_{source}"] = where
        elif name == "pin-value":
            raise SealError(
                "a PIN does not belong into the configuration: use pin-source=env:NAME or file:/path"
            )
        elif name:
            raise SealError(
                f"a PKCS#11 seal's URI has token, object, module-path and pin-source, not {name!r}"
            )
    return found


def _text(given: dict[str, str | int], name: str) -> str | None:
    value = given.pop(name, None)
    return None if value is None else str(value)


def _required(given: dict[str, str | int], name: str, kind: str) -> str:
    value = _text(given, name)
    if not value:
        raise SealError(f"a {kind} seal needs {name!r}")
    return value


def _number(given: dict[str, str | int], name: str, standard: int) -> int:
    value = given.pop(name, standard)
    try:
        return int(value)
    except ValueError:
        raise SealError(f"a passphrase seal's {name!r} is a whole number") from None


def _nothing_else(given: Mapping[str, object], kind: str) -> None:
    if given:
        raise SealError(f"a {kind} seal has no {', '.join(sorted(map(repr, given)))}")


def secret_from(env: str | None, file: str | None, what: str) -> bytes:
    """A secret from the environment or from a file (one trailing line end is not part of it)."""
    if bool(env) == bool(file):
        raise SealError(f"the {what} comes either from a variable of the environment or from a file")
    if env:
        value = os.environ.get(env)
        if value is None:
            raise SealError(f"the {what} is expected in {env}, which is not set in the environment")
        secret = os.fsencode(value)
    else:
        secret = read_secret_file(Path(str(file)), what)
        secret = secret.removesuffix(b"\n").removesuffix(b"\r")
    if not secret:
        raise SealError(f"the {what} is empty")
    return secret


def read_secret_file(path: Path, what: str) -> bytes:
    """The content of a file that its owner alone may read. Raises SealError otherwise."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise SealError(f"the {what} {path} cannot be read: {error.strerror}") from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise SealError(f"the {what} {path} is not a file")
        if status.st_mode & (0o037 if _is_credential(path) else 0o077):
            mode = stat.S_IMODE(status.st_mode)
            raise SealError(
                f"the {what} {path} can be read by others (mode {mode:04o}); "
                f"make it yours alone: chmod 600 {path}"
            )
        return os.read(descriptor, _SECRET_LIMIT)
    finally:
        os.close(descriptor)


def _is_credential(path: Path) -> bool:
    """Whether systemd handed the file to this service (LoadCredential): its one reader is named by an ACL, whose
    mask stands where the group's permissions do."""
    directory = os.environ.get("CREDENTIALS_DIRECTORY")
    return bool(directory) and path.parent == Path(str(directory))
