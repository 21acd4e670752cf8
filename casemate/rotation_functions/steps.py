"""The four steps of a rotation, whatever the database: which version is to be made, and which becomes the current
one.

Each step may be done again: Secrets Manager repeats all four when one failed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from typing import Any

CURRENT, PENDING, PREVIOUS = "AWSCURRENT", "AWSPENDING", "AWSPREVIOUS"

Secret = dict[str, Any]
"""The JSON of a database's secret: engine, host, port, dbname, username, password; masterarn: of the secret of a user
who may change others."""


class Refused(Exception):
    """The rotation cannot go on. Its text holds no secret."""


class Rotation:
    """One rotation. arn: of the secret; version: of the one that is to become current; token: the rotation's own, for
    calls of a role in another account; engine: the database's kind, as its secrets have it."""

    def __init__(self, client: Any, event: Mapping[str, str], engine: str) -> None:
        self.arn = event["SecretId"]
        self.version = event["ClientRequestToken"]
        self.engine = engine
        self._token = event.get("RotationToken")
        self._client = client

    def must_be_in_progress(self) -> bool:
        """False where the version is the current one already. Raises Refused."""
        shown = self._client.describe_secret(SecretId=self.arn)
        if not shown.get("RotationEnabled"):
            raise Refused("the secret is not enabled for rotation")
        stages = shown["VersionIdsToStages"].get(self.version)
        if stages is None:
            raise Refused("the version is none of the secret's")
        if CURRENT in stages:
            return False
        if PENDING not in stages:
            raise Refused("the version is not pending")
        return True

    def value(self, stage: str, arn: str = "") -> Secret | None:
        """The secret with that label, None where there is none. arn: another secret's. Raises Refused for what is no
        secret of such a database."""
        more = {"VersionId": self.version} if stage == PENDING else {}
        try:
            found = self._client.get_secret_value(SecretId=arn or self.arn, VersionStage=stage, **more)
        except self._client.exceptions.ResourceNotFoundException:
            return None
        try:
            secret: Secret = json.loads(found["SecretString"])
        except (KeyError, ValueError):
            raise Refused("the secret is not a JSON text") from None
        missing = [name for name in ("host", "username", "password") if not secret.get(name)]
        if missing:
            raise Refused(f"the secret lacks {', '.join(missing)}")
        if secret.get("engine") not in (None, self.engine):
            raise Refused(f"the secret is not one of {self.engine}")
        return secret

    def current(self) -> Secret:
        """Raises Refused where there is none."""
        secret = self.value(CURRENT)
        if secret is None:
            raise Refused("the secret has no current value")
        return secret

    def pending(self) -> Secret:
        """Raises Refused where there is none."""
        secret = self.value(PENDING)
        if secret is None:
            raise Refused("the pending version has no value")
        return secret

    def new_password(self) -> str:
        """By EXCLUDE_CHARACTERS, PASSWORD_LENGTH and the other options of the function's environment."""
        options: dict[str, Any] = {
            "ExcludeCharacters": os.environ.get("EXCLUDE_CHARACTERS", "/@\"'\\:"),
            "PasswordLength": int(os.environ.get("PASSWORD_LENGTH", "32")),
        }
        for member, variable in (
            ("ExcludeNumbers", "EXCLUDE_NUMBERS"),
            ("ExcludePunctuation", "EXCLUDE_PUNCTUATION"),
            ("ExcludeUppercase", "EXCLUDE_UPPERCASE"),
            ("ExcludeLowercase", "EXCLUDE_LOWERCASE"),
        ):
            options[member] = os.environ.get(variable, "false").lower() == "true"
        password: str = self._client.get_random_password(**options)["RandomPassword"]
        return password

    def create(self, make: Callable[[Secret], Secret]) -> None:
        """createSecret: store what ``make`` makes of the current value, unless a value is pending already."""
        current = self.current()
        if self.value(PENDING) is None:
            more = {"RotationToken": self._token} if self._token else {}
            self._client.put_secret_value(
                SecretId=self.arn,
                ClientRequestToken=self.version,
                SecretString=json.dumps(make(dict(current))),
                VersionStages=[PENDING],
                **more,
            )

    def finish(self) -> None:
        """finishSecret: the pending version becomes the current one."""
        stages = self._client.describe_secret(SecretId=self.arn)["VersionIdsToStages"]
        current = next((version for version, held in stages.items() if CURRENT in held), None)
        if current != self.version:
            more = {} if current is None else {"RemoveFromVersionId": current}
            self._client.update_secret_version_stage(
                SecretId=self.arn, VersionStage=CURRENT, MoveToVersionId=self.version, **more
            )


def handler(engine: str, create: Any, set_secret: Any, test: Any) -> Callable[[Mapping[str, str], Any], None]:
    """The Lambda function's handler, of a way of rotating with a kind of database: create(current secret,
    rotation) is the next secret; set_secret(rotation) has the database take it; test(rotation) logs in by it."""

    def handle(event: Mapping[str, str], context: Any) -> None:  # noqa: ARG001 - a handler's form
        rotation = Rotation(secrets_manager(), event, engine)
        if not rotation.must_be_in_progress():
            return
        step = event["Step"]
        if step == "createSecret":
            rotation.create(lambda current: create(current, rotation))
        elif step == "setSecret":
            set_secret(rotation)
        elif step == "testSecret":
            test(rotation)
        elif step == "finishSecret":
            rotation.finish()
        else:
            raise Refused("there is no such step")

    return handle


def secrets_manager() -> Any:
    """A client by the function's own role. SECRETS_MANAGER_ENDPOINT: where, if it is not told otherwise."""
    from botocore.session import Session

    endpoint = os.environ.get("SECRETS_MANAGER_ENDPOINT") or None
    return Session().create_client("secretsmanager", endpoint_url=endpoint)
