"""A server for each process that runs EventBridge's tests, and houses of toy targets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from events_support import Events, EventsHouse, events_house_in, seed
from server_support import running_server


@pytest.fixture(scope="session")
def bridge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Events]:
    folder = tmp_path_factory.mktemp("events")
    (folder / "seed.json").write_text(json.dumps(seed()))
    with running_server(folder, "--dev", "--seed", str(folder / "seed.json")) as server:
        yield Events(server)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[EventsHouse]:
    with events_house_in(tmp_path) as made:
        yield made
