"""A server for each process that runs SNS's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sns_support import Listener
from sqs_support import Sqs, sqs_server


@pytest.fixture(scope="session")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sqs]:
    with sqs_server(tmp_path_factory.mktemp("sns")) as running:
        yield running


@pytest.fixture
def listener() -> Iterator[Listener]:
    """An HTTP endpoint."""
    with Listener() as listening:
        yield listening
