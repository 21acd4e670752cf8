"""Clients of a real server: the AWS CLI, and signed requests byte for byte as a test wants them."""

from __future__ import annotations

import http.client
import json
import os
import ssl
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from server_support import Server

from casemate.server.composition import open_data
from casemate.server.config import Config
from casemate.server.journal_cipher import JournalCipher
from casemate.services.iam.identities import AccessKey
from casemate.services.iam.managed_policies import ADMINISTRATOR_ACCESS
from casemate.store.journal_reader import read_journal

ACCOUNT, OTHER_ACCOUNT = "111122223333", "444455556666"
ADMIN = AccessKey("AKIAADMINEXAMPLE0001", "the-administrators-secret-access-key")
CLERK = AccessKey("AKIACLERKEXAMPLE0001", "the-clerks-secret-access-key-2222222")
STRANGER = AccessKey("AKIASTRANGER00000001", "the-strangers-secret-access-key-33333")
CLERK_ARN = f"arn:aws:iam::{ACCOUNT}:user/clerk"
KEY_ID = "1234abcd-12ab-34cd-56ef-1234567890ab"
MATERIAL = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

ROOT_MAY_ALL = {
    "Sid": "Enable IAM User Permissions",
    "Effect": "Allow",
    "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
    "Action": "kms:*",
    "Resource": "*",
}


def policy(*statements: Mapping[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def seed_file(folder: Path) -> Path:
    """An administrator, a clerk in the same account who may use KMS by their own policy, a stranger in another,
    and a key with chosen material."""
    file = folder / "seed.json"
    may_kms = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "kms:*", "Resource": "*"}],
    }
    accounts = [
        {
            "id": ACCOUNT,
            "users": [
                {
                    "name": "admin",
                    "attached_policies": [ADMINISTRATOR_ACCESS],
                    "access_keys": [ADMIN._asdict()],
                },
                {"name": "clerk", "inline_policies": {"kms": may_kms}, "access_keys": [CLERK._asdict()]},
            ],
            "kms_keys": [{"id": KEY_ID, "material": MATERIAL, "aliases": ["alias/seeded"]}],
        },
        {
            "id": OTHER_ACCOUNT,
            "users": [
                {
                    "name": "stranger",
                    "attached_policies": [ADMINISTRATOR_ACCESS],
                    "access_keys": [STRANGER._asdict()],
                }
            ],
        },
    ]
    file.write_text(json.dumps({"accounts": accounts}))
    return file


def aws(
    env: Mapping[str, str], *arguments: str, cwd: Path | None = None, **more: str
) -> subprocess.CompletedProcess[str]:
    """Run the AWS CLI. env: what points it at the server; more: further variables."""
    return subprocess.run(
        [str(Path(sys.executable).with_name("aws")), *arguments],
        cwd=cwd,
        env={
            "PATH": os.environ["PATH"],
            "HOME": "/nonexistent",
            "AWS_PAGER": "",
            "AWS_MAX_ATTEMPTS": "1",
            "PYTHONWARNINGS": "ignore",
            **env,
            **more,
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


class Reply(NamedTuple):
    status: int
    request_id: str
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The error's code, '' of a success."""
        return "" if self.status == 200 else str(self.json.get("__type", "")).rpartition("#")[2]


class Wire:
    """One connection for signed requests; not shared by threads. Raises OSError or HTTPException when the server
    goes away."""

    def __init__(
        self, server: Server, key: AccessKey | None = None, *, tls: bool = False, region: str = "us-east-1"
    ) -> None:
        self._url = server.tls_endpoint if tls else server.endpoint
        self._key = key or server.administrator.key
        self._region = region
        netloc = urlsplit(self._url).netloc
        self._connection = (
            http.client.HTTPSConnection(
                netloc, timeout=30, context=ssl.create_default_context(cafile=str(server.ca_bundle))
            )
            if tls
            else http.client.HTTPConnection(netloc, timeout=30)
        )

    def kms(self, operation: str, **parameters: Any) -> Reply:
        return self.send(
            json.dumps(parameters).encode(),
            {"X-Amz-Target": f"TrentService.{operation}", "Content-Type": "application/x-amz-json-1.1"},
        )

    def signed(
        self,
        body: bytes,
        headers: Mapping[str, str],
        *,
        method: str = "POST",
        path: str = "/",
        service: str = "kms",
    ) -> dict[str, str]:
        """The request's headers, with the signature."""
        request = AWSRequest(method, self._url + path, headers=dict(headers), data=body)
        SigV4Auth(Credentials(*self._key), service, self._region).add_auth(request)
        return {name: str(value) for name, value in request.headers.items()}

    def send(self, body: bytes, headers: Mapping[str, str], **options: Any) -> Reply:
        """Sign it and send it."""
        method, path = options.get("method", "POST"), options.get("path", "/")
        return self.send_as_is(method, path, body, self.signed(body, headers, **options))

    def send_as_is(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        self._connection.request(method, path, body, dict(headers))
        response = self._connection.getresponse()
        return Reply(response.status, response.headers.get("x-amzn-RequestId", ""), response.read())

    def close(self) -> None:
        self._connection.close()


def journal_of(data: Path, database: str = "") -> list[bytes]:
    """All audit records, of a server that does not run."""
    opened = open_data(Config(data=data, database=database))
    try:
        cipher = JournalCipher(opened.root)
    finally:
        opened.close()
    return [record for _, record in read_journal(data / "journal", cipher)]
