"""Files of any size that are there whole or not at all: without a name until all of them is written."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from casemate.server.durable_file import sync_folder


@contextmanager
def whole_file(path: Path, mode: int, *, replace: bool) -> Iterator[BinaryIO]:
    """A file to write; it gets its name at the end, once it is on disk, and none when an exception ends it.

    Where the file system can, it has no name until then, and a process that is killed leaves nothing either. replace:
    take the place of what has the name, which otherwise stays. Raises FileExistsError, OSError.
    """
    descriptor, hidden = _nameless(path, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            if hidden is None and replace:
                hidden = _beside(path)
                _name(file.fileno(), hidden)
            if hidden is None:
                _name(file.fileno(), path)
            elif replace:
                hidden.replace(path)
            else:
                os.link(hidden, path)
    finally:
        if hidden is not None:
            with suppress(FileNotFoundError):
                hidden.unlink()
    sync_folder(path.parent)


def _nameless(path: Path, mode: int) -> tuple[int, Path | None]:
    """A descriptor, and the name that the file has for now on file systems that know no files without one."""
    try:
        return os.open(path.parent, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, mode), None
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL):
            raise
    hidden = _beside(path)
    return os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode), hidden


def _beside(path: Path) -> Path:
    return path.with_name(f".casemate-{secrets.token_hex(8)}")


def _name(descriptor: int, path: Path) -> None:
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # With a descriptor of a folder, because only then Python follows the link that stands for the file.
        os.link(f"/proc/self/fd/{descriptor}", path.name, src_dir_fd=folder, dst_dir_fd=folder)
    finally:
        os.close(folder)
