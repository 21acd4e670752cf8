"""One server for each process that runs STS's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sts_support import Sts, sts_server


@pytest.fixture(scope="session")
def sts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sts]:
    with sts_server(tmp_path_factory.mktemp("sts")) as running:
        yield running
