"""A server for each process that runs CloudWatch Logs' tests, and another one for those that move its clock."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from logs_support import Logs, logs_server


@pytest.fixture(scope="session")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Logs]:
    with logs_server(tmp_path_factory.mktemp("logs")) as running:
        yield running


@pytest.fixture(scope="session")
def timed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Logs]:
    """A server whose clock tests move, forwards only."""
    with logs_server(tmp_path_factory.mktemp("timed")) as running:
        yield running
