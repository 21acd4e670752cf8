"""Time, injected. A leaf module: everything may import it, it imports nothing of ours."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """What the services take for now. Signatures and TLS use the machine's own time instead, because the
    clients' clocks are not moved along with a movable one."""

    def now(self) -> float:
        """Seconds since the epoch, UTC."""
        ...


class SystemClock:
    """The machine's time."""

    def now(self) -> float:
        return time.time()
