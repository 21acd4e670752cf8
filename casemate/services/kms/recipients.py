"""Recipient: answers that only an attested enclave or instance can read, and the condition keys of its document.

Source: "Cryptographic attestation support in AWS KMS", "Condition keys for attested platforms".
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from orjson import dumps

from casemate.engine.attestation.errors import BadAttestation
from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.gate.resource import Value
from casemate.services.kms.refusals import invalid

if TYPE_CHECKING:
    from casemate.engine.attestation.document import Attestation

CONDITIONS = "kms:recipientattestation:"
"""What the condition keys begin with, in lower case."""

_IMAGE, _PCR, _TPM_PCR = "imagesha384", "pcr", "nitrotpmpcr"
_AUDITED_PCRS, _AUDITED_TPM_PCRS = (1, 2, 3, 4, 8), (4, 7, 8, 9, 16, 23)
"""Source: "Monitoring requests for Nitro enclaves", "Monitoring requests for NitroTPM"."""


class TrustedRoots(NamedTuple):
    """What the chains of attestation documents may end at; the configuration's. certificates: DER."""

    certificates: frozenset[bytes] = frozenset()


class Recipient(NamedTuple):
    """Who alone can read the answer. public_key: DER, of a key that was attested."""

    public_key: bytes

    def seal(self, plaintext: bytes) -> bytes:
        """CiphertextForRecipient."""
        from casemate.engine.attestation.cms import envelop

        return envelop(plaintext, self.public_key)


def attested_recipient(call: Call, request: Mapping[str, Any]) -> Recipient | None:
    """Who the request's answer is for; None for the caller, as mostly. Raises ValidationException for a document that
    is not valid, now and by a root that is trusted here, or that has no key to encrypt with.

    The audit's record shows what was attested."""
    if "Recipient" not in request:
        return None
    from casemate.engine.attestation.cms import recipient_key

    found = _attestation(call, request)
    if found.public_key is None:
        raise invalid("The attestation document has no public key.")
    try:
        recipient_key(found.public_key)
    except BadAttestation as error:
        raise _refused(error) from None
    call.additional = dumps({"recipient": _audited(found)})
    return Recipient(found.public_key)


def condition(key: str, call: Call, request: Mapping[str, Any]) -> Value:
    """kms:RecipientAttestation:ImageSha384, :PCR<n> and :NitroTPMPCR<n>, in lower-case hexadecimal. A document that
    is not valid is refused here already, as attested_recipient does it: no policy is asked of what is not proven."""
    if "Recipient" not in request:
        return None
    found = _attestation(call, request)
    name = key[len(CONDITIONS) :]
    if found.tpm:
        number = name.removeprefix(_TPM_PCR) if name.startswith(_TPM_PCR) else ""
    elif name == _IMAGE:
        number = "0"
    else:
        number = name.removeprefix(_PCR) if name.startswith(_PCR) else ""
    for pcr, value in found.pcrs.items():
        if str(pcr) == number:
            return value.hex()
    return None


def _attestation(call: Call, request: Mapping[str, Any]) -> Attestation:
    # Here, because few servers have clients with enclaves.
    from casemate.engine.attestation.document import verify

    recipient = request["Recipient"]
    roots = call.part(TrustedRoots).certificates
    if not roots:
        raise AwsError(
            "NotImplemented",
            "Recipient is not served here: no root of attestation documents is configured (attestation_roots).",
            501,
        )
    for member in ("KeyEncryptionAlgorithm", "AttestationDocument"):
        if member not in recipient:
            raise invalid(f"Recipient has no {member}.")
    try:
        return verify(recipient["AttestationDocument"], roots, call.now)
    except BadAttestation as error:
        raise _refused(error) from None


def _refused(error: BadAttestation) -> AwsError:
    return invalid(f"The attestation document is not valid: {error}")


def _audited(found: Attestation) -> dict[str, str]:
    """What CloudTrail shows in additionalEventData; registers in base64, as it does."""
    shown = {"attestationDocumentModuleId": found.module_id}
    if not found.tpm and 0 in found.pcrs:
        shown["attestationDocumentEnclaveImageDigest"] = b64encode(found.pcrs[0]).decode()
    kind, numbers = ("NitroTPM", _AUDITED_TPM_PCRS) if found.tpm else ("Enclave", _AUDITED_PCRS)
    for number in numbers:
        if number in found.pcrs:
            shown[f"attestationDocument{kind}PCR{number}"] = b64encode(found.pcrs[number]).decode()
    return shown
