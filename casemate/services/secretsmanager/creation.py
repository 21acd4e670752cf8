"""CreateSecret."""

from __future__ import annotations

from typing import Any, cast

from casemate.api import secretsmanager
from casemate.gate.call import Call
from casemate.gate.operation import Need
from casemate.services.secretsmanager import encryption, quotas, replication
from casemate.services.secretsmanager.refusals import already_exists, invalid_parameter, invalid_request
from casemate.services.secretsmanager.rows import SecretRow
from casemate.services.secretsmanager.secret import Secret
from casemate.services.secretsmanager.secrets import Secrets
from casemate.services.secretsmanager.tag_rules import merged
from casemate.services.secretsmanager.targets import NewSecret, new_secret
from casemate.services.secretsmanager.values import Value, repeats, token_in, value_in, with_value


@secretsmanager.CreateSecret.writes(
    new_secret,
    Need("secretsmanager:CreateSecret"),
    Need("secretsmanager:TagResource", lambda target: target.tagged),
    Need("secretsmanager:ReplicateSecretToRegions", lambda target: target.replicated),
)
def create_secret(
    call: Call, req: secretsmanager.CreateSecretRequest, target: NewSecret
) -> secretsmanager.CreateSecretResponse:
    """Make a secret, with a first value where one is given, under the caller's key or aws/secretsmanager."""
    must_not_be_held_elsewhere(req)
    value = value_in(req)
    token = token_in(req)
    secrets = call.part(Secrets)
    there = secrets.find(call, call.account, call.region, req["Name"])
    if there is not None:
        return _made_before(call, there, token, value)
    quotas.must_be_within(
        call, quotas.SECRETS, secrets.count(call.tx, call.account, call.region) + 1, "secrets in the Region"
    )
    row = SecretRow(
        call.account,
        call.region,
        req["Name"],
        target.suffix,
        call.now,
        call.now,
        description=req.get("Description", ""),
        kms_key_id=encryption.own_name(call, req.get("KmsKeyId", "")),
        tags=merged({}, req.get("Tags", [])),
        owner=_owner(call, req["Name"]),
    )
    if row.kms_key_id:
        encryption.must_be_usable(call, row)
    assert secrets.insert(call.tx, row)
    if value is not None:
        row = with_value(call, row, token, value)
    if "AddReplicaRegions" in req:
        row = replication.added(
            call, row, req["AddReplicaRegions"], overwrite=req.get("ForceOverwriteReplicaSecret", False)
        )
    secrets.save(call.tx, row)
    made = secrets.load(call.tx, *row[:3])
    assert made is not None
    call.resources = (made,)
    return _answer(row, token if value is not None else "")


def _owner(call: Call, name: str) -> str:
    """The service that makes a secret of its own ("events!connection/..."), '' of other secrets. Source: "AWS Secrets
    Manager secrets managed by other AWS services"."""
    service = call.via[-1] if call.via else ""
    return service if service and name.startswith(f"{service}!") else ""


def _made_before(
    call: Call, there: Secret, token: str, value: Value | None
) -> secretsmanager.CreateSecretResponse:
    """A request that is repeated with its token and its value is answered as it was. Raises ResourceExistsException,
    InvalidRequestException."""
    if there.row.deletion is not None:
        raise invalid_request(
            "You can't create this secret because a secret with this name is already scheduled for deletion."
        )
    if value is None or not repeats(call, there.row, token, value):
        raise already_exists(there.row.name)
    return _answer(there.row, token)


def _answer(row: SecretRow, token: str) -> secretsmanager.CreateSecretResponse:
    answer: dict[str, Any] = {"ARN": row.arn, "Name": row.name}
    if token:
        answer["VersionId"] = token
    if row.replicas:
        answer["ReplicationStatus"] = replication.status(row)
    return cast("secretsmanager.CreateSecretResponse", answer)


def must_not_be_held_elsewhere(request: Any) -> None:
    """Secrets whose values a partner of AWS holds, and replicas of another account's, are not served. Raises
    InvalidParameterException."""
    for member in ("Type", "CrossAccountPrimaryARN", "ExternalSecretRotationRoleArn"):
        if request.get(member):
            raise invalid_parameter(
                f"{member} is not supported: Casemate holds the values of its own secrets only."
            )
