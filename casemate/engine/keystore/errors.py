"""What can go wrong with a custom key store."""

from __future__ import annotations

from enum import Enum, auto


class Failure(Enum):
    """Kinds of failures. Those of proxies are named after the errors of the specification."""

    # An external key store proxy says so.
    ACCESS_DENIED = auto()
    AUTHENTICATION_FAILED = auto()
    DEPENDENCY_TIMEOUT = auto()
    INTERNAL = auto()
    INVALID_CIPHERTEXT = auto()
    INVALID_KEY_USAGE = auto()
    INVALID_STATE = auto()
    INVALID_URI_PATH = auto()
    KEY_NOT_FOUND = auto()
    THROTTLING = auto()
    UNSUPPORTED_OPERATION = auto()
    VALIDATION = auto()
    # What the proxy says is not to be understood, or it cannot be spoken to.
    MALFORMED = auto()
    TIMEOUT = auto()
    TLS = auto()
    UNHEALTHY = auto()
    """All external key managers behind the proxy are unavailable."""
    UNREACHABLE = auto()
    # A token.
    CREDENTIALS = auto()
    LOCKED_OUT = auto()
    LOGGED_IN = auto()
    """The user is logged in already, by somebody else in this process."""
    NO_CLUSTER = auto()
    """No token is configured by that name."""
    NO_TOKEN = auto()
    NO_USER = auto()
    TOKEN = auto()


class KeyStoreError(Exception):
    """A key store that does not do what it was asked for. detail: for the operator's log; no secret, but it may hold
    what a proxy says."""

    def __init__(self, failure: Failure, detail: str = "") -> None:
        super().__init__(f"{failure.name}: {detail}" if detail else failure.name)
        self.failure = failure
        self.detail = detail
