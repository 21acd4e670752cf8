"""Reading the audit up to now, for what depends on it."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from casemate.gate.billing import UsageReader
from casemate.store.errors import StoreError
from casemate.store.journal_format import JournalTampered

if TYPE_CHECKING:
    from casemate.gate.call import Call

log = logging.getLogger("casemate.cloudtrail")


def read_up(call: Call) -> None:
    """Before a trail changes: what happened until now is what it wanted until now. Who narrows a trail hides nothing
    of what was done before."""
    call.before("audit", partial(catch_up, call.part(UsageReader)))


def catch_up(reader: UsageReader) -> None:
    """As far as it can be read; another process may be reading it at this moment."""
    try:
        reader.catch_up()
    except (StoreError, JournalTampered) as error:
        log.error("what trails see is not up to date: %s", error)
