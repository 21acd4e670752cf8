"""The command's help, its exit statuses, and what it imports for them."""

from __future__ import annotations

import subprocess
import sys

import pytest
from server_support import casemate, casemate_process

from casemate import __version__

COMMANDS = [
    "serve",
    "init",
    "env",
    "doctor",
    "whoami",
    "explain",
    "policy generate",
    "audit tail",
    "seal status",
    "seal rotate",
    "backup",
    "restore",
    "clock",
    "reset",
    "attest",
    "encrypt",
    "decrypt",
    "version",
]


def test_the_help_names_every_command() -> None:
    done = casemate_process("--help")
    assert done.returncode == 0
    for command in COMMANDS:
        assert f"\n  {command} " in done.stdout, command
    assert "exit status:" in done.stdout


def test_without_arguments_there_is_help() -> None:
    assert casemate().stdout == casemate("--help").stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    done = casemate(*command.split(), "--help")
    assert done.returncode == 0
    assert f"usage: casemate {command}" in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["sevre"],
        ["serve", "--prot", "1"],
        ["seal"],
        ["backup"],
        ["audit", "tail", "-n", "x"],
        ["env", "--shell", "csh"],
    ],
)
def test_wrong_usage_is_status_2(arguments: list[str]) -> None:
    done = casemate(*arguments)
    assert done.returncode == 2
    assert done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [["--version"], ["version"]])
def test_the_version(arguments: list[str]) -> None:
    assert casemate(*arguments).stdout == f"casemate {__version__}\n"


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys, casemate.cli.main as m\n"
        "try: m.main(['--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted(n for n in sys.modules if n.split('.')[0] in "
        "('asyncio', 'botocore', 'cryptography', 'orjson', 'apsw', 'uvloop', 'logging', 'ssl', 'tomllib')"
        " or n.startswith('casemate.') and not n.startswith('casemate.cli')), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"


def test_output_that_nobody_reads_is_no_error() -> None:
    line = f"{sys.executable} -m casemate.cli.main --help | true"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", line], capture_output=True, text=True, check=False)
    assert done.stderr == ""
