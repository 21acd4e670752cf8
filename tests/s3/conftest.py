"""Servers for each process that runs S3's tests: everything in files, and everything on other machines.

What moves bytes or lists them runs on both: on SQLite with blobs in a directory, and on PostgreSQL with blobs in a
SeaweedFS of three nodes, by way of obstore.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from postgres_support import PostgresServer
from s3_support import S3, new_name, s3_server
from seaweed_support import client_of, settings

_ON_BOTH = {
    f"test_s3_{name}"
    for name in (
        *("encryption", "forms", "lifecycle", "listing", "multipart", "objects", "presigned", "transfer"),
        "versions",
    )
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "s3" in metafunc.fixturenames and metafunc.module.__name__ in _ON_BOTH:
        metafunc.parametrize("s3", ("files", "cluster"), indirect=True, scope="session")


@pytest.fixture(scope="session")
def on_files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    with s3_server(tmp_path_factory.mktemp("s3")) as running:
        yield running


@pytest.fixture(scope="session")
def on_cluster(
    tmp_path_factory: pytest.TempPathFactory, postgres_server: PostgresServer, seaweed: str
) -> Iterator[S3]:
    blobs = new_name()
    client_of(seaweed).create_bucket(Bucket=blobs)
    database = postgres_server.new_database()
    env = {"CASEMATE_DATABASE": database, **settings(seaweed, blobs)}
    with s3_server(tmp_path_factory.mktemp("s3-cluster"), env=env) as running:
        yield running
    postgres_server.drop_database(database)


@pytest.fixture(scope="session")
def s3(request: pytest.FixtureRequest) -> S3:
    running: S3 = request.getfixturevalue(f"on_{getattr(request, 'param', 'files')}")
    return running


@pytest.fixture(autouse=True)
def _nobody_may(request: pytest.FixtureRequest) -> Iterator[None]:
    """What a test lets a user do, the next one's users may not."""
    running = request.getfixturevalue("s3") if "s3" in request.fixturenames else None
    yield
    if running is not None:
        running.take_back()
