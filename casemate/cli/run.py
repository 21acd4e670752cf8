"""``casemate run``"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Mapping, Sequence

from casemate.cli.bundles import bundle, variables
from casemate.cli.problems import CommandError
from casemate.cli.shell_clients import ShellClients

_LOADING = re.compile(
    r"PATH|(LD|DYLD|BASH_FUNC|GLIBC|_RLD)_.*|IFS|BASH_ENV|SHELLOPTS|BASHOPTS|PS4|PROMPT_COMMAND|ZDOTDIR"
    r"|PYTHON(PATH|HOME|STARTUP|USERBASE|EXECUTABLE|PLATLIBDIR|BREAKPOINT|WARNINGS)|NODE_(OPTIONS|PATH)"
    r"|PERL(5LIB|5OPT|LIB|5DB)|RUBY(OPT|LIB)|GEM_(HOME|PATH)|BUNDLE_GEMFILE|PHPRC|PHP_INI_SCAN_DIR|LUA_(PATH|CPATH|INIT).*"
    r"|(_JAVA|JAVA_TOOL|JDK_JAVA)_OPTIONS|CLASSPATH|CORECLR_.*|COR_(ENABLE_PROFILING|PROFILER.*)|DOTNET_STARTUP_HOOKS"
    r"|GCONV_PATH|NLSPATH|OPENSSL_(CONF|MODULES|ENGINES)|GIT_(SSH|SSH_COMMAND|EXEC_PATH|EXTERNAL_DIFF|ASKPASS|CONFIG.*)"
)
"""Variables by which whoever may write a parameter would have the command, or what it runs, load code of theirs."""


def _must_be_harmless(found: Mapping[str, str], allowed: Sequence[str], name: str) -> None:
    for variable in sorted(found.keys() - set(allowed)):
        if _LOADING.fullmatch(variable):
            raise CommandError(
                f"{name} would set {variable}, by which programs find code to run",
                f"If that is meant: casemate run --allow {variable} ...",
            )


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
        _must_be_harmless(found, options.allow, source.name)
        added |= found
    try:
        os.execvpe(command[0], command, {**os.environ, **added})  # noqa: S606 - to run it is what the user asks for
    except FileNotFoundError:
        raise CommandError(f"there is no command {command[0]}", status=127) from None
    except OSError as error:
        raise CommandError(f"{command[0]} cannot be run: {error.strerror}", status=126) from None
