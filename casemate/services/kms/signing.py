"""Sign, Verify, GetPublicKey. Source: "Asymmetric keys in AWS KMS", "Key spec reference"."""

from __future__ import annotations

from typing import Any

from casemate.api import kms
from casemate.engine.keys import BadSignature, Material, WrongLength, WrongMessageType
from casemate.engine.keys.operations import EXTERNAL_MU, RAW, check_message, sign, verify
from casemate.engine.keys.specs import SIGN_VERIFY
from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.services.kms.grant_tokens import check_tokens
from casemate.services.kms.key import Key
from casemate.services.kms.private_keys import with_private_key
from casemate.services.kms.quotas import cryptographic
from casemate.services.kms.refusals import end_dry_run, invalid, unsupported
from casemate.services.kms.targets import named_key


def _signer(
    call: Call, key: Key, operation: str, req: kms.SignRequest | kms.VerifyRequest
) -> tuple[Material, str]:
    """The key's material and the message's type, once everything but the signature is found to be right."""
    algorithm = req["SigningAlgorithm"]
    key.must_be_usable(operation, SIGN_VERIFY)
    key.must_take(algorithm)
    check_tokens(call, req)
    message_type = req.get("MessageType", RAW)
    try:
        check_message(algorithm, req["Message"], message_type)
    except WrongMessageType:
        raise invalid(f"Message type {message_type} is incompatible with algorithm {algorithm}.") from None
    except WrongLength:
        what = "External Mu" if message_type == EXTERNAL_MU else "Digest"
        raise invalid(f"{what} is invalid length for algorithm {algorithm}.") from None
    material = key.material
    assert material is not None
    return material, message_type


@kms.Sign.reads(named_key, quota=cryptographic)
def sign_message(call: Call, req: kms.SignRequest, key: Key) -> kms.SignResponse:
    """A signature of up to 4 096 bytes, of a digest, or of ML-DSA's representative of a message."""
    material, message_type = _signer(call, key, "Sign", req)
    if "DryRun" in req:
        end_dry_run(req)
    algorithm, message = req["SigningAlgorithm"], req["Message"]
    signature = with_private_key(
        call,
        material,
        f"{algorithm} {message_type}",
        message,
        lambda: sign(material, algorithm, message, message_type),
    )
    return {"KeyId": key.arn, "Signature": signature, "SigningAlgorithm": algorithm}


@kms.Verify.reads(named_key, quota=cryptographic)
def verify_message(call: Call, req: kms.VerifyRequest, key: Key) -> kms.VerifyResponse:
    """Whether a signature is the key's, of this message by this algorithm; if not, KMSInvalidSignatureException."""
    material, message_type = _signer(call, key, "Verify", req)
    try:
        verify(material, req["SigningAlgorithm"], req["Message"], req["Signature"], message_type)
    except BadSignature:
        raise AwsError("KMSInvalidSignatureException", "") from None
    if "DryRun" in req:
        end_dry_run(req)
    return {"KeyId": key.arn, "SignatureValid": True, "SigningAlgorithm": req["SigningAlgorithm"]}


@kms.GetPublicKey.reads(named_key)
def get_public_key(call: Call, req: kms.GetPublicKeyRequest, key: Key) -> kms.GetPublicKeyResponse:
    """The public half of an asymmetric key, and what it may be used for."""
    key.must_not_be_pending_deletion()
    key.must_not_be_pending_import()
    key.must_be_enabled()
    material = key.material
    if material is None or not material.spec.asymmetric:
        raise unsupported(f"{key.arn} key spec is {key.row.key_spec} which is not valid for GetPublicKey.")
    check_tokens(call, req)
    shown: dict[str, Any] = {
        "KeyId": key.arn,
        "PublicKey": material.public_der(),
        "CustomerMasterKeySpec": key.row.key_spec,
        "KeySpec": key.row.key_spec,
        "KeyUsage": key.row.key_usage,
        **key.algorithms_shown(),
    }
    return shown  # type: ignore[return-value]  # the row's strings are the model's enumerations
