"""DeriveSharedSecret, Encapsulate, Decapsulate: secrets that two sides share. Source: "DeriveSharedSecret",
"ML-KEM keys in AWS KMS"."""

from __future__ import annotations

from casemate.api import kms
from casemate.engine.keys import BadEncryption, BadPublicKey, Material
from casemate.engine.keys.operations import decapsulate, derive, encapsulate
from casemate.engine.keys.specs import ENCAPSULATE_DECAPSULATE, KEY_AGREEMENT
from casemate.gate.call import Call
from casemate.services.kms.grant_tokens import check_tokens
from casemate.services.kms.key import Key
from casemate.services.kms.quotas import cryptographic
from casemate.services.kms.recipients import attested_recipient
from casemate.services.kms.refusals import end_dry_run, invalid, invalid_ciphertext
from casemate.services.kms.targets import named_key


@kms.DeriveSharedSecret.reads(named_key, quota=cryptographic)
def derive_shared_secret(
    call: Call, req: kms.DeriveSharedSecretRequest, key: Key
) -> kms.DeriveSharedSecretResponse:
    """The raw secret of ECDH between the key and a peer's public key on the same curve."""
    algorithm = req["KeyAgreementAlgorithm"]
    key.must_be_usable("DeriveSharedSecret", KEY_AGREEMENT)
    key.must_take(algorithm)
    check_tokens(call, req)
    recipient = attested_recipient(call, req) if "Recipient" in req else None
    assert key.material is not None
    try:
        secret = derive(key.material, req["PublicKey"])
    except BadPublicKey:
        raise invalid(f"PublicKey is not a DER-encoded public key of key spec {key.row.key_spec}.") from None
    if "DryRun" in req:
        end_dry_run(req)
    answer: kms.DeriveSharedSecretResponse = {
        "KeyId": key.arn,
        "KeyAgreementAlgorithm": algorithm,
        "KeyOrigin": key.row.origin,  # type: ignore[typeddict-item]
    }
    if recipient is None:
        answer["SharedSecret"] = secret
    else:
        answer["CiphertextForRecipient"] = recipient.seal(secret)
    return answer


def _kem_key(
    call: Call, key: Key, operation: str, req: kms.EncapsulateRequest | kms.DecapsulateRequest
) -> Material:
    key.must_be_usable(operation, ENCAPSULATE_DECAPSULATE)
    key.must_take(req["EncapsulationAlgorithm"])
    check_tokens(call, req)
    assert key.material is not None
    return key.material


@kms.Encapsulate.reads(named_key, quota=cryptographic)
def encapsulate_secret(call: Call, req: kms.EncapsulateRequest, key: Key) -> kms.EncapsulateResponse:
    """A fresh secret of 32 bytes, and what gives it to the holder of the private key."""
    material = _kem_key(call, key, "Encapsulate", req)
    if "DryRun" in req:
        end_dry_run(req)
    secret, encapsulation = encapsulate(material)
    return {
        "KeyId": key.arn,
        "SharedSecret": secret,
        "SharedSecretCiphertextBlob": encapsulation,
        "EncapsulationAlgorithm": req["EncapsulationAlgorithm"],
    }


@kms.Decapsulate.reads(named_key, quota=cryptographic)
def decapsulate_secret(call: Call, req: kms.DecapsulateRequest, key: Key) -> kms.DecapsulateResponse:
    """The secret that was encapsulated; of another key's or an altered encapsulation, bytes that look random."""
    material = _kem_key(call, key, "Decapsulate", req)
    try:
        secret = decapsulate(material, req["SharedSecretCiphertextBlob"])
    except BadEncryption:
        raise invalid_ciphertext() from None
    if "DryRun" in req:
        end_dry_run(req)
    return {
        "KeyId": key.arn,
        "SharedSecret": secret,
        "EncapsulationAlgorithm": req["EncapsulationAlgorithm"],
    }
