"""Whoever is told of every record of the audit: the composition root gives them to whoever reads it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from casemate.store.database import Tx

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
