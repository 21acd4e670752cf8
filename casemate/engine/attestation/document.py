"""An attestation document: a COSE_Sign1 of a CBOR map that says what runs where, and by which key to answer it.

Source: "Nitro Enclaves Attestation Process", 2.2 and 3; "Validate a NitroTPM Attestation Document".
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from casemate.engine.attestation import cbor
from casemate.engine.attestation.certificates import chain
from casemate.engine.attestation.errors import BadAttestation

LONGEST_PAYLOAD = 16_384
_LONGEST_DOCUMENT = LONGEST_PAYLOAD + 256

PROTECTED = cbor.dump({1: -35})
"""The protected header: the algorithm (1) is ES384 (-35)."""

_TAG_COSE_SIGN1 = b"\xd2"
_SIGNATURE_BYTES = 96
_PCR_BYTES = (32, 48, 64)
_REQUIRED = frozenset({"module_id", "digest", "timestamp", "certificate", "cabundle"})
_PCRS, _TPM_PCRS = "pcrs", "nitrotpm_pcrs"
_OPTIONAL = {"public_key": (1, 1024), "user_data": (0, 512), "nonce": (0, 512)}
"""Length in bytes, least and most."""
_ALLOWED = _REQUIRED | {_PCRS, _TPM_PCRS, *_OPTIONAL}


class Attestation(NamedTuple):
    """What a verified document says. timestamp: when it was made, in milliseconds since the epoch; pcrs: the platform
    configuration registers by number; tpm: they are a NitroTPM's, not an enclave's; public_key: DER, as the attested
    gave it; not_before, not_after: when all certificates are valid, in seconds since the epoch."""

    module_id: str
    timestamp: int
    pcrs: Mapping[int, bytes]
    tpm: bool
    public_key: bytes | None
    user_data: bytes | None
    nonce: bytes | None
    not_before: float
    not_after: float


def verify(data: bytes, roots: frozenset[bytes], now: float) -> Attestation:
    """What the document ``data`` says, once it is proven. roots: the trusted certificates, DER; now: seconds
    since the epoch. Raises BadAttestation.

    How old the document is does not matter as long as its certificates are valid, as with AWS KMS: the answer is of
    use to nobody but the holder of its private key.
    """
    if len(data) > _LONGEST_DOCUMENT:
        raise BadAttestation("The document is too large.")
    found = _verified(data, roots)
    if now < found.not_before:
        raise BadAttestation("A certificate of the document is not valid yet.")
    if now > found.not_after:
        raise BadAttestation("A certificate of the document has expired.")
    return found


@lru_cache(maxsize=64)
def _verified(data: bytes, roots: frozenset[bytes]) -> Attestation:
    """All but the time. Kept, because one request asks several times: for each condition, and for the answer."""
    payload, signature = _signed(data)
    fields = _fields(payload)
    signer = chain(fields["certificate"], tuple(fields["cabundle"]), roots)
    half = _SIGNATURE_BYTES // 2
    r, s = int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big")
    try:
        signer.public_key.verify(encode_dss_signature(r, s), signed_bytes(payload), ec.ECDSA(hashes.SHA384()))
    except InvalidSignature:
        raise BadAttestation("The document's signature is not valid.") from None
    tpm = _TPM_PCRS in fields
    return Attestation(
        module_id=fields["module_id"],
        timestamp=fields["timestamp"],
        pcrs=fields[_TPM_PCRS if tpm else _PCRS],
        tpm=tpm,
        public_key=fields.get("public_key"),
        user_data=fields.get("user_data"),
        nonce=fields.get("nonce"),
        not_before=signer.not_before,
        not_after=signer.not_after,
    )


def signed_bytes(payload: bytes) -> bytes:
    """What a document's signature covers. Source: RFC 9052, 4.4."""
    return cbor.dump(["Signature1", PROTECTED, b"", payload])


def _signed(data: bytes) -> tuple[bytes, bytes]:
    """A COSE_Sign1's payload and signature, not yet verified; its tag may be missing."""
    parts = cbor.load(data.removeprefix(_TAG_COSE_SIGN1))
    if type(parts) is not list or len(parts) != 4:
        raise BadAttestation("The document is not a COSE_Sign1.")
    protected, unprotected, payload, signature = parts
    if protected != PROTECTED or unprotected != {}:
        raise BadAttestation("The document's headers are not those of ES384 alone.")
    if type(payload) is not bytes or not 1 <= len(payload) <= LONGEST_PAYLOAD:
        raise BadAttestation(f"The document's payload does not have 1 to {LONGEST_PAYLOAD} bytes.")
    if type(signature) is not bytes or len(signature) != _SIGNATURE_BYTES:
        raise BadAttestation(f"The document's signature does not have {_SIGNATURE_BYTES} bytes.")
    return payload, signature


def _fields(payload: bytes) -> dict[str, Any]:
    """The payload's members, each of the right kind; optional ones that are null are left out."""
    found = cbor.load(payload)
    if type(found) is not dict:
        raise BadAttestation("The document's payload is not a map.")
    unknown = found.keys() - _ALLOWED
    if unknown:
        raise BadAttestation("The document has a field that is not known.")
    missing = _REQUIRED - found.keys()
    if missing:
        raise BadAttestation(f"The document has no {min(missing)}.")
    if (_PCRS in found) == (_TPM_PCRS in found):
        raise BadAttestation(f"The document does not have one of {_PCRS} and {_TPM_PCRS}.")
    _check(type(found["module_id"]) is str and found["module_id"] != "", "module_id")
    _check(found["digest"] == "SHA384", "digest")
    _check(type(found["timestamp"]) is int and found["timestamp"] > 0, "timestamp")
    for name in (_PCRS, _TPM_PCRS):
        if name in found:
            _check(_are_pcrs(found[name]), name)
    _check(_has_length(found["certificate"], 1, 1024), "certificate")
    bundle = found["cabundle"]
    _check(
        type(bundle) is list and len(bundle) > 0 and all(_has_length(each, 1, 1024) for each in bundle),
        "cabundle",
    )
    for name, (least, most) in _OPTIONAL.items():
        # The Nitro Security Module writes null for what it was not given.
        if found.get(name) is None:
            found.pop(name, None)
        else:
            _check(_has_length(found[name], least, most), name)
    return found


def _are_pcrs(value: object) -> bool:
    return (
        type(value) is dict
        and 1 <= len(value) <= 32
        and all(type(number) is int and 0 <= number < 32 for number in value)
        and all(type(pcr) is bytes and len(pcr) in _PCR_BYTES for pcr in value.values())
    )


def _has_length(value: object, least: int, most: int) -> bool:
    return type(value) is bytes and least <= len(value) <= most


def _check(holds: bool, name: str) -> None:
    if not holds:
        raise BadAttestation(f"The document's {name} is not what it has to be.")
