"""``casemate doctor``"""

from __future__ import annotations

import argparse

from casemate.cli.settings import initialised


def doctor(options: argparse.Namespace) -> int:
    """Print what each check found; exit status 1 when there are problems."""
    from casemate.server.doctor import examine

    problems = 0
    for finding in examine(initialised(options)):
        print(f"{'ok' if finding.ok else 'PROBLEM':8} {finding.what}")
        if not finding.ok:
            problems += 1
            print(f"         -> {finding.advice}")
    if problems:
        print(f"\n{problems} problem{'s' if problems > 1 else ''} found.")
    return 1 if problems else 0
