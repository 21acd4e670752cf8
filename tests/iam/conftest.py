"""A server for each process that runs IAM's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from iam_support import Iam, iam_server


@pytest.fixture(scope="session")
def iam(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Iam]:
    with iam_server(tmp_path_factory.mktemp("iam")) as running:
        yield running
