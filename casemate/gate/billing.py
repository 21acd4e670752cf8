"""What a service tells of what AWS charges for it: the composition root gives it to whoever reckons costs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from casemate.engine.billing.usage import Holding
from casemate.store.database import Tx


class Billed(NamedTuple):
    """service: its name in the price table; source: its events' in the audit ("kms.amazonaws.com").

    subject: of an event of the audit, the resource that is used and what else tells the price ('' for nothing);
    usage_type: as what an operation on it is charged; holdings: what an account holds that is paid for by the hour,
    up to a time.
    """

    service: str
    source: str
    subject: Callable[[Mapping[str, Any]], tuple[str, str]]
    usage_type: Callable[[Tx, str, str, str], str]
    holdings: Callable[[Tx, str, float], Iterable[Holding]]
