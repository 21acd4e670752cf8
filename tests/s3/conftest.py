"""A server for each process that runs S3's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from s3_support import S3, s3_server


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    with s3_server(tmp_path_factory.mktemp("s3")) as running:
        yield running


@pytest.fixture(autouse=True)
def _nobody_may(request: pytest.FixtureRequest) -> Iterator[None]:
    """What a test lets a user do, the next one's users may not."""
    yield
    if "s3" in request.fixturenames:
        request.getfixturevalue("s3").take_back()
