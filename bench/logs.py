"""What CloudWatch Logs takes in and searches: ``python bench/logs.py``.

PutLogEvents with 1,000 events each on one worker, without and with a metric filter; then FilterLogEvents over a
million events, for a word that hardly any of them has and by a JSON pattern, and queries of Logs Insights over the
same. Prints what it measured; asserts nothing but that all was found.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import tempfile
import time
from pathlib import Path
from typing import Any

from parameters import client_of
from run import measure
from targets import Target, captured, casemate

BATCH = 1_000
GROUP, STREAM = "/bench/group", "stream"
PATHS = ("/index.html", "/api/orders", "/api/users", "/static/app.js")


def message(random_of: random.Random, number: int) -> str:
    path, status = random_of.choice(PATHS), random_of.choice((200, 200, 200, 304, 404, 500))
    took, user = random_of.random() * 300, random_of.randrange(10**6)
    return f'{{"path":"{path}","status":{status},"ms":{took:.2f},"user":"u{user}","n":{number}}}'


def batches(client: Any, count: int) -> list[bytes]:
    """Signed requests, each with other events of now."""
    chosen, now = random.Random(1), int(time.time() * 1000)
    return [
        captured(
            client,
            "put_log_events",
            logGroupName=GROUP,
            logStreamName=STREAM,
            logEvents=[
                {"timestamp": now + number, "message": message(chosen, batch * BATCH + number)}
                for number in range(BATCH)
            ],
        )
        for batch in range(count)
    ]


def scanned(client: Any, pattern: str) -> tuple[int, float, int]:
    """Events found, seconds, pages."""
    begun, found, pages, token = time.perf_counter(), 0, 0, dict[str, str]()
    while True:
        page = client.filter_log_events(logGroupName=GROUP, filterPattern=pattern, **token)
        found, pages = found + len(page["events"]), pages + 1
        if "nextToken" not in page:
            return found, time.perf_counter() - begun, pages
        token = {"nextToken": page["nextToken"]}


def queried(client: Any, query: str) -> tuple[Any, float]:
    """The results of a query of Logs Insights, and seconds."""
    begun, now = time.perf_counter(), int(time.time())
    made = client.start_query(
        logGroupName=GROUP, queryString=query, startTime=now - 7200, endTime=now + 7200
    )["queryId"]
    while (found := client.get_query_results(queryId=made))["status"] in ("Scheduled", "Running"):
        time.sleep(0.02)
    if found["status"] != "Complete":
        raise SystemExit(f"{query}: {found['status']}")
    return found, time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each of five runs")
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--events", type=int, default=1_000_000, help="to search")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="casemate-bench-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        target: Target = stack.enter_context(casemate(folder))
        client = client_of(target, folder, "logs")
        client.create_log_group(logGroupName=GROUP)
        client.create_log_stream(logGroupName=GROUP, logStreamName=STREAM)
        target.requests["PutLogEvents"] = batches(client, 64)
        size = len(target.requests["PutLogEvents"][0])
        for kind in ("", "", "", " with a metric filter", " with a metric filter"):
            if kind:
                client.put_metric_filter(
                    logGroupName=GROUP,
                    filterName="took",
                    filterPattern="{ $.status = 500 }",
                    metricTransformations=[
                        {
                            "metricName": "took",
                            "metricNamespace": "Bench",
                            "metricValue": "$.ms",
                            "dimensions": {"path": "$.path"},
                        }
                    ],
                )
            run = measure(target, "PutLogEvents", folder, args.connections, args.seconds)
            print(
                f"PutLogEvents{kind}: {run.rate * BATCH:,.0f} events/s in requests of {size:,} bytes, "
                f"{run.cpu / BATCH:.2f} µs CPU an event, p99 {run.p99:.1f} ms, {run.failures} failed"
            )
        client.delete_log_group(logGroupName=GROUP)
        client.create_log_group(logGroupName=GROUP)
        client.create_log_stream(logGroupName=GROUP, logStreamName=STREAM)
        chosen, now = random.Random(2), int(time.time() * 1000) - 3_600_000
        for first in range(0, args.events, BATCH):
            client.put_log_events(
                logGroupName=GROUP,
                logStreamName=STREAM,
                logEvents=[
                    {"timestamp": now + number // 10, "message": message(chosen, number)}
                    for number in range(first, first + BATCH)
                ],
            )
        for pattern in ("u123456", '"n\\":77777}"', "500 orders -u1", "{ $.status = 500 && $.ms > 299.9 }"):
            found, seconds, pages = scanned(client, pattern)
            print(
                f"FilterLogEvents {pattern}: {found:,} of {args.events:,} in {seconds:.2f} s, {pages} pages"
            )
        for query in (
            "filter user = 'u123456'",
            "stats count(*) by status",
            "filter status = 500 | stats avg(ms), pct(ms, 99), count_distinct(user) by path, bin(1m)",
            'parse @message \'"user":"*"\' as who | stats count(*) as n by who | sort n desc | limit 10',
        ):
            result, seconds = queried(client, query)
            scanned_events = int(result["statistics"]["recordsScanned"])
            print(
                f"Insights {query}: {len(result['results']):,} rows of {scanned_events:,} in {seconds:.2f} s"
            )


if __name__ == "__main__":
    main()
