"""Values: what a request gives as one, a new version with it, and what is shown of a version."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from uuid import uuid4

from casemate.gate.call import Call
from casemate.services.secretsmanager import encryption, labels, quotas
from casemate.services.secretsmanager.labels import CURRENT
from casemate.services.secretsmanager.refusals import (
    constraint,
    invalid_parameter,
    token_in_use,
)
from casemate.services.secretsmanager.rows import SecretRow
from casemate.services.secretsmanager.secret import Secret
from casemate.services.secretsmanager.secrets import Secrets

MOST_BYTES = 65_536
DAY = 86_400.0
_PRUNED_EVERY, _PRUNED_AT_ONCE = 60.0, 1_000


class Value(NamedTuple):
    """A value in the clear. Its repr does not show it."""

    content: bytes
    binary: bool

    def __repr__(self) -> str:
        return "<Value>"


def value_in(request: Mapping[str, Any]) -> Value | None:
    """SecretString or SecretBinary; None where neither is given. Raises InvalidParameterException for both,
    ValidationException for a text that is too long once it is encoded."""
    text: str | None = request.get("SecretString")
    binary: bytes | None = request.get("SecretBinary")
    if text is not None and binary is not None:
        raise invalid_parameter(
            "You can't specify both a binary secret value and a string secret value in the same secret."
        )
    if text is None:
        return None if binary is None else Value(binary, True)
    content = text.encode()
    if len(content) > MOST_BYTES:
        raise constraint("secretString", f"Member must have length less than or equal to {MOST_BYTES}")
    return Value(content, False)


def token_in(request: Mapping[str, Any]) -> str:
    """ClientRequestToken, which names the version: SDKs make one up, and the codec for whoever has none. Raises
    ValidationException."""
    token = str(request.get("ClientRequestToken") or uuid4())
    if "\0" in token:
        raise constraint("clientRequestToken", "Member must not contain U+0000")
    return token


def shown(secret: Secret, version_id: str, call: Call) -> dict[str, Any] | None:
    """A version with its value, as GetSecretValue shows it; None where it has no value."""
    row = secret.row
    version = call.part(Secrets).find_version(call, row, version_id)
    if version is None:
        return None
    content = encryption.opened(call, row, version)
    answer: dict[str, Any] = {"ARN": secret.arn, "Name": row.name, "VersionId": version_id}
    if version.row.binary:
        answer["SecretBinary"] = content
    else:
        answer["SecretString"] = content.decode()
    stages = secret.stages.get(version_id)
    if stages is not None:
        answer["VersionStages"] = stages
    answer["CreatedDate"] = version.created
    return answer


def repeats(call: Call, secret: SecretRow, token: str, value: Value) -> bool:
    """Whether a request has been made before: there is a version of its token with its value. Raises
    ResourceExistsException for one with another value."""
    secrets = call.part(Secrets)
    if not secrets.has_version(call.tx, secret, token):
        return False
    version = secrets.find_version(call, secret, token)
    assert version is not None
    same = version.row.binary == value.binary and version.row.size == len(value.content)
    if not same or encryption.opened(call, secret, version) != value.content:
        raise token_in_use(token, secret.arn)
    return True


def with_value(
    call: Call, secret: SecretRow, token: str, value: Value, stages: Iterable[str] = (CURRENT,)
) -> SecretRow:
    """Store a value as a new version that gets these labels; the secret's row as it is then, which is not stored yet.
    Raises LimitExceededException, and what KMS refuses."""
    secrets = call.part(Secrets)
    version = encryption.sealed(call, secret, token, value.content, value.binary)
    assert secrets.add_version(call.tx, secret, version)
    labelled = with_labels(call, secret, labels.attached(secret.labels, token, stages), 1)
    return pruned(call, secrets, labelled)


def with_labels(call: Call, secret: SecretRow, changed: Mapping[str, str], more: int = 0) -> SecretRow:
    """The row with other labels, and so many more versions. Raises LimitExceededException."""
    if len(changed) > len(secret.labels):
        quotas.must_be_within(call, quotas.LABELS, len(changed), "staging labels for a secret")
    return secret._replace(labels=changed, changed=call.now, versions=secret.versions + more)


def pruned(call: Call, secrets: Secrets, secret: SecretRow) -> SecretRow:
    """Without the oldest of too many versions: of those that have no label, and are more than a day old. Source:
    "PutSecretValue". They are looked for once a minute at most, as that takes looking at all of them."""
    surplus = secret.versions - int(call.limit(quotas.VERSIONS))
    if surplus <= 0 or call.now - secret.pruned < _PRUNED_EVERY:
        return secret
    kept = set(secret.labels.values())
    old = call.tx.all(
        "SELECT id FROM secret_versions WHERE account = ? AND region = ? AND name = ? AND created < ? "
        "ORDER BY created, id LIMIT ?",
        (*secret[:3], call.now - DAY, min(surplus, _PRUNED_AT_ONCE) + len(kept)),
    )
    gone = [name for (name,) in old if name not in kept][: min(surplus, _PRUNED_AT_ONCE)]
    for version_id in gone:
        secrets.drop_version(call.tx, secret, version_id)
    return secret._replace(versions=secret.versions - len(gone), pruned=call.now)
