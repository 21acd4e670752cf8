"""What the store raises. Never a client's error: services turn these into AWS's where they mean one."""

from __future__ import annotations


class StoreError(Exception):
    """Anything that the store itself refuses or fails at."""


class Conflict(StoreError):
    """A unique or primary key exists already. Ends the transaction, unless inside ``tx.savepoint()``."""


class Invalid(StoreError):
    """The database refuses the statement or its values: another constraint, a wrong type, wrong SQL."""


class ReadOnly(StoreError):
    """A change was tried inside ``store.read``."""


class Unavailable(StoreError):
    """The database cannot be reached, is locked for too long, or its disk is full. Nothing was changed."""


class OutcomeUnknown(Unavailable):
    """The connection was lost during a commit and could not be made again to ask what became of it: the
    change may or may not have happened."""


class Incompatible(StoreError):
    """The database was made by a newer version, or by migrations that have been changed since."""
