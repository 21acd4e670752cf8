"""Metrics: read by a parser of the format, added up over workers, and never going backwards."""

from __future__ import annotations

import os
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families
from server_support import Server, running_server

from casemate.gate.tally import BOUNDS, Tallies
from casemate.server.metrics import Published, Snapshot, exposition, take_snapshot
from casemate.server.transport_limits import Counters
from casemate.services.iam.identities import AccessKey


class Page:
    """A page, read by Prometheus's own parser."""

    def __init__(self, text: str) -> None:
        assert text.endswith("\n")
        self.families = list(text_string_to_metric_families(text))
        self.samples = [sample for family in self.families for sample in family.samples]
        keys = [(sample.name, tuple(sorted(sample.labels.items()))) for sample in self.samples]
        assert len(set(keys)) == len(keys), "a series comes once"
        for family in self.families:
            assert family.type in ("counter", "gauge", "histogram"), family
            assert family.documentation

    def value(self, name: str, **labels: str) -> float:
        """The sum of the samples that have these labels."""
        found = [
            sample.value
            for sample in self.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        ]
        assert found, f"there is no {name} {labels}"
        return sum(found)


def scrape(server: Server) -> Page:
    with urllib.request.urlopen(server.metrics_endpoint) as response:
        assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        return Page(response.read().decode())


def eventually(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "it did not come to be"
        time.sleep(0.05)


def test_a_server_shows_what_it_did(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        kms = server.client("kms")
        key = kms.create_key()["KeyMetadata"]["KeyId"]
        for _ in range(3):
            kms.encrypt(KeyId=key, Plaintext=b"x")
        stranger = server.client("kms", AccessKey("AKIAIOSFODNN7EXAMPLE", "x"))
        with pytest.raises(ClientError):
            stranger.list_keys()
        page = scrape(server)
        assert page.value("casemate_requests_total", operation="kms:Encrypt", code="") == 3
        assert page.value("casemate_requests_total", operation="kms:CreateKey", code="") == 1
        assert page.value("casemate_requests_total", code="UnrecognizedClientException") == 1
        assert page.value("casemate_request_seconds_count", operation="kms:Encrypt") == 3
        assert page.value("casemate_request_seconds_bucket", operation="kms:Encrypt", le="+Inf") == 3
        assert page.value("casemate_http_requests_total") >= 5
        assert page.value("casemate_received_bytes_total") > 0
        assert page.value("casemate_sent_bytes_total") > 0
        assert page.value("casemate_workers") == 1
        assert page.value("casemate_journal_healthy", worker="0") == 1
        assert page.value("casemate_store_readable") == 1
        assert page.value("casemate_generations_total", domain="kms") > 0
        assert page.value("casemate_jobs", state="failing") == 0
        assert page.value("process_resident_memory_bytes", worker="0") > 1e6
        assert page.value("process_cpu_seconds_total", worker="0") > 0


def test_the_transports_refusals_are_counted(server: Server) -> None:
    import socket

    host, port = server.endpoint.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\n\r\n")  # no Host
        assert b"400" in raw.recv(1000)
    assert scrape(server).value("casemate_refusals_total") >= 1


def test_nothing_else_is_on_the_metrics_port(server: Server) -> None:
    for path in ("/", "/metrics/", "/_casemate/health"):
        with pytest.raises(urllib.error.HTTPError, match="404") as refused:
            urllib.request.urlopen(server.metrics_endpoint.removesuffix("/metrics") + path)
        refused.value.close()
    request = urllib.request.Request(server.metrics_endpoint, data=b"x", method="POST")
    with pytest.raises(urllib.error.HTTPError, match=r"405|413") as refused:
        urllib.request.urlopen(request)
    refused.value.close()
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{server.endpoint}/metrics")
    refused.value.close()


def test_workers_are_added_up_also_after_a_death(tmp_path: Path) -> None:
    with running_server(tmp_path, "--workers", "2") as server:

        def workers() -> list[int]:
            path = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")
            return [int(pid) for pid in path.read_text().split()]

        def answered(page: Page) -> float:
            return sum(sample.value for sample in page.samples if sample.name == "casemate_requests_total")

        def ask(count: int) -> None:
            for _ in range(count):  # each by a connection of its own, so that both workers get some
                with pytest.raises(urllib.error.HTTPError) as refused:
                    urllib.request.urlopen(server.endpoint)
                refused.value.close()

        def published() -> float:
            alive, gone = Published(server.data / "run").others(-1)
            return answered(Page(exposition(alive, gone, {}, None).decode()))

        ask(12)
        # The others' numbers come along within a second.
        eventually(lambda: published() == 12)
        assert answered(scrape(server)) == 12
        before = workers()
        assert len(before) == 2
        os.kill(before[0], signal.SIGKILL)
        eventually(lambda: len(workers()) == 2 and before[0] not in workers())
        ask(8)
        eventually(lambda: answered(scrape(server)) == 20)
        eventually(lambda: scrape(server).value("casemate_workers") == 2)
        assert "ended with status -9" in server.log


def snapshot(worker: int = 0, tallies: Tallies | None = None) -> Snapshot:
    return take_snapshot(worker, tallies or Tallies(), Counters(), journal_healthy=True)


def test_the_dead_count_on(tmp_path: Path) -> None:
    published = Published(tmp_path / "run")
    published.begin()
    tallies = Tallies()
    tallies.count("kms:Encrypt", "", 0.001)
    published.publish(snapshot(0, tallies))
    published.publish(snapshot(1))
    published.bury(1)
    published.publish(snapshot(1))
    alive, gone = published.others(1)
    assert [each.worker for each in alive] == [0]
    assert [each.worker for each in gone] == [1]
    published.bury(0)
    published.bury(0)  # dead before it published anything
    alive, gone = published.others(1)
    assert alive == []
    page = Page(exposition([snapshot(1)], gone, {}, None).decode())
    assert page.value("casemate_requests_total", operation="kms:Encrypt") == 1
    assert page.value("casemate_workers") == 1
    assert page.value("casemate_store_readable") == 0
    published.begin()
    assert published.others(5) == ([], []), "a server that starts counts anew"


CALLS = st.lists(
    st.tuples(
        st.sampled_from(["kms:Encrypt", "kms:Decrypt", 'odd"\\\nname']),
        st.sampled_from(["", "AccessDeniedException", 'odd"\\\ncode']),
        st.floats(0, 20),
    ),
    max_size=30,
)


@given(by_worker=st.lists(CALLS, min_size=1, max_size=3))
def test_any_counts_make_a_page_that_adds_up(by_worker: list[list[tuple[str, str, float]]]) -> None:
    snapshots = []
    for number, calls in enumerate(by_worker):
        tallies = Tallies()
        for call in calls:
            tallies.count(*call)
        snapshots.append(snapshot(number, tallies))
    page = Page(exposition(snapshots, [], {"iam": 1}, {"due": 0}).decode())
    everything = [call for calls in by_worker for call in calls]
    for operation in {call[0] for call in everything}:
        times = [seconds for name, _, seconds in everything if name == operation]
        assert page.value("casemate_requests_total", operation=operation) == len(times)
        assert page.value("casemate_request_seconds_count", operation=operation) == len(times)
        assert page.value("casemate_request_seconds_sum", operation=operation) == pytest.approx(sum(times))
        for bound in BOUNDS:
            below = page.value("casemate_request_seconds_bucket", operation=operation, le=str(bound))
            assert below == sum(seconds <= bound for seconds in times)
