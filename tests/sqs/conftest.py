"""A server for each process that runs SQS's tests, and another one for those that move its clock."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqs_support import Sqs, sqs_server


@pytest.fixture(scope="session")
def sqs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sqs]:
    with sqs_server(tmp_path_factory.mktemp("sqs")) as running:
        yield running


@pytest.fixture(scope="session")
def timed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sqs]:
    """A server whose clock tests move, forwards only."""
    with sqs_server(tmp_path_factory.mktemp("timed")) as running:
        yield running
