"""A server for each process that runs CloudWatch's tests, and another one for those that move its clock."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from cloudwatch_support import CloudWatch, cloudwatch_server


@pytest.fixture(scope="session")
def cloudwatch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudWatch]:
    with cloudwatch_server(tmp_path_factory.mktemp("cloudwatch")) as running:
        yield running


@pytest.fixture(scope="session")
def timed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudWatch]:
    """A server whose clock tests move, forwards only."""
    with cloudwatch_server(tmp_path_factory.mktemp("timed")) as running:
        yield running
