"""Removing what nobody needs of the audit journal any more: segments from the beginnings of runs, and whole runs that
have ended."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from casemate.store.journal_format import SegmentName
from casemate.store.journal_reader import runs_of


def ended_runs(directory: Path) -> set[str]:
    """The runs of workers that are no more: another has begun in their place since. Workers are named by their number
    and something else ("00-4711"), and one server at a time has a journal's directory."""
    latest: dict[str, str] = {}
    for run in sorted(runs_of(directory)):
        latest[run.split("-")[1]] = run
    return set(runs_of(directory)) - set(latest.values())


def trim(directory: Path, needed: Mapping[str, int]) -> list[str]:
    """Remove all segments before those that are needed, by run; all of a run whose number is 0, nothing of others.
    Returns the runs of which nothing is left."""
    gone = []
    for run, sequences in runs_of(directory).items():
        first = needed.get(run)
        if first is None:
            continue
        # In their order, so that a crash leaves no gap.
        for sequence in sequences:
            if first == 0 or sequence < first:
                (directory / SegmentName(run, sequence).file).unlink(missing_ok=True)
        if first == 0:
            gone.append(run)
    return gone
