"""Whoever is told of every record of the audit: the composition root gives them to whoever reads it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from casemate.store.database import Tx
from casemate.store.journal_format import Position

Gathered = dict[tuple[str, ...], Any]
"""What an observer has found since it was last kept."""


class Observer(NamedTuple):
    """Records come once each, in the order of their times.

    see: gathers what is to be known of a call, refused or not. It is called for each record, so that it had better
    be quick; keep: stores what was gathered, in the transaction in which the reading moves on; all: it is shown what
    services do by themselves too.
    """

    see: Callable[[Mapping[str, Any], Gathered], None]
    keep: Callable[[Tx, Gathered], None]
    all: bool = False


class Gathering(Protocol):
    """What a recorder has found since it was last kept."""

    def see(self, position: Position, text: bytes, record: Mapping[str, Any]) -> None:
        """One more record, whatever it tells of, in the order of the journal. text: its JSON."""
        ...

    def pack(self) -> Callable[[Tx, Mapping[str, int]], None]:
        """Do what takes long, and give what keeps what was gathered, in the transaction in which the reading moves
        on: it is told the segment that each run was read from."""
        ...


Recorder = Callable[[], Gathering]
"""Whoever keeps the records themselves. The journal keeps what a recorder needs of it."""
