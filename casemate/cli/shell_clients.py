"""Clients of AWS's APIs as the shell has them: by its AWS settings, or else by the administrator's credentials, of
the server that the shell points at, or else of the data directory's."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from casemate.cli.env import variables
from casemate.cli.problems import CommandError
from casemate.cli.settings import settings

_OWN = ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE")
"""Where a shell has credentials of its own."""


class ShellClients:
    """own: whether the credentials are the shell's; endpoint: where requests go. options: of a command, with profile
    and the places of a data directory."""

    def __init__(self, options: argparse.Namespace) -> None:
        # Here, because botocore is slow to import.
        from botocore.exceptions import BotoCoreError
        from botocore.session import Session

        self.own = bool(options.profile) or any(os.environ.get(name) for name in _OWN)
        self.endpoint = os.environ.get("AWS_ENDPOINT_URL")
        self._authority: str | None = None
        self._keys: dict[str, Any] = {}
        if self.endpoint is None or not self.own:
            found = variables(settings(options), tls=False)
            self.endpoint, self._authority = found["AWS_ENDPOINT_URL"], found.get("AWS_CA_BUNDLE")
            if not self.own:
                self._keys = {
                    "aws_access_key_id": found["AWS_ACCESS_KEY_ID"],
                    "aws_secret_access_key": found["AWS_SECRET_ACCESS_KEY"],
                }
        try:
            self._session = Session(profile=options.profile)
            self._region = self._session.get_config_variable("region") or "us-east-1"
        except BotoCoreError as error:
            raise CommandError(f"the shell's AWS settings cannot be used: {error}") from None

    def client(self, service: str) -> Any:
        """botocore's client of a service."""
        from botocore.config import Config

        return self._session.create_client(
            service,
            region_name=self._region,
            endpoint_url=self.endpoint,
            verify=self._authority,
            config=Config(retries={"total_max_attempts": 1}, connect_timeout=10, read_timeout=30),
            **self._keys,
        )

    @property
    def access_key_id(self) -> str:
        """Of the credentials."""
        used: Any = self._session.get_credentials()
        return str(self._keys.get("aws_access_key_id") or used.get_frozen_credentials().access_key)

    @contextmanager
    def asking(self) -> Iterator[None]:
        """What is asked inside fails as a command does."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except ClientError as error:
            reason = error.response.get("Error", {}).get("Message", "")
            raise CommandError(f"{self.endpoint} refuses: {reason}") from None
        except BotoCoreError as error:
            raise CommandError(f"{self.endpoint} cannot be asked: {error}") from None
