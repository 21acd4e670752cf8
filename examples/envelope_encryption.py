"""Encrypt and decrypt files by data keys of KMS. It is plain boto3: against AWS it runs the same.

    python envelope_encryption.py seal alias/files report.pdf report.pdf.sealed
    python envelope_encryption.py open report.pdf.sealed report.pdf

Each file gets a data key of its own. The file is encrypted by it here, and the data key, sealed by KMS, is stored in
front of the ciphertext; so who wants to read the file has to ask KMS, which checks policies and keeps the record.
The encryption context says what the data key is for. It is stored beside it, is shown in the audit, can be demanded
by a key policy, and cannot be changed without making the file unreadable.

    magic 8 | length of what follows 4 | JSON: {"key": sealed data key, "context": {...}} | nonce 12 | ciphertext

A file is held in memory as a whole, so this is for files of some hundred megabytes at most.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import struct
import sys
from pathlib import Path

import boto3
from botocore.exceptions import ClientError
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MAGIC = b"ENVELOPE"
LENGTH = struct.Struct(">I")
NONCE_BYTES = 12


class NotReadable(Exception):
    """The file is not one of ours, or was changed."""


def seal(key_id: str, plaintext: bytes, context: dict[str, str]) -> bytes:
    """The sealed file. key_id: a key's id, ARN or alias."""
    data_key = boto3.client("kms").generate_data_key(
        KeyId=key_id, KeySpec="AES_256", EncryptionContext=context
    )
    described = json.dumps(
        {"key": base64.b64encode(data_key["CiphertextBlob"]).decode(), "context": context}
    ).encode()
    head = MAGIC + LENGTH.pack(len(described)) + described
    nonce = os.urandom(NONCE_BYTES)
    # The head is authenticated along with the plaintext: neither can be exchanged.
    return head + nonce + AESGCM(data_key["Plaintext"]).encrypt(nonce, plaintext, head)


def unseal(sealed: bytes, purpose: str) -> bytes:
    """The plaintext of a file that was sealed for this purpose. Raises NotReadable; ClientError when KMS refuses."""
    start = len(MAGIC) + LENGTH.size
    if sealed[: len(MAGIC)] != MAGIC or len(sealed) < start:
        raise NotReadable("this is not a sealed file")
    end = start + LENGTH.unpack_from(sealed, len(MAGIC))[0]
    try:
        described = json.loads(sealed[start:end])
        context, data_key = dict(described["context"]), base64.b64decode(described["key"])
    except (ValueError, KeyError, TypeError):
        raise NotReadable("the sealed file's head was changed") from None
    # What the file says of itself is checked by KMS; that it is what the caller wants, only the caller can check.
    if context.get("purpose") != purpose:
        raise NotReadable("the file was sealed for another purpose")
    opened = boto3.client("kms").decrypt(CiphertextBlob=data_key, EncryptionContext=context)
    nonce, ciphertext = sealed[end : end + NONCE_BYTES], sealed[end + NONCE_BYTES :]
    try:
        return AESGCM(opened["Plaintext"]).decrypt(nonce, ciphertext, sealed[:end])
    except (InvalidTag, ValueError):
        raise NotReadable("the sealed file was changed") from None


def main() -> int:
    parser = argparse.ArgumentParser(description="Encrypt and decrypt files by data keys of KMS.")
    parser.add_argument(
        "--purpose", default="example", help="part of the encryption context (default: example)"
    )
    commands = parser.add_subparsers(dest="command", required=True)
    sealing = commands.add_parser("seal")
    sealing.add_argument("key", help="a key's id, ARN or alias")
    opening = commands.add_parser("open")
    for command in (sealing, opening):
        command.add_argument("source", type=Path)
        command.add_argument("target", type=Path)
    options = parser.parse_args()
    content = options.source.read_bytes()
    try:
        if options.command == "seal":
            result = seal(options.key, content, {"purpose": options.purpose, "name": options.source.name})
        else:
            result = unseal(content, options.purpose)
    except (NotReadable, ClientError) as error:
        print(f"{options.source}: {error}", file=sys.stderr)
        return 1
    options.target.write_bytes(result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
