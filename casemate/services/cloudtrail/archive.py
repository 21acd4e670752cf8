"""The archive: what the audit has recorded, hour by hour, in sealed Parquet files that DuckDB writes and reads.

DuckDB and fsspec, by which DuckDB reads what is not a plain file, are imported when a file is first read; a process
of its own writes them. DuckDB sees no name from outside: all values are parameters.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from orjson import dumps, loads

from casemate.engine.envelope.errors import Tampered
from casemate.services.cloudtrail import sealed_files
from casemate.services.cloudtrail.found_events import access_key, read_only, user_name, values
from casemate.services.cloudtrail.pages import Entry, seconds_of
from casemate.services.cloudtrail.sealed_files import File, Reader
from casemate.store.errors import Unavailable
from casemate.store.ids import new_id

if TYPE_CHECKING:
    import duckdb

    from casemate.engine.envelope.hierarchy import WrappingKey
    from casemate.store.blobs import BlobStore

_SCHEME: Final = "casemate"
_MEMORY: Final = "256MB"
_ROWS_OF_GROUP: Final = 2048
_WRITER: Final = Path(__file__).with_name("parquet_writer.py")

COLUMNS: Final = {
    "account": "VARCHAR",
    "region": "VARCHAR",
    "event_time": "BIGINT",
    "written": "BIGINT",
    "event_id": "VARCHAR",
    "event_name": "VARCHAR",
    "event_source": "VARCHAR",
    "read_only": "VARCHAR",
    "user_name": "VARCHAR",
    "access_key_id": "VARCHAR",
    "resource_types": "VARCHAR",
    "resource_names": "VARCHAR",
    "error_code": "VARCHAR",
    "management": "BOOLEAN",
    "run": "VARCHAR",
    "segment": "BIGINT",
    "record": "VARCHAR",
}
"""event_time: seconds since the epoch; written: an entry's order; resource_types, resource_names: each between two
line feeds (``listed``), which DuckDB searches several times faster than a list; record: the whole, as JSON."""

Row = tuple[int, int, str, str]
"""event_time, written, event_id, record"""


class Archive:
    """key: the root's for the archive; days: for which records are kept, 0 for ever."""

    def __init__(self, blobs: BlobStore, key: WrappingKey, days: int) -> None:
        self.blobs = blobs
        self.days = days
        self._key = key
        self._lock = threading.Lock()
        self._found: tuple[duckdb.DuckDBPyConnection, _Files] | None = None

    def __repr__(self) -> str:
        return "<Archive>"

    def write(self, entries: Sequence[Entry]) -> File:
        """A new file with these records, durable; those of an account and a Region by time. Raises Unavailable."""
        lines = b"\n".join(map(dumps, sorted(map(_row, entries), key=_by_place)))
        content = memoryview(_parquet(lines))
        return sealed_files.put(self.blobs, self._key, content)

    def latest(self, files: Sequence[File], where: str, parameters: Sequence[Any], limit: int) -> list[Row]:
        """The latest records of these files, the latest first. where: a condition on ``COLUMNS`` with ``?`` for the
        parameters. Raises Tampered, Unavailable."""
        if not files:
            return []
        with self._lock:
            connection, opened = self._duckdb()
            shown = [opened.show(file) for file in files]
            try:
                # Which they are, first: to read records takes longer than all the rest.
                places = connection.execute(
                    _union(
                        f"SELECT event_time, written, event_id, {index} AS file FROM read_parquet('{name}') "
                        f"WHERE {where}"
                        for index, name in enumerate(shown)
                    )
                    + f" LIMIT {int(limit)}",
                    [*parameters] * len(files),
                ).fetchall()
                parts, wanted = [], []
                for index, name in enumerate(shown):
                    found = [(time, event) for time, _, event, file in places if file == index]
                    if found:
                        times, events = zip(*found, strict=True)
                        parts.append(
                            f"SELECT event_time, written, event_id, record FROM read_parquet('{name}') "
                            f"WHERE event_time BETWEEN ? AND ? AND event_id IN ({', '.join('?' * len(events))})"
                        )
                        wanted += [min(times), max(times), *events]
                return connection.execute(_union(parts), wanted).fetchall() if parts else []
            except Exception as error:
                raise opened.failure or Tampered(f"the archive cannot be read: {error}") from error
            finally:
                opened.forget()

    def entries(self, file: File) -> Iterator[Entry]:
        """All that a file holds, in the order of the journal. Raises Tampered, Unavailable."""
        with self._lock:
            connection, opened = self._duckdb()
            try:
                rows = connection.execute(
                    f"SELECT written, run, segment, record FROM read_parquet('{opened.show(file)}') "
                    "ORDER BY written, event_id"
                ).fetchall()
            except Exception as error:
                raise opened.failure or Tampered(f"the archive cannot be read: {error}") from error
            finally:
                opened.forget()
        for order, run, segment, text in rows:
            yield Entry(order, run, segment, text.encode())

    def _duckdb(self) -> tuple[duckdb.DuckDBPyConnection, _Files]:
        """The connection, and what it sees."""
        if self._found is None:
            import duckdb

            connection = duckdb.connect(
                ":memory:",
                config={
                    # One reads a file at a time, and the server needs the other cores.
                    "threads": 1,
                    "memory_limit": _MEMORY,
                    # Nothing is to lie on the disk that is not sealed, and nothing comes from elsewhere.
                    "temp_directory": "",
                    "enable_external_file_cache": False,
                    "autoinstall_known_extensions": False,
                    "autoload_known_extensions": False,
                    "allow_community_extensions": False,
                },
            )
            files = _Files(self.blobs, self._key)
            connection.register_filesystem(files.system())
            self._found = connection, files
        return self._found


