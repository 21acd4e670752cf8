"""A server for each process that runs Parameter Store's tests, and another one for those that move its clock."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from ssm_support import Ssm, ssm_server


@pytest.fixture(scope="session")
def ssm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ssm]:
    with ssm_server(tmp_path_factory.mktemp("ssm")) as running:
        yield running


@pytest.fixture(scope="session")
def timed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ssm]:
    """A server whose clock tests move, forwards only."""
    with ssm_server(tmp_path_factory.mktemp("timed")) as running:
        yield running
