"""``casemate env``"""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from casemate.cli.problems import CommandError
from casemate.cli.settings import settings

if TYPE_CHECKING:
    from casemate.server.config import Config


def env(options: argparse.Namespace) -> int:
    """Print the exports."""
    found = variables(settings(options), tls=options.tls)
    # A session token that the shell has of another account would be sent along, and be refused.
    print(_FORGET[options.shell], end="")
    for name, value in found.items():
        print(_SHELLS[options.shell](name, value))
    return 0


def variables(config: Config, *, tls: bool) -> Mapping[str, str]:
    """What AWS tools read from the environment, for the running server or, where none runs, for the configured
    one. Raises CommandError when there are no credentials yet."""
    from casemate.server.credentials_file import read_credentials
    from casemate.server.server_file import reachable, running

    try:
        administrator = read_credentials(config.data)
    except (FileNotFoundError, NotADirectoryError):
        raise CommandError(
            f"there are no credentials in {config.data}",
            "Start the server once (casemate serve), or name its directory by --data DIR.",
        ) from None
    except PermissionError:
        raise CommandError(
            f"the credentials in {config.data} belong to another user",
            "Run this as the user that the server runs as.",
        ) from None
    except ValueError as error:
        raise CommandError(str(error)) from None
    server = running(config.data)
    if server is not None:
        region = server.region
        endpoint = server.tls_endpoint if tls or server.endpoint is None else server.endpoint
    else:
        region = config.region
        tls = tls or config.port is None
        port = config.tls_port if tls else config.port
        endpoint = f"{'https' if tls else 'http'}://{reachable(config.host)}:{port}" if port else None
    if endpoint is None:
        raise CommandError("the server has no such port", "Leave --tls out, or configure tls_port.")
    found = {
        "AWS_ACCESS_KEY_ID": administrator.key.id,
        "AWS_SECRET_ACCESS_KEY": administrator.key.secret,
        "AWS_DEFAULT_REGION": region,
        "AWS_REGION": region,
        "AWS_ENDPOINT_URL": endpoint,
    }
    if endpoint.startswith("https:") and config.tls_cert is None:
        found["AWS_CA_BUNDLE"] = str(config.data.absolute() / "tls" / "ca.pem")
    return found


def _powershell(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _fish(value: str) -> str:
    return "'" + re.sub(r"(['\\])", r"\\\1", value) + "'"


_SHELLS: Mapping[str, Callable[[str, str], str]] = {
    "sh": lambda name, value: f"export {name}={shlex.quote(value)}",
    "fish": lambda name, value: f"set -gx {name} {_fish(value)};",
    "powershell": lambda name, value: f"$Env:{name} = {_powershell(value)}",
    "dotenv": lambda name, value: f"{name}={value}",
}

_FORGET: Mapping[str, str] = {
    "sh": "unset AWS_SESSION_TOKEN\n",
    "fish": "set -e AWS_SESSION_TOKEN;\n",
    "powershell": "Remove-Item Env:AWS_SESSION_TOKEN -ErrorAction SilentlyContinue\n",
    "dotenv": "",
}
