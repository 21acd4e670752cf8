"""What an execution environment may see and take: bubblewrap's namespaces, and resource limits.

Isolated, a function sees the system's programs and libraries, its runtime, its code and a /tmp of its own, all but
the last read-only; no other process, and of networks a loopback device on which the server listens. Source: "Lambda
execution environment", "Lambda quotas".
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

CLIENTS = Path(__file__).parent.parent / "clients"
LAUNCHER = CLIENTS / "launcher.py"

TASK = "/var/task"

_MIB = 1024 * 1024

# What programs need of the system's configuration to find libraries, certificates and time zones.
_SYSTEM = (
    "/etc/ld.so.cache",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/pki/tls/certs",
    "/etc/pki/ca-trust",
    "/etc/alternatives",
    "/etc/localtime",
    "/etc/nsswitch.conf",
)
_USER, _GROUP = "993", "990"
_PROCESSES = 1024
_FILES = 1024
_SHARED = 16 * _MIB
"""Bytes of /dev/shm."""


class Outside(NamedTuple):
    """Why this machine cannot isolate functions. reason: in words; '' when it can."""

    reason: str


@cache
def obstacle() -> Outside:
    """Whether bubblewrap is there and may make its namespaces, tried once by a process."""
    program = shutil.which("bwrap")
    if program is None:
        return Outside("bubblewrap (bwrap) is not installed")
    trial = [program, *_namespaces(), *_root(), "/usr/bin/env", "true"]
    try:
        done = subprocess.run(  # noqa: S603 - arguments of ours
            trial, capture_output=True, text=True, timeout=20, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Outside(f"bubblewrap cannot be run: {type(error).__name__}")
    if done.returncode:
        said = done.stderr.strip().splitlines()
        return Outside(f"bubblewrap cannot make namespaces here: {said[-1] if said else done.returncode}")
    return Outside("")


def _namespaces() -> list[str]:
    return [
        *("--unshare-user", "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts"),
        *("--unshare-cgroup-try", "--disable-userns", "--uid", _USER, "--gid", _GROUP),
        *("--cap-drop", "ALL", "--die-with-parent", "--new-session", "--as-pid-1"),
        *("--hostname", "lambda"),
    ]


def _root() -> list[str]:
    """The file system without what is the function's own."""
    arguments = ["--ro-bind", "/usr", "/usr"]
    for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"):
        path = Path("/", name)
        if path.is_symlink():
            arguments += ["--symlink", str(path.readlink()), str(path)]
        elif path.is_dir():
            arguments += ["--ro-bind", str(path), str(path)]
    for path_name in _SYSTEM:
        arguments += ["--ro-bind-try", path_name, path_name]
    # Otherwise /dev holds as much as half of the machine's memory.
    shared = ("--size", str(_SHARED), "--tmpfs", "/dev/shm")  # noqa: S108 - the environment's own
    return [*arguments, "--proc", "/proc", "--dev", "/dev", *shared, "--remount-ro", "/dev"]


def isolated(
    code: str, folders: tuple[str, ...], hidden: tuple[str, ...], hosts: int, temporary: int
) -> list[str]:
    """The command line that runs a command isolated, up to that command. code: the folder with the unpacked package;
    folders: what the runtime needs to read; hidden: files and folders of the server's that must not be seen even
    where they lie in what is; hosts: the descriptor of what /etc/hosts says; temporary: megabytes of /tmp."""
    program = shutil.which("bwrap")
    assert program is not None
    arguments = [program, *_namespaces(), *_root(), "--ro-bind-data", str(hosts), "/etc/hosts"]
    # Before the folders, of which some may lie below it.
    arguments += ["--size", str(temporary * _MIB), "--tmpfs", "/tmp"]  # noqa: S108 - the environment's own
    own = (sys.prefix, sys.base_prefix, str(CLIENTS))
    for folder in dict.fromkeys((*own, *folders)):
        if folder != "/usr" and not folder.startswith("/usr/"):
            arguments += ["--ro-bind", folder, folder]
    system = ("/usr", *(name for name in ("/bin", "/sbin", "/lib", "/lib64") if not os.path.islink(name)))
    for seen in dict.fromkeys((*system, *_SYSTEM, *own, *folders)):
        for path in hidden:
            arguments += _hidden(path, seen)
    return [
        *arguments,
        *("--ro-bind", code, TASK, "--remount-ro", "/", "--chdir", "/", "--clearenv", "--"),
    ]


def _hidden(path: str, seen: str) -> list[str]:
    """What hides a path where it lies in something that is seen, by whatever links it is reached."""
    real, top = os.path.realpath(path), os.path.realpath(seen)
    inside = real.removeprefix(top)
    if inside == real or inside[:1] not in ("", "/") or not os.path.exists(real):
        return []
    if os.path.isdir(real):
        return ["--tmpfs", seen + inside, "--remount-ro", seen + inside]
    return ["--ro-bind", os.devnull, seen + inside]


def limits(memory: int, *, isolated: bool) -> dict[str, int]:
    """Resource limits. memory: megabytes; isolated: the environment's processes are counted by themselves, not with
    all of the user's. What counts as memory is what a process can write to, as V8 and others reserve far more
    addresses than they use."""
    return {
        "RLIMIT_DATA": memory * _MIB,
        "RLIMIT_NOFILE": _FILES,
        "RLIMIT_CORE": 0,
        **({"RLIMIT_NPROC": _PROCESSES} if isolated else {}),
    }
