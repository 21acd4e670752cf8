"""Secrets Manager's fixtures."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from secrets_support import SecretsServer, secrets_server


@pytest.fixture(scope="session")
def secretsmanager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecretsServer]:
    """One server for all tests that do not move its clock."""
    with secrets_server(tmp_path_factory.mktemp("secretsmanager")) as running:
        yield running
