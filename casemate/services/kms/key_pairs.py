"""GenerateDataKeyPair, GenerateDataKeyPairWithoutPlaintext: asymmetric keys for use outside of KMS."""

from __future__ import annotations

from typing import NamedTuple

from casemate.api import kms
from casemate.engine.envelope.message import seal_message
from casemate.engine.keys import SPECS, load
from casemate.gate.call import Call
from casemate.services.kms.encryption_contexts import encryption_context
from casemate.services.kms.grant_tokens import check_tokens
from casemate.services.kms.key import Key
from casemate.services.kms.private_keys import generated
from casemate.services.kms.quotas import key_pair
from casemate.services.kms.recipients import attested_recipient
from casemate.services.kms.refusals import end_dry_run, unsupported
from casemate.services.kms.targets import named_key


class _Pair(NamedTuple):
    """A new pair. private: PKCS#8 in DER; sealed: the same, sealed; public: SubjectPublicKeyInfo in DER."""

    private: bytes
    sealed: bytes
    public: bytes


def _pair(
    call: Call,
    req: kms.GenerateDataKeyPairRequest | kms.GenerateDataKeyPairWithoutPlaintextRequest,
    key: Key,
    operation: str,
) -> _Pair:
    spec = req["KeyPairSpec"]
    if not SPECS[spec].available:
        raise unsupported(f"KeyPairSpec {spec} is not supported.")
    key.must_be_usable(operation)
    key.must_be_symmetric(operation)
    if key.elsewhere:
        raise unsupported(f"{key.arn} origin is {key.row.origin} which is not valid for this operation.")
    check_tokens(call, req)
    context = encryption_context(req.get("EncryptionContext"))
    if "DryRun" in req:
        end_dry_run(req)
    private = generated(call, spec)
    sealed = seal_message(key.current, key.arn, private, context)
    return _Pair(private, sealed, load(spec, private).public_der())


@kms.GenerateDataKeyPair.reads(named_key, quota=key_pair)
def generate_data_key_pair(
    call: Call, req: kms.GenerateDataKeyPairRequest, key: Key
) -> kms.GenerateDataKeyPairResponse:
    """A new key pair, the private key in the clear and sealed."""
    recipient = attested_recipient(call, req) if "Recipient" in req else None
    pair = _pair(call, req, key, "GenerateDataKeyPair")
    answer: kms.GenerateDataKeyPairResponse = {
        "PrivateKeyCiphertextBlob": pair.sealed,
        "PublicKey": pair.public,
        "KeyId": key.arn,
        "KeyPairSpec": req["KeyPairSpec"],
        "KeyMaterialId": key.current.id,
    }
    if recipient is None:
        answer["PrivateKeyPlaintext"] = pair.private
    else:
        answer["CiphertextForRecipient"] = recipient.seal(pair.private)
    return answer


@kms.GenerateDataKeyPairWithoutPlaintext.reads(named_key, quota=key_pair)
def generate_data_key_pair_without_plaintext(
    call: Call, req: kms.GenerateDataKeyPairWithoutPlaintextRequest, key: Key
) -> kms.GenerateDataKeyPairWithoutPlaintextResponse:
    """A new key pair, the private key sealed only."""
    pair = _pair(call, req, key, "GenerateDataKeyPairWithoutPlaintext")
    return {
        "PrivateKeyCiphertextBlob": pair.sealed,
        "PublicKey": pair.public,
        "KeyId": key.arn,
        "KeyPairSpec": req["KeyPairSpec"],
        "KeyMaterialId": key.current.id,
    }
