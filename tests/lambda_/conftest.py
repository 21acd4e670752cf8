"""A server for each process that runs Lambda's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from lambda_support import Lambda, lambda_server


@pytest.fixture(scope="session")
def functions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lambda]:
    with lambda_server(tmp_path_factory.mktemp("lambda")) as running:
        yield running
