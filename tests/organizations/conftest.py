"""One server for each process that runs Organizations' tests, and a world of its own for each test."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest
from orgs_support import World, organizations_server
from server_support import Server


@pytest.fixture(scope="session")
def organizations(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with organizations_server(tmp_path_factory.mktemp("organizations")) as running:
        yield running


@pytest.fixture(scope="session")
def numbers() -> Iterator[int]:
    return count()


@pytest.fixture
def world(organizations: Server, numbers: Iterator[int]) -> World:
    return World(organizations, next(numbers))
