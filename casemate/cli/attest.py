"""``casemate attest``: what the Nitro system does for an enclave, by an authority of one's own, for tests."""

from __future__ import annotations

import argparse
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from casemate.cli.problems import CommandError

if TYPE_CHECKING:
    from casemate.engine.attestation.issuing import Authority

_ROOT, _KEY = "root.pem", "root.key"
_PCR = re.compile(r"([0-9]|[12][0-9]|3[01])=((?:[0-9a-fA-F]{2})+)")
_PCR_BYTES = (32, 48, 64)


def attest(options: argparse.Namespace) -> int:
    """Write an attestation document for a public key; without one, make the authority."""
    folder = Path(options.authority).expanduser()
    pcrs = dict(_pcr(text) for text in options.pcr)
    try:
        authority = _authority(folder)
        if options.public_key is None:
            print(f"{folder / _ROOT} is the root to configure as attestation_roots.")
            return 0
        public_key = _public_key(Path(options.public_key).expanduser())
        document = authority.document(
            public_key,
            pcrs or {0: bytes(48)},
            time.time(),
            **({} if options.module_id is None else {"module_id": options.module_id}),
            tpm=options.tpm,
        )
        if options.output is not None:
            Path(options.output).expanduser().write_bytes(document)
        elif sys.stdout.isatty():
            raise CommandError("a document is binary", "Name a file by --output, or redirect it.", status=2)
        else:
            sys.stdout.buffer.write(document)
    except OSError as error:
        raise CommandError(f"{error.filename}: {error.strerror}") from None
    return 0


def _pcr(text: str) -> tuple[int, bytes]:
    found = _PCR.fullmatch(text)
    if found is None or len(found[2]) // 2 not in _PCR_BYTES:
        raise CommandError(f"{text!r} is not a register as 0=HEX, with 32, 48 or 64 bytes", status=2)
    return int(found[1]), bytes.fromhex(found[2])


def _authority(folder: Path) -> Authority:
    """The authority in the folder, which is made where there is none. Raises OSError, CommandError."""
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        load_pem_private_key,
    )

    from casemate.engine.attestation.issuing import Authority
    from casemate.server.durable_file import write_whole

    root, key_file = folder / _ROOT, folder / _KEY
    if not root.exists():
        authority = Authority.new(time.time())
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        secret = authority.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        # The root last: where it is, the key is too.
        write_whole(key_file, secret)
        write_whole(root, authority.pem, 0o644)
        return authority
    try:
        key = load_pem_private_key(key_file.read_bytes(), None)
        certificate = x509.load_pem_x509_certificate(root.read_bytes())
    except (ValueError, TypeError):
        raise CommandError(f"{folder} does not hold an authority that casemate attest has made") from None
    if not isinstance(key, EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise CommandError(f"{key_file} is not the key of {root}")
    return Authority(certificate, key)


def _public_key(file: Path) -> bytes:
    """DER of the public key in a PEM or DER file. Raises OSError, CommandError."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

    from casemate.engine.attestation.cms import recipient_key
    from casemate.engine.attestation.errors import BadAttestation

    content = file.read_bytes()
    try:
        if content.lstrip().startswith(b"-----BEGIN"):
            parsed = load_pem_public_key(content)
            content = parsed.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        recipient_key(content)
    except (ValueError, BadAttestation):
        raise CommandError(
            f"{file} is not a public RSA key with 2048, 3072 or 4096 bits",
            "As openssl makes one: openssl rsa -in enclave.key -pubout -out enclave.pub",
        ) from None
    return content
