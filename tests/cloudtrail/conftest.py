"""A server for each process that runs CloudTrail's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from cloudtrail_support import Trail, trail_server


@pytest.fixture(scope="session")
def trail(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trail]:
    with trail_server(tmp_path_factory.mktemp("trail")) as running:
        yield running


@pytest.fixture(scope="session")
def moving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trail]:
    """Another one, whose clock tests move."""
    with trail_server(tmp_path_factory.mktemp("moving")) as running:
        yield running
