"""What an application does in a Nitro enclave: it has a secret decrypted so that nobody outside can read it.

    python examples/enclave.py KEY_ID AUTHORITY

Encrypts a secret under the KMS key, and decrypts it as an enclave would: with a key pair of its own, whose public
half stands in an attestation document. In an enclave the document comes from the Nitro Security Module; here
`casemate attest` signs it, by the authority in the folder AUTHORITY, which the server must trust
(`attestation_roots`). Needs boto3, and the `openssl` command, which reads the answer's CMS as the Nitro Enclaves SDK
would.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import boto3


def main() -> int:
    key_id, authority = sys.argv[1:]
    kms = boto3.client("kms")
    sealed = kms.encrypt(KeyId=key_id, Plaintext=b"a secret")["CiphertextBlob"]

    with tempfile.TemporaryDirectory() as folder:
        private, public, document = (Path(folder) / name for name in ("key.pem", "key.pub", "document"))
        run("openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", private)
        run("openssl", "pkey", "-in", private, "-pubout", "-out", public)
        run("casemate", "attest", public, "--authority", authority, "--output", document)

        answer = kms.decrypt(
            CiphertextBlob=sealed,
            Recipient={
                "KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256",
                "AttestationDocument": document.read_bytes(),
            },
        )
        if "Plaintext" in answer:
            raise SystemExit("the plaintext left KMS in the clear")
        envelope = answer["CiphertextForRecipient"]
        secret = run("openssl", "cms", "-decrypt", "-inform", "DER", "-inkey", private, given=envelope)
    print(f"decrypted in the enclave alone: {secret.decode()}")
    return 0


def run(*command: str | Path, given: bytes = b"") -> bytes:
    done = subprocess.run(command, input=given, stdout=subprocess.PIPE, check=True)  # noqa: S603 - the example's own
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
