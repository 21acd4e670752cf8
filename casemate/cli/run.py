"""``casemate run``"""

from __future__ import annotations

import argparse
import os

from casemate.cli.bundles import bundle, variables
from casemate.cli.problems import CommandError
from casemate.cli.shell_clients import ShellClients


def run(options: argparse.Namespace) -> int:
    """Become the command, its environment added to by parameters and secrets. They are written nowhere, and no
    process has them but the command's own."""
    command: list[str] = options.command_line
    if command[:1] == ["--"]:
        command = command[1:]
    if not command:
        raise CommandError(
            "which command?", "Put it behind --: casemate run --env-from ssm:/app -- COMMAND", 2
        )
    clients = ShellClients(options)
    added: dict[str, str] = {}
    for place in options.env_from:
        kind = place.partition(":")[0]
        if kind not in ("ssm", "secret"):
            raise CommandError(
                f"{place!r} is no place to take variables from", "Name ssm:/path or secret:NAME.", 2
            )
        source = bundle(place, options, clients)
        values = source.read()
        if values is None:
            raise CommandError(f"{source.name} holds nothing")
        found = variables(values, source.name)
        both = sorted(found.keys() & added.keys())
        if both:
            raise CommandError(f"the variable {both[0]} is in {source.name} and in one before it")
        unfit = next((name for name, value in found.items() if "\0" in value), None)
        if unfit is not None:
            raise CommandError(f"the value of {unfit} has a NUL character, which no variable may have")
        added |= found
    try:
        os.execvpe(command[0], command, {**os.environ, **added})  # noqa: S606 - to run it is what the user asks for
    except FileNotFoundError:
        raise CommandError(f"there is no command {command[0]}", status=127) from None
    except OSError as error:
        raise CommandError(f"{command[0]} cannot be run: {error.strerror}", status=126) from None
