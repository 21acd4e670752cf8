"""The audit journal of a data directory, for the commands that read it."""

from __future__ import annotations

import argparse
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from casemate.cli.problems import CommandError
from casemate.cli.settings import initialised

if TYPE_CHECKING:
    from casemate.server.composition import Opened
    from casemate.services.cloudtrail.pages import Entry


_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


@contextmanager
def opened_data(options: argparse.Namespace) -> Iterator[Opened]:
    """The data directory that the options name, opened. Raises CommandError."""
    from casemate.engine.envelope.errors import EnvelopeError
    from casemate.server.composition import open_data
    from casemate.store.errors import StoreError

    config = initialised(options)
    try:
        opened = open_data(config)
    except (EnvelopeError, StoreError) as error:
        raise CommandError(f"the keys cannot be opened: {error}", "`casemate doctor` tells more.") from None
    try:
        yield opened
    finally:
        opened.close()


def archived(opened: Opened) -> list[Callable[[], Iterator[bytes]]]:
    """The records that are no longer in the journal, in parts, the oldest first. A part that was altered raises
    CommandError."""
    from casemate.server.composition import history_of
    from casemate.store.journal_format import SegmentName

    journal = opened.config.journal
    there = set(os.listdir(journal)) if journal.is_dir() else set()

    def texts(part: Callable[[], Iterator[Entry]]) -> Iterator[bytes]:
        from casemate.engine.envelope.errors import EnvelopeError
        from casemate.store.errors import StoreError

        try:
            for entry in part():
                if SegmentName(entry.run, entry.segment).file not in there:
                    yield entry.text
        except EnvelopeError as error:
            raise altered(error) from None
        except StoreError as error:
            raise CommandError(f"the audit's archive cannot be read: {error}") from None

    parts = opened.store.read(history_of(opened).everything)
    return [partial(texts, part) for part in parts]


def records(opened: Opened) -> Iterator[dict[str, Any]]:
    """All records, oldest first. Raises CommandError for a journal that was altered."""
    from casemate.server.journal_cipher import JournalCipher
    from casemate.store.journal_format import JournalTampered
    from casemate.store.journal_reader import read_journal

    journal = opened.config.journal
    for part in archived(opened):
        for text in part():
            yield json.loads(text)
    if not journal.is_dir():
        return
    try:
        for _, record in read_journal(journal, JournalCipher(opened.root)):
            yield json.loads(record)
    except JournalTampered as error:
        raise altered(error) from None


def altered(error: Exception) -> CommandError:
    """What to say of a journal that is not as it was written."""
    return CommandError(
        f"the audit journal is not as it was written: {error}", "What comes after that place was not read."
    )


def printable(text: str) -> str:
    """A record's text for a terminal, which obeys control characters: a client's name may hold anything."""
    return _CONTROL.sub("�", text)
