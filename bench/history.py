"""How long lookups in a long event history take: ``python bench/history.py``.

Makes 90 days of hours in the archive, ten million events unless told otherwise, by DuckDB itself; puts the latest
ones where a server has them, in rows; and looks up by every attribute, in this process: what is common, what is
rare, what is not there, and pages deep inside. Prints milliseconds, the median and the slowest of ``--rounds``.
"""

# ruff: noqa: E501 - SQL

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any
from zlib import crc32

import duckdb

from casemate.engine.envelope.hierarchy import RootKey
from casemate.server.composition import MIGRATIONS
from casemate.services.cloudtrail import pages, sealed_files, terms
from casemate.services.cloudtrail.archive import COLUMNS, Archive
from casemate.services.cloudtrail.found_events import shown
from casemate.services.cloudtrail.history import History, Lookup
from casemate.services.cloudtrail.pages import Page, Sealed
from casemate.store.blobs import open_blobs
from casemate.store.database import Tx, open_store
from casemate.store.ids import new_id
from casemate.store.journal_format import Position

ACCOUNT, REGION = "111122223333", "us-east-1"
HOURS = 90 * 24
RECENT = 2_000
"""Events that are rows still, in pages of 20: what a calm hour leaves."""

_RECORD = (
    """'{"eventVersion":"1.11","userIdentity":{"type":"IAMUser","principalId":"AIDA' || u || '","arn":"arn:aws:iam::"""
    + ACCOUNT
    + """:user/' || u || '","accountId":"111122223333","accessKeyId":"AKIA' || u || '","userName":"' || u || '"},"""
    """"eventTime":"' || strftime(to_timestamp(t), '%Y-%m-%dT%H:%M:%SZ') || '","eventSource":"kms.amazonaws.com","""
    """"eventName":"' || n || '","awsRegion":"us-east-1","sourceIPAddress":"10.0.' || (i % 250) || '.7","userAgent":"""
    """"Boto3/1.44.5 md/Botocore#1.44.5 ua/2.1 os/linux#6.1 md/arch#x86_64 lang/python#3.11 cfg/retry-mode#standard","""
    """"requestParameters":{"keyId":"' || r || '","encryptionContext":{"order":"' || md5(e) || '"}},"""
    """"responseElements":null,"requestID":"' || e || '","readOnly":' || o || ',"eventType":"AwsApiCall","""
    """"managementEvent":true,"eventCategory":"Management","resources":[{"accountId":"111122223333","""
    """"type":"AWS::KMS::Key","ARN":"' || r || '"}],"eventID":"' || e || '","recipientAccountId":"111122223333"}'"""
)


def rows(start: int, count: int) -> str:
    """An hour's events as SQL. user-7, key-7 and DeleteAlias are rare: some ten days apart, once an hour, once a day."""
    hour = start // 3600
    return f"""
        SELECT '{ACCOUNT}' AS account, '{REGION}' AS region, t AS event_time, t * 1000000000 + i AS written, e AS event_id,
            n AS event_name, 'kms.amazonaws.com' AS event_source, o AS read_only, u AS user_name,
            'AKIA' || u AS access_key_id, chr(10) || 'AWS::KMS::Key' || chr(10) AS resource_types,
            chr(10) || r || chr(10) AS resource_names, CAST(NULL AS VARCHAR) AS error_code, true AS management,
            'run' AS run, 1 AS segment, {_RECORD} AS record
        FROM (SELECT i, {start} + i * 3600 // {count} AS t,
            CASE WHEN i = 17 AND {hour} % 24 = 0 THEN 'DeleteAlias'
                ELSE ['Decrypt', 'GenerateDataKey', 'Encrypt', 'DescribeKey'][CAST(1 + hash(i, {hour}) % 4 AS BIGINT)] END AS n,
            CASE WHEN i = 11 AND {hour} % 240 = 0 THEN 'user-7' ELSE 'user-' || (100 + hash(i, {hour}, 1) % 50) END AS u,
            'arn:aws:kms:us-east-1:{ACCOUNT}:key/key-' ||
                CASE WHEN i = 13 THEN 7 ELSE 1000 + hash(i, {hour}, 2) % 1000 END AS r,
            CASE WHEN hash(i, {hour}, 3) % 10 = 0 THEN 'false' ELSE 'true' END AS o,
            printf('%08x-0000-4000-8000-%012x', {start} + i * 3600 // {count}, i) AS e
            FROM range({count}) AS numbers(i))"""


@cache
def duckdb_of() -> Any:
    return duckdb.connect()


def add_hour(tx: Tx, history: History, start: int, count: int, made: Path) -> None:
    """made: where DuckDB may put the file for now."""
    archive = history.archive
    connection = duckdb_of()
    connection.execute(f"CREATE OR REPLACE TEMP TABLE hour AS {rows(start, count)}")
    connection.execute(
        f"COPY (SELECT {', '.join(COLUMNS)} FROM hour) TO '{made}' "
        "(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 2048, USE_TMP_FILE false)"
    )
    file = sealed_files.put(archive.blobs, archive._key, memoryview(made.read_bytes()))
    page = Page(ACCOUNT, REGION, start + 3599, new_id(), start, count, file.name)
    tx.run(
        "INSERT INTO cloudtrail_archive (name, blob, size, key, first, last, events) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (file.name, file.blob, file.size, file.key, page.first, page.last, count),
    )
    pages.insert(tx, Sealed(page, 0, b"", b""), "")
    columns = {
        "EventName": "event_name",
        "ReadOnly": "read_only",
        "Username": "user_name",
        "ResourceType": "trim(resource_types, chr(10))",
        "ResourceName": "trim(resource_names, chr(10))",
        "EventSource": "event_source",
        "AccessKeyId": "access_key_id",
    }
    for number, attribute in enumerate(terms.INDEXED):
        found = {
            crc32(value.encode())
            for (value,) in connection.execute(f"SELECT DISTINCT {columns[attribute]} FROM hour").fetchall()
        }
        tx.run(
            "INSERT INTO cloudtrail_terms (page, attribute, terms) VALUES (?, ?, ?)",
            (page.id, number, pages.seal_terms(history.key, page, number, found)),
        )


