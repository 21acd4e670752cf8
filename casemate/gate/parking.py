"""Requests that wait for something to happen, without a thread: SQS's long polling.

    raise Parked(queue_id, parking.seen(queue_id), seconds)      in a handler that has nothing to answer yet
    call.committed(lambda: parking.tell(queue_id))                in one that makes something happen

A parked request's transaction is undone; the event loop keeps it and runs it again, from its step 6 on, when it is
told or its time has come. One request is woken for each telling: a handler that got what it waited for tells on, as
there may be more. Workers of one machine tell each other through a word of the generations' memory, which they look
at every few milliseconds while anybody waits; each request looks by itself once a second, for what happens on other
machines and what comes with time.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from typing import TYPE_CHECKING
from zlib import crc32

from casemate.store.cache import Miss

if TYPE_CHECKING:
    from casemate.gate.call import Call
    from casemate.store.database import Store

CHANNELS = 8
MOST = 1_000
"""Requests of one account that wait at a time in a worker: each holds a connection, of which others need some."""
_LOOK = 0.005
"""Seconds between two looks at what other workers tell."""
_LONGEST = 1.0


def domain(channel: int) -> str:
    """The domain whose number tells that something happened on a channel."""
    return f"gate.parking.{channel}"


class Parked(Miss):
    """There is nothing to answer yet. what: that the request waits for; seen: what ``Parking.seen`` gave before the
    handler looked; seconds: after which it looks again at the latest."""

    def __init__(self, what: str, seen: int, seconds: float) -> None:
        super().__init__(what)
        self.what = what
        self.seen = seen
        self.seconds = seconds


class Parking:
    """One worker's waiting requests. ``tell`` and ``seen`` may be called in any thread, ``park`` in the event loop.
    resume: runs a request again; in_loop: runs a function in the event loop."""

    def __init__(
        self, store: Store, in_loop: Callable[..., object], resume: Callable[[Call], object]
    ) -> None:
        self._generations = store.generations
        self._slots = [store.generations.slot(domain(channel)) for channel in range(CHANNELS)]
        self._in_loop = in_loop
        self._resume = resume
        self._waiting: dict[str, deque[_Space]] = {}
        self._by_account: Counter[str] = Counter()
        self._seen = [0] * CHANNELS
        self._looking = False
        self.closing = False
        """The server is about to end: handlers answer what they have."""

    def __repr__(self) -> str:
        return f"<Parking of {sum(map(len, self._waiting.values()))}>"

    def full(self, account: str) -> bool:
        """Whether so many requests of an account wait already that another one had better be answered at once."""
        return self._by_account[account] >= MOST

    def seen(self, what: str) -> int:
        """A number that is another one once something has happened."""
        return self._generations.current(self._slots[_channel(what)])

    def tell(self, what: str) -> None:
        """Something has happened: it is committed."""
        self._generations.touch(self._slots[_channel(what)])
        self._in_loop(self._wake, what)

    def park(self, call: Call, parked: Parked) -> None:
        """Keep a request until then."""
        if self.closing or self.seen(parked.what) != parked.seen:
            self._resume(call)
            return
        space = _Space(call, parked.what)
        self._by_account[call.account] += 1
        loop = asyncio.get_running_loop()
        space.timer = loop.call_later(max(0.0, min(parked.seconds, _LONGEST)), self._due, space)
        self._waiting.setdefault(parked.what, deque()).append(space)
        if not self._looking:
            self._looking = True
            self._seen = [self._generations.current(slot) for slot in self._slots]
            loop.call_later(_LOOK, self._look)

    def close(self) -> None:
        """Let nobody wait any longer."""
        self.closing = True
        while self._waiting:
            _, spaces = self._waiting.popitem()
            for space in spaces:
                self._leave(space)

    def _wake(self, what: str) -> None:
        """Run the request again that has waited for longest."""
        spaces = self._waiting.get(what)
        while spaces:
            space = spaces.popleft()
            if not spaces:
                del self._waiting[what]
            if space.call.exchange.lost:
                # It finds that nobody waits any more; the next one is to have what there is.
                self._leave(space)
                continue
            self._leave(space)
            return

    def _due(self, space: _Space) -> None:
        spaces = self._waiting.get(space.what)
        if spaces is None or space not in spaces:
            return
        spaces.remove(space)
        if not spaces:
            del self._waiting[space.what]
        self._leave(space)

    def _leave(self, space: _Space) -> None:
        if space.timer is not None:
            space.timer.cancel()
        account = space.call.account
        self._by_account[account] -= 1
        if not self._by_account[account]:
            del self._by_account[account]
        self._resume(space.call)

    def _look(self) -> None:
        """What have other workers told?"""
        if not self._waiting:
            self._looking = False
            return
        current = [self._generations.current(slot) for slot in self._slots]
        changed = {at for at, number in enumerate(current) if number != self._seen[at]}
        self._seen = current
        if changed:
            for what in [what for what in self._waiting if _channel(what) in changed]:
                self._wake(what)
        asyncio.get_running_loop().call_later(_LOOK, self._look)


class _Space:
    """Where one request waits."""

    __slots__ = ("call", "timer", "what")

    def __init__(self, call: Call, what: str) -> None:
        self.call = call
        self.what = what
        self.timer: asyncio.TimerHandle | None = None


def _channel(what: str) -> int:
    return crc32(what.encode()) % CHANNELS
