"""Rotating the seal: the root key sealed by another one, while servers run, and startable after a crash at any
point.

A key file is replaced in three steps: the new key is written beside the old (``seal.key.next``), the root key is
sealed by it in the database, the new file takes the old one's place (which is kept as ``seal.key.old-ID``). Between
the last two, both files are tried at a start, and the start finishes what was begun.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from casemate.engine.envelope.errors import SealError
from casemate.engine.envelope.hierarchy import RootKey
from casemate.engine.envelope.seal_keyfile import KeyFileSeal
from casemate.engine.envelope.seals import Seal, open_seal
from casemate.server.config import Config
from casemate.server.durable_file import sync_folder
from casemate.server.sealing import reseal, status, unseal
from casemate.store.database import Store

_KEY_FILE = "keyfile:"


def next_key_file(path: Path) -> Path:
    """Where a key file's successor waits."""
    return path.with_name(path.name + ".next")


def old_key_file(path: Path, seal_id: str) -> Path:
    """Where a key file of the past is kept: backups of its time need it."""
    return path.with_name(f"{path.name}.old-{seal_id.removeprefix(_KEY_FILE)}")


def key_file_of(config: Config) -> Path | None:
    """The key file that is the seal; None for another kind of seal."""
    spec = config.seal_spec
    return Path(spec.removeprefix(_KEY_FILE)) if spec.startswith(_KEY_FILE) else None


def seals_of(config: Config) -> list[Seal]:
    """The current seal, the successor of its key file while that waits, and the previous seal while it is being
    rotated. Raises SealError."""
    seals = [open_seal(config.seal_spec)]
    path = key_file_of(config)
    if path is not None and next_key_file(path).exists():
        seals.append(KeyFileSeal.read(next_key_file(path)))
    if config.previous_seal:
        seals.append(open_seal(config.previous_seal))
    return seals


def finish_rotation(config: Config, store: Store) -> None:
    """At a start: put a key file that already seals the root key into its place, if a crash kept that from
    happening. A rotation that is under way does it itself."""
    path = key_file_of(config)
    if path is None or not next_key_file(path).exists():
        return
    with _alone(path, wait=False) as alone:
        if alone and next_key_file(path).exists():
            sealed = status(store)
            if sealed is not None and KeyFileSeal.read(next_key_file(path)).id == sealed.seal_id:
                _switch(path)


def rotate_key_file(config: Config, store: Store) -> tuple[str, Path]:
    """A new key file in the place of the seal's. Returns the new seal's id and where the old key file is kept.
    Raises SealError, OSError."""
    path = key_file_of(config)
    if path is None:
        raise SealError("the seal is not a key file: name the new seal by --to")
    with _alone(path, wait=True):
        root = unseal(store, seals_of(config), time.time())
        waiting = next_key_file(path)
        if waiting.exists():
            # Left by a rotation that was killed: either in use already, or never used.
            if KeyFileSeal.read(waiting).id == _sealed_by(store):
                _switch(path)
            else:
                waiting.unlink()
        before = KeyFileSeal.read(path).id
        seal = KeyFileSeal.create(waiting)
        reseal(store, root, seal, time.time())
        _switch(path)
    return seal.id, old_key_file(path, before)


def rotate_to(config: Config, store: Store, spec: str) -> str:
    """The root key sealed by the seal that spec describes (a key file that does not exist is made). Returns its
    id. The settings must name it before the next start. Raises SealError, OSError."""
    root = _root(config, store)
    if spec.startswith(_KEY_FILE) and not Path(spec.removeprefix(_KEY_FILE)).exists():
        KeyFileSeal.create(Path(spec.removeprefix(_KEY_FILE)))
    seal = open_seal(spec)
    reseal(store, root, seal, time.time())
    return seal.id


def _root(config: Config, store: Store) -> RootKey:
    _sealed_by(store)
    return unseal(store, seals_of(config), time.time())


def _sealed_by(store: Store) -> str:
    sealed = status(store)
    if sealed is None:
        raise SealError("there are no keys yet: start the server once")
    return sealed.seal_id


def _switch(path: Path) -> None:
    """The next key file becomes the key file; at every moment one of the names that a start tries has it."""
    if path.exists():
        old = old_key_file(path, KeyFileSeal.read(path).id)
        if not old.exists():
            os.link(path, old)
    os.replace(next_key_file(path), path)
    sync_folder(path.parent)


@contextmanager
def _alone(path: Path, *, wait: bool) -> Iterator[bool]:
    """One rotation of a key file at a time. Yields whether this is the one."""
    lock = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(lock)
