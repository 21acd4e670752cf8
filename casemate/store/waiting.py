"""A submitted write as a call that waits for its outcome."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any


def wait_for(submit: Callable[[Callable[[Any, BaseException | None], None]], None]) -> Any:
    """Give submit a callback and return the result, or raise the error, that the callback is called with."""
    outcome: list[Any] = []
    ready = threading.Lock()
    ready.acquire()

    def done(result: Any, error: BaseException | None) -> None:
        outcome.append(result)
        outcome.append(error)
        ready.release()

    submit(done)
    ready.acquire()
    result, error = outcome
    if error is not None:
        raise error
    return result
