"""Vault's and OpenBao's KV secrets engines, versions 1 and 2, by their HTTP API."""

from __future__ import annotations

import json
import os
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from pathlib import Path
from typing import Any, NamedTuple

from casemate.cli.problems import CommandError

_LARGEST = 4 * 1024 * 1024
_SECONDS = 30


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """The token goes to the server that was named, and to no other."""

    def redirect_request(
        self,
        req: urllib.request.Request,  # noqa: ARG002
        fp: Any,  # noqa: ARG002
        code: int,  # noqa: ARG002
        msg: str,  # noqa: ARG002
        headers: Any,  # noqa: ARG002
        newurl: str,  # noqa: ARG002
    ) -> None:
        return None


class Held(NamedTuple):
    """What a path holds. data: None for nothing; version: of it, with version 2 of the engine."""

    data: Mapping[str, Any] | None
    version: int


class Vault:
    """A server, as its own command finds it: VAULT_ADDR or BAO_ADDR, VAULT_TOKEN or BAO_TOKEN or ~/.vault-token,
    VAULT_NAMESPACE or BAO_NAMESPACE, VAULT_CACERT or BAO_CACERT."""

    def __init__(self) -> None:
        address = _variable("ADDR")
        if not address.startswith(("https://", "http://")):
            raise CommandError(
                "where is the Vault or OpenBao server?",
                "Set VAULT_ADDR or BAO_ADDR to its https:// address.",
                status=2,
            )
        token = _variable("TOKEN") or _token_file()
        if not token:
            raise CommandError("there is no token", "Set VAULT_TOKEN or BAO_TOKEN, or log in.", status=2)
        self._address = address.rstrip("/")
        self._headers = {"X-Vault-Token": token, "X-Vault-Request": "true"}
        if namespace := _variable("NAMESPACE"):
            self._headers["X-Vault-Namespace"] = namespace
        context = ssl.create_default_context(cafile=_variable("CACERT") or None)
        self._opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context), _NoRedirects)

    def read(self, path: str) -> Held:
        """What MOUNT/PATH holds."""
        mount, rest, version = self._place(path)
        if version == 1:
            answer = self._ask("GET", f"{mount}/{rest}")
            return Held(None if answer is None else answer["data"], 0)
        answer = self._ask("GET", f"{mount}/data/{rest}")
        if answer is None:
            return Held(None, self._last_version(mount, rest))
        return Held(answer["data"]["data"], int(answer["data"]["metadata"]["version"]))

    def write(self, path: str, data: Mapping[str, Any], held: Held) -> None:
        """Put other data in the place of what was read, if it is that still, where the engine can tell."""
        mount, rest, version = self._place(path)
        if version == 1:
            self._ask("POST", f"{mount}/{rest}", data)
        else:
            self._ask("POST", f"{mount}/data/{rest}", {"data": data, "options": {"cas": held.version}})

    def _place(self, path: str) -> tuple[str, str, int]:
        """The mount, the path below it, the version of the engine there."""
        answer = self._ask("GET", f"sys/internal/ui/mounts/{path}")
        about = answer["data"] if answer else {}
        mount = str(about.get("path", "")).strip("/")
        if about.get("type") not in ("kv", "generic") or not path.startswith(f"{mount}/"):
            raise CommandError(f"there is no KV secrets engine at {path}")
        rest = path.removeprefix(f"{mount}/").strip("/")
        if not rest:
            raise CommandError(f"{path} is a mount; name a path below it", status=2)
        return mount, rest, int((about.get("options") or {}).get("version", 1))

    def _last_version(self, mount: str, rest: str) -> int:
        """Of what was deleted; 0 where there never was anything."""
        answer = self._ask("GET", f"{mount}/metadata/{rest}")
        return 0 if answer is None else int(answer["data"]["current_version"])

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """The answer, None for 404. Raises CommandError, whose text holds nothing of the request's body."""
        request = urllib.request.Request(  # noqa: S310 - http and https only, see __init__
            f"{self._address}/v1/{urllib.parse.quote(path)}",
            method=method,
            headers=self._headers,
            data=None if body is None else json.dumps(body).encode(),
        )
        try:
            with self._opener.open(request, timeout=_SECONDS) as answer:
                text = answer.read(_LARGEST + 1)
            if len(text) > _LARGEST:
                raise CommandError(f"{self._address} answers more than {_LARGEST} bytes")
            return json.loads(text) if text else {}
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise CommandError(f"{self._address} refuses {method} of {path}: HTTP {error.code}") from None
        except (OSError, HTTPException) as error:
            raise CommandError(f"{self._address} cannot be asked: {type(error).__name__}") from None
        except ValueError:
            raise CommandError(f"{self._address} answers {method} of {path} with no JSON") from None


def _variable(name: str) -> str:
    return os.environ.get(f"VAULT_{name}") or os.environ.get(f"BAO_{name}") or ""


def _token_file() -> str:
    try:
        return (Path.home() / ".vault-token").read_text().strip()
    except OSError:
        return ""
