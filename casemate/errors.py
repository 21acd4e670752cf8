"""The one error that a client sees, and what a log tells of all others.

A leaf module: everything may import it, it imports nothing of ours.
"""

from __future__ import annotations

import traceback
from typing import Any


class AwsError(Exception):
    """A refusal in AWS's terms, raised anywhere below the gate and rendered there in the service's protocol.

    code: AWS's error code (``NotFoundException``); message: the text the client sees, never a secret;
    status: the HTTP status; fields: further members of the modelled error structure (``{"Reason": ...}``).
    """

    __slots__ = ("code", "fields", "message", "status")

    def __init__(self, code: str, message: str = "", status: int = 400, **fields: Any) -> None:
        super().__init__(code, message, status)
        self.code = code
        self.message = message
        self.status = status
        self.fields = fields

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


def origin(error: BaseException) -> str:
    """What a log tells of a defect: its type and its frames only, for an exception's own text may hold what a request
    or an event held."""
    return f"{type(error).__qualname__}\n{''.join(traceback.format_tb(error.__traceback__))}"
