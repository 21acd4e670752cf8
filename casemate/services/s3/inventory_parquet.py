"""Inventories in Parquet, which DuckDB writes: in memory, for nothing is to lie on the disk that is not sealed. It is
imported when the first is written.

Source: "Amazon S3 Inventory list", "Locating your inventory list" (the schema of Parquet's manifest).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple
from uuid import uuid4

from orjson import dumps

_MEMORY = "256MB"


class _Kind(NamedTuple):
    """A column's name in Parquet; its type in SQL and in the manifest."""

    name: str
    type: str = "VARCHAR"

    @property
    def shown(self) -> str:
        need = "required" if self.name in ("bucket", "key") else "optional"
        return f"{need} {_SHOWN[self.type].format(self.name)}"


_SHOWN: Mapping[str, str] = {
    "VARCHAR": "binary {} (UTF8)",
    "BOOLEAN": "boolean {}",
    "BIGINT": "int64 {}",
    "TIMESTAMP": "int64 {} (TIMESTAMP_MILLIS)",
}

_KINDS: Mapping[str, _Kind] = {
    "Bucket": _Kind("bucket"),
    "Key": _Kind("key"),
    "VersionId": _Kind("version_id"),
    "IsLatest": _Kind("is_latest", "BOOLEAN"),
    "IsDeleteMarker": _Kind("is_delete_marker", "BOOLEAN"),
    "Size": _Kind("size", "BIGINT"),
    "LastModifiedDate": _Kind("last_modified_date", "TIMESTAMP"),
    "ETag": _Kind("e_tag"),
    "StorageClass": _Kind("storage_class"),
    "IsMultipartUploaded": _Kind("is_multipart_uploaded", "BOOLEAN"),
    "ReplicationStatus": _Kind("replication_status"),
    "EncryptionStatus": _Kind("encryption_status"),
    "ObjectLockRetainUntilDate": _Kind("object_lock_retain_until_date", "TIMESTAMP"),
    "ObjectLockMode": _Kind("object_lock_mode"),
    "ObjectLockLegalHoldStatus": _Kind("object_lock_legal_hold_status"),
    "IntelligentTieringAccessTier": _Kind("intelligent_tiering_access_tier"),
    "BucketKeyStatus": _Kind("bucket_key_status"),
    "ChecksumAlgorithm": _Kind("checksum_algorithm"),
    "ObjectAccessControlList": _Kind("object_access_control_list"),
    "ObjectOwner": _Kind("object_owner"),
    "LifecycleExpirationDate": _Kind("lifecycle_expiration_date", "TIMESTAMP"),
}
"""By the column's name in CSV."""

_TRUTH = {"true": True, "false": False}


def schema(columns: Sequence[str]) -> str:
    """As the manifest tells it."""
    return f"message s3.inventory {{ {' '.join(f'{_KINDS[name].shown};' for name in columns)} }}"


def parquet(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
    """A file's content. rows: as in CSV, with keys as they are; what is empty is not there."""
    import duckdb
    from fsspec.implementations.memory import MemoryFileSystem

    kinds = [_KINDS[name] for name in columns]
    lines = b"\n".join(
        dumps({kind.name: _value(kind, text) for kind, text in zip(kinds, row, strict=True)}) for row in rows
    )
    shape = ", ".join(f"{kind.name}: '{kind.type}'" for kind in kinds)
    times = ", ".join(
        f"{kind.name}::TIMESTAMP_MS AS {kind.name}" for kind in kinds if kind.type == "TIMESTAMP"
    )
    listed = f"* REPLACE ({times})" if times else "*"
    files = MemoryFileSystem()
    source, target = (f"/inventory-{uuid4().hex}" for _ in range(2))
    config: dict[str, str | bool | int | float | list[str]] = {
        "threads": 1,
        "memory_limit": _MEMORY,
        "temp_directory": "",
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }
    with duckdb.connect(":memory:", config=config) as connection:
        connection.register_filesystem(files)
        files.pipe_file(source, lines)
        try:
            connection.execute(
                # Names and types are this module's own.
                f"COPY (SELECT {listed} FROM read_json('memory://{source}', format = 'newline_delimited', "
                f"columns = {{{shape}}})) TO 'memory://{target}' (FORMAT parquet, USE_TMP_FILE false)"
            )
            content: bytes = files.cat_file(target)
        finally:
            for name in (source, target):
                if files.exists(name):
                    files.rm_file(name)
    return content


def _value(kind: _Kind, text: str) -> str | bool | int | None:
    if not text:
        return None
    if kind.type == "BOOLEAN":
        return _TRUTH[text]
    return int(text) if kind.type == "BIGINT" else text
