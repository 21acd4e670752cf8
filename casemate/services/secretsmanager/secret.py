"""A secret in memory: what authorises its use, and what is shown of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from casemate.engine.envelope.encoding import fields
from casemate.engine.policy import Policy
from casemate.gate.call import Call
from casemate.gate.operation import Repeated
from casemate.gate.resource import Resource, Value
from casemate.services.secretsmanager import labels
from casemate.services.secretsmanager.conditions import OWN_TAGS, of_request
from casemate.services.secretsmanager.labels import CURRENT
from casemate.services.secretsmanager.refusals import (
    invalid_request,
    marked_for_deletion,
    no_stage,
    no_version,
    on_a_replica,
)
from casemate.services.secretsmanager.rows import SecretRow, VersionRow

if TYPE_CHECKING:
    from casemate.api import kms

TYPE = "AWS::SecretsManager::Secret"


def moment(seconds: float) -> datetime:
    """As clients see times: to the millisecond."""
    return datetime.fromtimestamp(round(seconds, 3), UTC)


class Secret(Resource):
    """A secret as operations use it. Never changed: a change makes another row, which is loaded anew. accessed: the
    day of its last use, 0 for never; stages: the labels of each version that has any."""

    __slots__ = ("accessed", "row", "stages")

    def __init__(self, row: SecretRow, policy: Policy | None, accessed: float = 0.0) -> None:
        super().__init__(row.arn, row.account, policy=policy, type=TYPE)
        self.row = row
        self.accessed = accessed
        self.stages = labels.by_version(row.labels)

    def tags(self) -> Mapping[str, str]:
        return self.row.tags

    def condition(self, key: str, call: Call, request: Mapping[str, Any]) -> Value:
        of_secret = _OF_SECRET.get(key)
        if of_secret is not None:
            return of_secret(self, request)
        if key.startswith(OWN_TAGS):
            wanted = key[len(OWN_TAGS) :]
            return next((value for name, value in self.row.tags.items() if name.lower() == wanted), None)
        return of_request(key, call, request)

    # What a secret's state allows.

    def must_not_be_deleted(self) -> None:
        """Raises InvalidRequestException."""
        if self.row.deletion is not None:
            raise marked_for_deletion()

    def must_be_changeable(self) -> None:
        """Neither marked for deletion nor a replica. Raises InvalidRequestException."""
        self.must_not_be_deleted()
        if self.row.is_replica:
            raise on_a_replica()

    def wanted_version(self, request: Mapping[str, Any]) -> str:
        """The id of the version that VersionId and VersionStage name, AWSCURRENT where neither is given. A version of
        that id need not have a value. Raises ResourceNotFoundException, InvalidRequestException."""
        version: str | None = request.get("VersionId")
        stage: str | None = request.get("VersionStage")
        if version is not None and stage is None:
            return version
        held = self.row.labels.get(stage or CURRENT)
        if version is not None and held != version:
            raise invalid_request(
                "You provided a VersionStage that is not associated to the provided VersionId."
            )
        if held is None:
            raise no_stage(stage or CURRENT)
        return held

    def without_value(self, request: Mapping[str, Any]) -> Exception:
        """The error for a version that ``wanted_version`` named and that has no value."""
        if "VersionId" in request:
            return no_version(request["VersionId"])
        return no_stage(request.get("VersionStage", CURRENT))


class Version:
    """A version of a secret with its sealed value. created: as clients see it; bound: what the value is bound to;
    asks: what KMS is asked for its data key, by each KMS key that opens it."""

    __slots__ = ("asks", "bound", "created", "row")

    def __init__(self, row: VersionRow, arn: str) -> None:
        self.row = row
        self.created = moment(row.created)
        self.bound = bound(arn, row.id, row.binary)
        context = {"SecretARN": arn, "SecretVersionId": row.id}
        self.asks = tuple(
            cast("kms.DecryptRequest", Repeated({"CiphertextBlob": key.blob, "EncryptionContext": context}))
            for key in row.keys
        )


def bound(arn: str, version_id: str, binary: bool) -> bytes:
    """What a version's value is bound to."""
    return fields("casemate secret value 1", arn, version_id, "binary" if binary else "string")


# --- condition keys of the secret itself, in lower case. Source: "Actions, resources, and condition keys for AWS
# Secrets Manager".


def _stages(secret: Secret, request: Mapping[str, Any]) -> Value:
    """secretsmanager:VersionStage: the stage in the request; the version's own where only its id is, so that no id is
    a way around a stage; else the stage that is meant."""
    if "VersionStages" in request:
        return tuple(request["VersionStages"])
    stage = request.get("VersionStage")
    if stage is not None:
        return str(stage)
    if "VersionId" in request:
        return secret.stages.get(request["VersionId"])
    return CURRENT


def _type(_secret: Secret, _request: Mapping[str, Any]) -> Value:
    """secretsmanager:resource/Type: of secrets whose values a partner holds, which are not served."""
    return None


_OF_SECRET: Mapping[str, Callable[[Secret, Mapping[str, Any]], Value]] = {
    "secretsmanager:versionstage": _stages,
    "secretsmanager:secretprimaryregion": lambda secret, _: secret.row.primary_region or None,
    "secretsmanager:resource/allowrotationlambdaarn": lambda secret, _: (
        secret.row.rotation.get("function") or None
    ),
    "secretsmanager:resource/type": _type,
}
