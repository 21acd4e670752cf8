"""How the audit journal's segments are sealed: each under a data key of its own, wrapped by the root key's key
for the journal and bound to the segment's name."""

from __future__ import annotations

import os

from casemate.engine.envelope.derivation import KEY_BYTES
from casemate.engine.envelope.frames import FrameReader, FrameWriter
from casemate.engine.envelope.hierarchy import RootKey
from casemate.store.journal_format import Open, Seal

_PURPOSE = "audit journal segment"


class JournalCipher:
    """The store's SegmentCipher, by the envelope."""

    def __init__(self, root: RootKey) -> None:
        self._wrapping = root.wrapping_key(_PURPOSE)

    def new_segment(self, name: str) -> tuple[bytes, Seal]:
        key = os.urandom(KEY_BYTES)
        return self._wrapping.wrap(key, _PURPOSE, name), FrameWriter(key, name.encode()).seal_frame

    def open_segment(self, name: str, header: bytes) -> Open:
        """Raises Tampered (a ValueError) unless ``new_segment`` made the header for this name."""
        return FrameReader(self._wrapping.unwrap(header, _PURPOSE, name), name.encode()).open_frame