def _parquet(lines: bytes) -> bytes:
    """A Parquet file of these rows, made by a process of its own. Raises Unavailable."""
    made = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-I", str(_WRITER), json.dumps(COLUMNS), str(_ROWS_OF_GROUP)],
        input=lines,
        capture_output=True,
        # What it could tell of the server is none of its business.
        env={},
        check=False,
    )
    if made.returncode:
        # What it says may have records in it.
        raise Unavailable(f"no Parquet file could be made: exit status {made.returncode}")
    return made.stdout


def _union(parts: Iterable[str]) -> str:
    return (
        f"SELECT * FROM ({' UNION ALL '.join(parts)}) ORDER BY event_time DESC, written DESC, event_id DESC"
    )


def listed(found: Iterable[str]) -> str:
    return "\n".join(["", *found, ""])


def _row(entry: Entry) -> dict[str, Any]:
    record = loads(entry.text)
    return {
        "account": record["recipientAccountId"],
        "region": record["awsRegion"],
        "event_time": seconds_of(record["eventTime"]),
        "written": entry.order,
        "event_id": record["eventID"],
        "event_name": record["eventName"],
        "event_source": record["eventSource"],
        "read_only": read_only(record),
        "user_name": user_name(record),
        "access_key_id": access_key(record),
        "resource_types": listed(values(record, "ResourceType")),
        "resource_names": listed(values(record, "ResourceName")),
        "error_code": record.get("errorCode"),
        "management": record["managementEvent"],
        "run": entry.run,
        "segment": entry.segment,
        "record": entry.text.decode(),
    }


def _by_place(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["account"], row["region"], row["event_time"], row["written"], row["event_id"]


class _Watched(Reader):
    """DuckDB does not pass on what a file raised."""

    def __init__(self, files: _Files, blobs: BlobStore, key: WrappingKey, file: File) -> None:
        super().__init__(blobs, key, file)
        self._files = files

    def read(self, size: int | None = -1, /) -> bytes:
        try:
            return super().read(size)
        except Exception as error:
            self._files.failure = error
            raise


class _Files:
    """What DuckDB sees under ``casemate://``, for the time of a statement. failure: why one could not be read."""

    def __init__(self, blobs: BlobStore, key: WrappingKey) -> None:
        self._blobs = blobs
        self._key = key
        self._shown: dict[str, File] = {}
        self.failure: Exception | None = None

    def show(self, file: File) -> str:
        """The name under which a statement finds it. DuckDB may remember what it saw under a name."""
        name = f"{_SCHEME}://{new_id()}.parquet"
        self._shown[name] = file
        return name

    def forget(self) -> None:
        self._shown.clear()
        self.failure = None

    def open(self, name: str) -> io.IOBase:
        try:
            return _Watched(self, self._blobs, self._key, self._shown[name])
        except Exception as error:
            self.failure = error
            raise

    def size(self, name: str) -> int:
        return self._shown[name].size

    def system(self) -> Any:
        """As fsspec's."""
        from fsspec import AbstractFileSystem

        files = self

        class System(AbstractFileSystem):  # type: ignore[misc]  # fsspec has no types
            protocol = _SCHEME
            cachable = False

            def open(self, path: str, mode: str = "rb", *_: Any, **__: Any) -> Any:  # noqa: ARG002
                return files.open(_full(path))

            def info(self, path: str, **_: Any) -> dict[str, Any]:
                return {"name": path, "size": files.size(_full(path)), "type": "file"}

            def exists(self, path: str, **_: Any) -> bool:
                return _full(path) in files._shown

            def glob(self, path: str, maxdepth: Any = None, **_: Any) -> list[str]:  # noqa: ARG002
                return [path]

            def modified(self, path: str) -> datetime:  # noqa: ARG002
                return datetime.fromtimestamp(0, UTC)

        return System()


def _full(path: str) -> str:
    """fsspec takes off what names begin with, here and there."""
    return path if path.startswith(_SCHEME) else f"{_SCHEME}://{path}"
