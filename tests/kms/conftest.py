"""A server for each process that runs KMS's tests, and another one for those that move its clock."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from key_stores_support import Stores, stores_server
from kms_support import Kms, kms_server


@pytest.fixture(scope="session")
def kms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kms]:
    with kms_server(tmp_path_factory.mktemp("kms")) as running:
        yield running


@pytest.fixture(scope="session")
def timed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kms]:
    """A server whose clock tests move, forwards only."""
    with kms_server(tmp_path_factory.mktemp("timed")) as running:
        yield running


@pytest.fixture(scope="session")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    """A server with an HSM and an external key store proxy. Each test takes its stores away again."""
    with stores_server(tmp_path_factory.mktemp("stores")) as running:
        yield running
