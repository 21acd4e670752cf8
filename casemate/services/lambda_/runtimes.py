"""Which runtimes there are on this machine, and how each is started. Source: "Lambda runtimes"."""

from __future__ import annotations

import logging
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from pwd import getpwall
from typing import Any, NamedTuple

from casemate.errors import AwsError

log = logging.getLogger("casemate.lambda")

_CLIENTS = Path(__file__).parent / "clients"
_FIRST_USER = 1000
"""The ids from which on users are people's."""

_ABOUT_PYTHON = """
import sys
print(sys.prefix)
print(sys.base_prefix)
try:
    import awslambdaric
    print("ric")
except ImportError:
    pass
"""

PYTHON, NODE, CUSTOM = "python", "nodejs", "provided"


class Runtime(NamedTuple):
    """How a function of a runtime is started. kind: PYTHON, NODE, CUSTOM; command: the program with its arguments;
    folders: what it needs to read."""

    kind: str
    command: tuple[str, ...]
    folders: tuple[str, ...]


def architecture() -> str:
    """The machine's, as Lambda calls it."""
    return "arm64" if platform.machine() in ("aarch64", "arm64") else "x86_64"


def check_runtime(settings: Mapping[str, Any]) -> None:
    """Raises NotImplemented for a runtime that is not on this machine, or another architecture."""
    name: str = settings["Runtime"]
    if find_runtime(name) is None:
        raise AwsError("NotImplemented", f"The runtime {name} is not there on this server.", 501)
    wanted = settings["Architectures"]
    if wanted != [architecture()]:
        raise AwsError(
            "NotImplemented", f"This server runs functions of the architecture {architecture()} only.", 501
        )


@cache
def find_runtime(name: str) -> Runtime | None:
    """The runtime of that name ("python3.12"); None when it is not on this machine. The first look may start the
    interpreter."""
    if re.fullmatch(r"python3\.\d+", name):
        return _python(name)
    if re.fullmatch(r"nodejs\d+\.x", name):
        return _node(name)
    if name in ("provided", "provided.al2", "provided.al2023"):
        return Runtime(CUSTOM, ("/var/task/bootstrap",), ())
    return None


def _python(name: str) -> Runtime | None:
    own = f"python3.{sys.version_info.minor}"
    program = sys.executable if name == own else shutil.which(name)
    if program is None:
        return None
    official = find_spec("awslambdaric") is not None if name == own else False
    if name == own:
        prefixes = {sys.prefix, sys.base_prefix}
    else:
        told = _told(program, "-c", _ABOUT_PYTHON)
        if len(told) < 2:
            return None
        prefixes, official = set(told[:2]), "ric" in told
    # The official client where that Python has it, otherwise one of our own, which does the same.
    client = ("-m", "awslambdaric") if official else (str(_CLIENTS / "python_client.py"),)
    return Runtime(PYTHON, (program, *client), (*sorted(prefixes), str(_CLIENTS)))


def _node(name: str) -> Runtime | None:
    program = shutil.which("node")
    wanted = name.removeprefix("nodejs").removesuffix(".x")
    if program is None or _told(program, "--version")[:1] == []:
        return None
    version = _told(program, "--version")[0].removeprefix("v").partition(".")[0]
    if version != wanted:
        return None
    real = Path(program).resolve()
    prefix = real.parent.parent
    if _too_much(prefix):
        log.warning("%s is not used: functions would see all of %s", real, prefix)
        return None
    return Runtime(NODE, (str(real), str(_CLIENTS / "node_client.mjs")), (str(prefix), str(_CLIENTS)))


def _too_much(prefix: Path) -> bool:
    """Whether a folder holds more than an interpreter: all files, or somebody's."""
    if prefix == Path("/usr") or prefix.is_relative_to("/usr/"):
        return False
    homes = [Path(user.pw_dir) for user in getpwall() if user.pw_uid == 0 or user.pw_uid >= _FIRST_USER]
    homes.append(Path(os.path.expanduser("~")))
    return prefix == Path("/") or any(home.resolve().is_relative_to(prefix) for home in homes)


def _told(program: str, *arguments: str) -> list[str]:
    try:
        done = subprocess.run(  # noqa: S603 - an interpreter of the machine's, by arguments of ours
            [program, *arguments],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return done.stdout.split("\n")[:-1] if done.returncode == 0 else []
