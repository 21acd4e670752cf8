"""One server for each process that runs KMS's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from kms_support import Kms, kms_server


@pytest.fixture(scope="session")
def kms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kms]:
    with kms_server(tmp_path_factory.mktemp("kms")) as running:
        yield running
