"""What the Nitro system does: a root, certificates under it, and documents that they sign. For tests, since a server
trusts such a root only where its operator has configured it.

    root = Authority.new(now)
    document = root.document(public_key, {0: bytes(48)}, now)
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from casemate.engine.attestation import cbor
from casemate.engine.attestation.document import PROTECTED, signed_bytes

ROOT_SECONDS = 30 * 365 * 86_400.0
AUTHORITY_SECONDS = 20 * 86_400.0
SIGNER_SECONDS = 3 * 3_600.0
"""How long AWS's certificates of each kind are valid."""

Key = ec.EllipticCurvePrivateKey


class Authority(NamedTuple):
    """A certificate that may issue others, and its key."""

    certificate: x509.Certificate
    key: Key

    @classmethod
    def new(cls, now: float, name: str = "casemate.test-nitro-enclaves") -> Authority:
        """A root of its own, valid for 30 years."""
        key = new_key()
        return cls(certificate(name, key.public_key(), None, key, now, now + ROOT_SECONDS), key)

    def issue(self, name: str, now: float, path_length: int | None = 0) -> Authority:
        """An authority below this one."""
        key = new_key()
        made = certificate(name, key.public_key(), self, key, now, now + AUTHORITY_SECONDS, path_length)
        return Authority(made, key)

    @property
    def pem(self) -> bytes:
        """The certificate, for a server's ``attestation_roots``."""
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    def document(
        self,
        public_key: bytes | None,
        pcrs: Mapping[int, bytes],
        now: float,
        *,
        module_id: str = "i-0123456789abcdef0-enc0123456789abcdef",
        user_data: bytes | None = None,
        nonce: bytes | None = None,
        tpm: bool = False,
    ) -> bytes:
        """A document as an enclave gets it, or (tpm) an instance with a NitroTPM. public_key: DER of a
        SubjectPublicKeyInfo; pcrs: by number, 48 bytes each; now: seconds since the epoch. Its certificate is valid
        for 3 hours, and stands under those of a Region, a zone and an instance, as AWS's do."""
        region = self.issue("us-east-1.test-nitro-enclaves", now, 2)
        zone = region.issue("zonal.us-east-1.test-nitro-enclaves", now, 1)
        instance = zone.issue(f"{module_id.partition('-enc')[0]}.us-east-1.test-nitro-enclaves", now, 0)
        key = new_key()
        signer = certificate(
            module_id, key.public_key(), instance, instance.key, now, now + SIGNER_SECONDS, authority=False
        )
        return sign(
            {
                "module_id": module_id,
                "digest": "SHA384",
                "timestamp": int(now * 1000),
                "nitrotpm_pcrs" if tpm else "pcrs": dict(sorted(pcrs.items())),
                "certificate": signer.public_bytes(Encoding.DER),
                "cabundle": [self.der, region.der, zone.der, instance.der],
                "public_key": public_key,
                "user_data": user_data,
                "nonce": nonce,
            },
            key,
            indefinite=True,
        )


def new_key() -> Key:
    return ec.generate_private_key(ec.SECP384R1())


def certificate(
    name: str,
    public_key: ec.EllipticCurvePublicKey,
    issuer: Authority | None,
    key: Key,
    not_before: float,
    not_after: float,
    path_length: int | None = None,
    *,
    authority: bool = True,
) -> x509.Certificate:
    """A certificate for ``public_key``. issuer: None for a root, which ``key`` signs itself."""
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Test"),
            x509.NameAttribute(NameOID.COMMON_NAME, name[:64]),
        ]
    )
    usage = x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=not authority,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.certificate.subject)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.fromtimestamp(int(not_before), UTC))
        .not_valid_after(datetime.fromtimestamp(int(not_after), UTC))
        .add_extension(x509.BasicConstraints(authority, path_length if authority else None), critical=True)
        .add_extension(usage, critical=authority)
    )
    return builder.sign(key if issuer is None else issuer.key, hashes.SHA384())


def sign(fields: Mapping[str, Any], key: Key, *, indefinite: bool = False) -> bytes:
    """The document of these fields, whatever they are, signed by ``key``; without its tag, as enclaves get it.
    indefinite: the map does not tell its length, as with newer enclaves."""
    payload = cbor.dump(fields)
    if indefinite:
        payload = b"\xbf" + b"".join(cbor.dump(part) for item in fields.items() for part in item) + b"\xff"
    r, s = decode_dss_signature(key.sign(signed_bytes(payload), ec.ECDSA(hashes.SHA384())))
    return cbor.dump([PROTECTED, {}, payload, r.to_bytes(48, "big") + s.to_bytes(48, "big")])
