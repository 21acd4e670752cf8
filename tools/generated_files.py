"""What the generators have in common: their files are committed, and a test holds them to what would be generated."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path


def write(files: Mapping[Path, str], arguments: list[str] | None, description: str) -> int:
    """The end of a generator's ``main``: write what differs or, with --check, only tell of it; the exit status.

    files: the text by path.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--check", action="store_true", help="only compare; exit 1 when a file is not current"
    )
    check: bool = parser.parse_args(arguments).check
    stale = []
    for path, text in files.items():
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(path.name)
        if not check:
            path.write_text(text, encoding="utf-8")
    print(f"{'not current' if check else 'written'}: {', '.join(stale) or 'none'}")
    return 1 if check and stale else 0
