"""How a command fails."""

from __future__ import annotations


class CommandError(Exception):
    """What went wrong, for the user; advice: what to do next; status: the exit status (2: wrong usage or
    settings)."""

    def __init__(self, text: str, advice: str = "", status: int = 1) -> None:
        super().__init__(text)
        self.advice = advice
        self.status = status
