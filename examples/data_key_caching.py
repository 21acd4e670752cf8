"""How many calls of KMS data-key caching saves: many small records, each encrypted and decrypted by itself.

    python examples/data_key_caching.py KEY_ARN [RECORDS]

The AWS Encryption SDK asks KMS for a data key for each message, and to decrypt each one's. With a caching materials
manager it uses a data key again, here for 60 seconds and 100 messages. That saves calls, their latency and their
quota; in exchange more messages stand under one data key, and each use of the KMS key that the audit shows stands for
up to so many messages. Needs `pip install 'casemate[encryption]'`.
"""

from __future__ import annotations

import sys
from collections import Counter
from typing import Any

import aws_encryption_sdk
import botocore.session
from aws_encryption_sdk.materials_managers.default import DefaultCryptoMaterialsManager

SECONDS, MESSAGES = 60.0, 100


def main() -> int:
    key_arn = sys.argv[1]
    records = int(sys.argv[2]) if len(sys.argv) > 2 else 200
    calls: Counter[str] = Counter()
    session = botocore.session.Session()
    session.register("before-call.kms", lambda **event: calls.update([event["model"].name]))
    keys = aws_encryption_sdk.StrictAwsKmsMasterKeyProvider(botocore_session=session, key_ids=[key_arn])
    caching = aws_encryption_sdk.CachingCryptoMaterialsManager(
        master_key_provider=keys,
        cache=aws_encryption_sdk.LocalCryptoMaterialsCache(10),
        max_age=SECONDS,
        max_messages_encrypted=MESSAGES,
    )
    print(f"{records} records         GenerateDataKey  Decrypt")
    for name, materials in (
        ("without caching", DefaultCryptoMaterialsManager(keys)),
        ("with caching", caching),
    ):
        calls.clear()
        round_trips(materials, records)
        print(f"{name:20}{calls['GenerateDataKey']:>15}{calls['Decrypt']:>9}")
    return 0


def round_trips(materials: Any, records: int) -> None:
    client = aws_encryption_sdk.EncryptionSDKClient()
    context = {"table": "customers"}
    for number in range(records):
        record = f"record {number}".encode()
        message, _ = client.encrypt(source=record, materials_manager=materials, encryption_context=context)
        opened, header = client.decrypt(source=message, materials_manager=materials)
        # The context is only worth something to those who look at it.
        if opened != record or header.encryption_context.get("table") != "customers":
            raise SystemExit("a record did not come back")


if __name__ == "__main__":
    sys.exit(main())
