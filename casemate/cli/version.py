"""``casemate version``"""

from __future__ import annotations

import argparse

from casemate import __version__


def version(options: argparse.Namespace) -> int:  # noqa: ARG001 - every command takes them
    """Print it."""
    print(f"casemate {__version__}")
    return 0
