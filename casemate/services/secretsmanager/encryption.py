"""Values at rest. Each is sealed under a data key of its own, which KMS made and encrypted. KMS is asked as whoever
asks Secrets Manager, so that its key policies, grants and audit apply to them.

The encryption context is AWS's: SecretARN and SecretVersionId. Source: "Secret encryption and decryption in AWS
Secrets Manager".
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from casemate.api import kms
from casemate.engine.envelope.errors import Tampered
from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.gate.regions import partition_of
from casemate.services.secretsmanager.refusals import invalid_request, unusable
from casemate.services.secretsmanager.rows import SecretRow, VersionRow, WrappedKey
from casemate.services.secretsmanager.secret import Version, bound

VIA = "secretsmanager"
MANAGED = "alias/aws/secretsmanager"
_TRIAL = "RequestToValidateKeyAccess"
"""In the place of a version's id, where a key is only tried."""
_NONCE = 12


def own_name(call: Call, key_id: str, region: str = "") -> str:
    """How a key is stored that a request names: '' for the AWS managed one, which is not shown. region: the call's
    unless given."""
    region = region or call.region
    prefix = f"arn:{partition_of(region)}:kms:{region}:{call.account}:"
    return "" if key_id.removeprefix(prefix) == MANAGED else key_id


def _key_name(call: Call, secret: SecretRow, key_id: str) -> str:
    """How KMS is told a key of a secret: one that its owner names by id or alias is in the owner's account."""
    if secret.account != call.account:
        if not key_id:
            raise invalid_request(
                "You can't access a secret from a different AWS account if you encrypt the secret with the "
                "default KMS service key."
            )
        if not key_id.startswith("arn:"):
            kind = "" if key_id.startswith("alias/") else "key/"
            return f"arn:{partition_of(secret.region)}:kms:{secret.region}:{secret.account}:{kind}{key_id}"
    return key_id or MANAGED


def _context(arn: str, version_id: str) -> dict[str, str]:
    return {"SecretARN": arn, "SecretVersionId": version_id}


def must_be_usable(call: Call, secret: SecretRow) -> None:
    """Try the KMS key that a request gives a secret, as the caller, and use nothing of what comes of it. Source:
    "Validating access to the KMS key". Raises EncryptionFailure, DecryptionFailure, AccessDeniedException."""
    context = _context(secret.arn, _TRIAL)
    failure = "EncryptionFailure"
    try:
        made = kms.GenerateDataKey.ask(
            call,
            {
                "KeyId": _key_name(call, secret, secret.kms_key_id),
                "KeySpec": "AES_256",
                "EncryptionContext": context,
            },
            via=VIA,
            region=secret.region,
        )
        assert "CiphertextBlob" in made
        failure = "DecryptionFailure"
        wanted: kms.DecryptRequest = {
            "CiphertextBlob": made["CiphertextBlob"],
            "EncryptionContext": context,
        }
        kms.Decrypt.ask(call, wanted, via=VIA, region=secret.region)
    except AwsError as error:
        raise _refused(error, failure) from None


def sealed(call: Call, secret: SecretRow, version_id: str, value: bytes, binary: bool) -> VersionRow:
    """A new version of a secret, under a new data key. Raises EncryptionFailure, AccessDeniedException."""
    name = _key_name(call, secret, secret.kms_key_id)
    try:
        made = kms.GenerateDataKey.ask(
            call,
            {"KeyId": name, "KeySpec": "AES_256", "EncryptionContext": _context(secret.arn, version_id)},
            via=VIA,
            region=secret.region,
        )
    except AwsError as error:
        raise _refused(error, "EncryptionFailure") from None
    assert "Plaintext" in made
    assert "CiphertextBlob" in made
    nonce = os.urandom(_NONCE)
    cipher = AESGCM(made["Plaintext"])
    return VersionRow(
        secret.account,
        secret.region,
        secret.name,
        version_id,
        call.now,
        len(value),
        binary,
        (WrappedKey(secret.kms_key_id, made["CiphertextBlob"]),),
        nonce + cipher.encrypt(nonce, value, bound(secret.arn, version_id, binary)),
    )


def opened(call: Call, secret: SecretRow, version: Version) -> bytes:
    """A version's value. Raises DecryptionFailure, AccessDeniedException."""
    key = AESGCM(_data_key(call, secret, version))
    value = version.row.value
    try:
        return key.decrypt(value[:_NONCE], value[_NONCE:], version.bound)
    except InvalidTag:
        what = f"value of version {version.row.id} of {secret.arn}"
        raise unusable(what, Tampered("it was altered")) from None


def _data_key(call: Call, secret: SecretRow, version: Version) -> bytes:
    """By whichever of its KMS keys the caller may use, the latest first."""
    refusal: AwsError | None = None
    for key, wanted in zip(version.row.keys, version.asks, strict=True):
        _key_name(call, secret, key.kms_key_id)
        try:
            answer = kms.Decrypt.ask(call, wanted, via=VIA, region=secret.region)
        except AwsError as error:
            refusal = refusal or error
            continue
        assert "Plaintext" in answer
        return answer["Plaintext"]
    assert refusal is not None
    raise _refused(refusal, "DecryptionFailure") from None


def under_another_key(call: Call, secret: SecretRow, version: Version) -> VersionRow | None:
    """A version that the secret's key opens as well, besides those that did before. None where the caller may not use
    the keys for that: the version then stays as it is."""
    row = version.row
    try:
        data_key = _data_key(call, secret, version)
        made = kms.Encrypt.ask(
            call,
            {
                "KeyId": _key_name(call, secret, secret.kms_key_id),
                "Plaintext": data_key,
                "EncryptionContext": _context(secret.arn, row.id),
            },
            via=VIA,
            region=secret.region,
        )
    except AwsError:
        return None
    assert "CiphertextBlob" in made
    others = tuple(key for key in row.keys if key.kms_key_id != secret.kms_key_id)
    return row._replace(keys=(WrappedKey(secret.kms_key_id, made["CiphertextBlob"]), *others))


_FAILURES: Mapping[str, str] = {
    "EncryptionFailure": "Secrets Manager can't encrypt the protected secret text using the provided KMS key. Check "
    "that the KMS key is available, enabled, and not in an invalid state.",
    "DecryptionFailure": "Secrets Manager can't decrypt the protected secret text using the provided KMS key.",
}


def _refused(error: AwsError, failure: str) -> AwsError:
    """What KMS's refusal is to Secrets Manager's caller."""
    if error.code == "AccessDeniedException":
        return AwsError("AccessDeniedException", "Access to KMS is not allowed")
    if error.status >= 500 or error.code in ("ThrottlingException", "InvalidRequestException"):
        return error
    return AwsError(failure, _FAILURES[failure])