def recent(history: History, start: int) -> Iterator[Any]:
    """What keeps the latest events, as readings of the journal do."""
    connection = duckdb_of()
    texts = connection.execute(f"SELECT record FROM ({rows(start, RECENT)}) ORDER BY written").fetchall()
    for begin in range(0, RECENT, 20):
        gathering = pages.Gathering(history.key, lambda _: None)
        for index, (text,) in enumerate(texts[begin : begin + 20]):
            position = Position(start * 10**9 + (begin + index) * 10**6, "run", 2, 0, 0, 0)
            gathering.see(position, text.encode(), json.loads(text))
        yield gathering.pack()


def measure(name: str, rounds: int, find: Any) -> None:
    taken, used = [], []
    for _ in range(rounds):
        begun, cpu = time.perf_counter(), time.process_time()
        found = find()
        used.append((time.process_time() - cpu) * 1000)
        taken.append((time.perf_counter() - begun) * 1000)
    middle = statistics.median
    print(
        f"{name:46} {len(found):3} events  {middle(taken):7.1f} {max(taken):8.1f} {middle(used):7.1f}",
        flush=True,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument(
        "--blobs", default="", help="where the archive is; a folder that is removed unless given"
    )
    options = parser.parse_args(arguments)
    count = options.events // HOURS
    end = int(time.time()) // 3600 * 3600
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(f"sqlite://{folder}/history.db", migrations=MIGRATIONS)
        root = RootKey.generate()
        archive = Archive(open_blobs(options.blobs or f"{folder}/archive"), root.wrapping_key("a"), 90)
        history = History(archive, root.wrapping_key("b"))
        begun = time.perf_counter()
        for start in range(end - HOURS * 3600, end, 3600):
            store.write(lambda tx, start=start: add_hour(tx, history, start, count, Path(folder, "hour")))  # type: ignore[misc]
        for keep in recent(history, end):
            store.write(lambda tx, keep=keep: keep(tx, {}))  # type: ignore[misc]
        stored = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
        print(
            f"{count * HOURS + RECENT:,} events in {HOURS} files and {RECENT // 20} pages, {stored / 2**20:,.0f} MiB, "
            f"made in {time.perf_counter() - begun:.0f} s"
        )
        print(f"{'':57}   median  slowest      CPU, ms")
        anything = Lookup(ACCOUNT, REGION, "", "", end - HOURS * 3600, end + 3600)
        middle = end - HOURS * 1800

        def find(lookup: Lookup) -> Any:
            def look() -> Any:
                found = store.read(lambda tx: history.find(tx, lookup, 51))
                return [shown(each.record, each.text) for each in found[:50]]

            return look

        def by(key: str, value: str) -> Lookup:
            return anything._replace(key=key, value=value)

        arn = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/key-"
        for name, lookup in (
            ("the latest", anything),
            ("45 days ago", anything._replace(end=middle)),
            ("EventId, 45 days ago", by("EventId", f"{middle:08x}-0000-4000-8000-{0:012x}")),
            ("EventId that is not there", by("EventId", f"{middle:08x}-0000-4000-8000-{0xFFFF:012x}")),
            ("EventName, common", by("EventName", "Decrypt")),
            ("EventName, common, 45 days ago", by("EventName", "Decrypt")._replace(end=middle)),
            ("EventName, once a day", by("EventName", "DeleteAlias")),
            ("EventName that is not there", by("EventName", "CreateTrail")),
            ("EventSource", by("EventSource", "kms.amazonaws.com")),
            ("ReadOnly=false", by("ReadOnly", "false")),
            ("Username, one of fifty", by("Username", "user-123")),
            ("Username, one of fifty, 45 days ago", by("Username", "user-123")._replace(end=middle)),
            ("Username, once in ten days", by("Username", "user-7")),
            (
                "AccessKeyId, one of fifty, 45 days ago",
                by("AccessKeyId", "AKIAuser-123")._replace(end=middle),
            ),
            ("ResourceType, 45 days ago", by("ResourceType", "AWS::KMS::Key")._replace(end=middle)),
            ("ResourceName, one of a thousand", by("ResourceName", f"{arn}1500")),
            (
                "ResourceName, one of a thousand, 45 days ago",
                by("ResourceName", f"{arn}1500")._replace(end=middle),
            ),
            ("ResourceName, once an hour", by("ResourceName", f"{arn}7")),
            ("ResourceName that is not there", by("ResourceName", f"{arn}none")),
        ):
            measure(name, options.rounds, find(lookup))
        store.close()


if __name__ == "__main__":
    main()
