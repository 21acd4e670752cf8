"""One seeded server for the tests of a process that do not stop it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from e2e_support import seed_file
from server_support import Server, running_server


@pytest.fixture(scope="session")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("e2e")
    with running_server(folder, "--dev", "--seed", str(seed_file(folder))) as server:
        yield server
