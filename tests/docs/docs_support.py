"""Finds the examples in the documentation that are to be run, and runs a page's together.

An example is run when a line ``<!-- run -->`` stands before its fence, which is ``bash`` or ``python``. The
examples of a page share a folder and, among the bash ones, a shell: what one sets or writes the next sees.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))

MARK = "<!-- run -->"
FENCE = re.compile(r"^```(\w*)$")


class Example(NamedTuple):
    """line: where its fence opens, from 1; language: 'bash' or 'python'."""

    line: int
    language: str
    text: str


class BadPage(Exception):
    """A mark that marks nothing that can be run."""


def examples(text: str) -> list[Example]:
    """The marked examples of a page, in order."""
    found = []
    lines = iter(enumerate(text.split("\n"), 1))
    marked = 0
    for number, line in lines:
        if line.strip() == MARK:
            if marked:
                raise BadPage(f"line {marked}: {MARK} without an example")
            marked = number
        elif opening := FENCE.match(line):
            language = opening[1]
            body = []
            for _, inner in lines:
                if inner == "```":
                    break
                body.append(inner)
            else:
                raise BadPage(f"line {number}: the example does not end")
            if marked:
                if language not in ("bash", "python"):
                    raise BadPage(f"line {number}: cannot run {language or 'an example without a language'}")
                found.append(Example(number, language, "\n".join(body) + "\n"))
                marked = 0
        elif marked and line.strip():
            raise BadPage(f"line {marked}: {MARK} without an example")
    if marked:
        raise BadPage(f"line {marked}: {MARK} without an example")
    return found


def script(page: list[Example], folder: Path) -> str:
    """One bash script of all the examples. Python ones are files in folder, called from it."""
    parts = ["set -euo pipefail"]
    for example in page:
        parts.append(f"echo '--- line {example.line}' >&2")
        if example.language == "python":
            file = folder / f"line_{example.line}.py"
            file.write_text(example.text, encoding="utf-8")
            parts.append(f"{shlex.quote(sys.executable)} {shlex.quote(str(file))}")
        else:
            parts.append(example.text)
    return "\n".join(parts)


def run(page: list[Example], folder: Path, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a page's examples in folder. env: what a client needs (AWS_ENDPOINT_URL, ...); of
    this process's own variables only PATH is passed on, so that nobody's real credentials can be used."""
    tools = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    own = {
        "PATH": tools,
        "HOME": str(folder),
        "AWS_PAGER": "",
        "AWS_EC2_METADATA_DISABLED": "true",
        # The command is of the code that is tested, wherever it is installed from.
        "PYTHONPATH": str(ROOT),
    }
    return subprocess.run(
        ["bash", "-c", script(page, folder)],
        cwd=folder,
        env={**own, **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
