"""Real servers for tests: the ``casemate`` command as a process, and clients of it."""

from __future__ import annotations

import io
import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any
from unittest.mock import patch

import boto3
import pytest
from botocore.config import Config as ClientConfig
from botocore.exceptions import ClientError

from casemate.cli.main import main
from casemate.server.credentials_file import Administrator, read_credentials
from casemate.server.server_file import Running
from casemate.services.iam.identities import AccessKey
from casemate.services.lambda_.execution.isolation import obstacle

COMMAND = (sys.executable, "-m", "casemate.cli.main")
"""The ``casemate`` command, by the tests' own interpreter."""

_START_SECONDS = 60
_STOP_SECONDS = 30


def environment(further: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's variables and further ones, for processes that keep their bytecode, as installed ones do:
    to compile all modules anew takes a start longer than all the rest."""
    found = {**os.environ, **(further or {})}
    found.pop("PYTHONDONTWRITEBYTECODE", None)
    return found


class Server:
    """A server that runs. running: what its ``server.json`` says; log: what it has written to stderr."""

    def __init__(
        self, process: subprocess.Popen[bytes], running: Running, data: Path, log_file: Path
    ) -> None:
        self.process = process
        self.running = running
        self.data = data
        self._log_file = log_file

    @property
    def endpoint(self) -> str:
        assert self.running.endpoint is not None
        return self.running.endpoint

    @property
    def tls_endpoint(self) -> str:
        assert self.running.tls_endpoint is not None
        return self.running.tls_endpoint

    @property
    def metrics_endpoint(self) -> str:
        assert self.running.metrics_endpoint is not None
        return self.running.metrics_endpoint

    @property
    def ca_bundle(self) -> Path:
        return self.data / "tls" / "ca.pem"

    @property
    def administrator(self) -> Administrator:
        return read_credentials(self.data)

    @property
    def log(self) -> str:
        return self._log_file.read_text()

    @property
    def env(self) -> dict[str, str]:
        """What AWS tools need in their environment."""
        key = self.administrator.key
        return {
            "AWS_ACCESS_KEY_ID": key.id,
            "AWS_SECRET_ACCESS_KEY": key.secret,
            "AWS_DEFAULT_REGION": self.running.region,
            "AWS_REGION": self.running.region,
            "AWS_ENDPOINT_URL": self.endpoint,
        }

    def client(
        self, service: str, key: AccessKey | None = None, *, region: str = "us-east-1", tls: bool = False
    ) -> Any:
        """A boto3 client, by the administrator's access key unless another is given. It does not retry."""
        key = key or self.administrator.key
        # Any: the stubs know each service's client by its name alone, and this one comes as a variable.
        session: Any = boto3.session.Session(
            aws_access_key_id=key.id, aws_secret_access_key=key.secret, region_name=region
        )
        return session.client(
            service,
            endpoint_url=self.tls_endpoint if tls else self.endpoint,
            verify=str(self.ca_bundle) if tls else None,
            config=ClientConfig(retries={"total_max_attempts": 1}),
        )

    def aws(self, key: AccessKey, *args: str, region: str = "us-east-1") -> Any:
        """What the AWS CLI answers by that access key, as JSON; None where it answers nothing."""
        done = subprocess.run(
            ["aws", *args, "--output", "json"],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env=environment(
                {
                    "AWS_ACCESS_KEY_ID": key.id,
                    "AWS_SECRET_ACCESS_KEY": key.secret,
                    "AWS_DEFAULT_REGION": region,
                    "AWS_ENDPOINT_URL": self.endpoint,
                }
            ),
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout else None

    def stop(self) -> int:
        """End it as an operator would, by SIGTERM; its exit status."""
        self.process.terminate()
        return self.process.wait(_STOP_SECONDS)

    def kill(self) -> None:
        """End it as a crash would, by SIGKILL."""
        self.process.kill()
        self.process.wait(_STOP_SECONDS)


@contextmanager
def running_server(tmp_path: Path, *args: str, env: Mapping[str, str] | None = None) -> Iterator[Server]:
    """A server on free ports, its data in ``tmp_path/data`` (kept, so that the next one goes on with it).

    args: further options of ``casemate serve``; env: further variables. It is stopped at the end, if the test
    has not done so. Fails with the server's own words when it does not start.
    """
    data = tmp_path / "data"
    tmp_path.mkdir(parents=True, exist_ok=True)
    log_file = tmp_path / "server.log"
    told, tell = os.pipe()
    with log_file.open("ab") as log:
        process = subprocess.Popen(
            [
                *COMMAND,
                "serve",
                *("--data", str(data)),
                *("--port", "0", "--tls-port", "0", "--metrics-port", "0"),
                *("--ready-fd", str(tell)),
                *args,
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(tell,),
            env=environment(env),
        )
    os.close(tell)
    try:
        with os.fdopen(told) as pipe:
            # Readable also when the process has ended without a word.
            readable = select.select([pipe], [], [], _START_SECONDS)[0]
            line = pipe.readline() if readable else ""
        assert line, f"the server did not start:\n{log_file.read_text()}"
        yield Server(process, Running(**json.loads(line)), data, log_file)
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise


@contextmanager
def refused(code: str, message: str | None = None, status: int = 400) -> Iterator[None]:
    """Expect AWS's error: its code, its whole message, its HTTP status."""
    with pytest.raises(ClientError) as caught:
        yield
    response = caught.value.response
    error = response["Error"]
    assert error["Code"] == code, error
    if message is not None:
        assert error["Message"] == message
    assert response["ResponseMetadata"]["HTTPStatusCode"] == status


def casemate(*args: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command to its end, in this process, which has imported most of it already."""
    out, err = io.StringIO(), io.StringIO()
    with patch.dict(os.environ, env or {}), redirect_stdout(out), redirect_stderr(err):
        try:
            status = main(args)
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 1
    return subprocess.CompletedProcess(args, status, out.getvalue(), err.getvalue())


def casemate_process(*args: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command to its end, as a process of its own."""
    return subprocess.run(
        [*COMMAND, *args],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=environment(env),
    )


def functions_run() -> dict[str, str]:
    """What lets a server run functions here: isolated where this machine lets it make namespaces."""
    return {"CASEMATE_LAMBDA_ISOLATION": "none" if obstacle().reason else "bubblewrap"}


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One ``--dev`` server for all tests of a process that do not mind each other's keys. Do not stop it, move
    its clock or reset it."""
    with running_server(tmp_path_factory.mktemp("server"), "--dev", env=functions_run()) as running:
        yield running


@pytest.fixture
def server_env(server: Server) -> dict[str, str]:
    """The environment of AWS tools that are to use ``server``."""
    return server.env
