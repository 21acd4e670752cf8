"""What a service tells of what AWS charges for it, and is told of its use: the composition root gives it to whoever
reads the audit and reckons costs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from casemate.engine.billing.usage import Holding
from casemate.store.database import Tx


def _nothing(event: Mapping[str, Any]) -> Iterable[str]:  # noqa: ARG001 - the field's parameter
    return ()


def _forgotten(tx: Tx, events: Mapping[str, Mapping[str, Any]]) -> None:
    """Nothing is kept of it."""


class Billed(NamedTuple):
    """service: its name in the price table; source: its events' in the audit ("kms.amazonaws.com").

    subject: of an event of the audit, the resource that is used and what else tells the price ('' for nothing);
    usage_type: as what an operation on it is charged; holdings: what an account holds that is paid for by the hour,
    up to a time; used: the resources whose use is to be known, of an event that was no refusal; note_used: keeps the
    last such event of each, by resource.
    """

    service: str
    source: str
    subject: Callable[[Mapping[str, Any]], tuple[str, str]]
    usage_type: Callable[[Tx, str, str, str], str]
    holdings: Callable[[Tx, str, float], Iterable[Holding]]
    used: Callable[[Mapping[str, Any]], Iterable[str]] = _nothing
    note_used: Callable[[Tx, Mapping[str, Mapping[str, Any]]], None] = _forgotten


class UsageReader(NamedTuple):
    """Whoever reads the audit, for services that are told of their use by ``Billed.note_used``.

    catch_up: reads what has come up to now; in a thread that may wait. Raises StoreError, JournalTampered.
    """

    catch_up: Callable[[], object]
