"""GetKeyLastUsage: the last cryptographic operation by a key, out of the audit. Source: "GetKeyLastUsage"."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from casemate.api import kms
from casemate.errors import AwsError
from casemate.gate.billing import UsageReader
from casemate.gate.call import Call
from casemate.services.kms.key import Key
from casemate.services.kms.naming import parse_key_name
from casemate.services.kms.targets import own_key
from casemate.store.database import Tx
from casemate.store.errors import StoreError
from casemate.store.journal_format import JournalTampered

_TRACKED = frozenset(
    {
        *("Decrypt", "DeriveSharedSecret", "Encrypt", "GenerateDataKey", "GenerateDataKeyPair"),
        *(
            "GenerateDataKeyPairWithoutPlaintext",
            "GenerateDataKeyWithoutPlaintext",
            "GenerateMac",
            "ReEncrypt",
        ),
        *("Sign", "Verify", "VerifyMac", "Encapsulate", "Decapsulate"),
    }
)


def used_keys(event: Mapping[str, Any]) -> Iterator[str]:
    """The keys of the record's recipient that an event used."""
    if event["eventName"] in _TRACKED:
        for each in event.get("resources", ()):
            if each["type"] == "AWS::KMS::Key" and each["accountId"] == event["recipientAccountId"]:
                yield each["ARN"]


def note_used(tx: Tx, events: Mapping[str, Mapping[str, Any]]) -> None:
    """Keep the last use of keys that still exist. events: by the key's ARN."""
    for arn, event in events.items():
        name = parse_key_name(arn)
        place = (name.account, name.region, name.key_id)
        if tx.one("SELECT 1 FROM kms_keys WHERE account = ? AND region = ? AND id = ?", place) is None:
            continue
        tx.run(
            "INSERT INTO kms_key_uses (account, region, key_id, operation, used, event_id, request_id) "
            "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (account, region, key_id) DO UPDATE SET "
            "operation = excluded.operation, used = excluded.used, event_id = excluded.event_id, "
            "request_id = excluded.request_id WHERE kms_key_uses.used <= excluded.used",
            (
                *place,
                event["eventName"],
                datetime.fromisoformat(event["eventTime"]).timestamp(),
                event["eventID"],
                event["requestID"],
            ),
        )


@kms.GetKeyLastUsage.reads(own_key)
def get_key_last_usage(call: Call, req: kms.GetKeyLastUsageRequest, key: Key) -> kms.GetKeyLastUsageResponse:
    """The last successful cryptographic operation by a key, and where the audit has it."""
    call.before("usage", lambda: _catch_up(call.part(UsageReader)))
    row = key.row
    found = call.tx.one(
        "SELECT operation, used, event_id, request_id FROM kms_key_uses "
        "WHERE account = ? AND region = ? AND key_id = ?",
        (row.account, row.region, row.id),
    )
    created = datetime.fromtimestamp(row.created, UTC)
    usage: kms.KeyLastUsageData = {}
    if found is not None:
        usage = {
            "Operation": found[0],
            "Timestamp": datetime.fromtimestamp(found[1], UTC),
            "CloudTrailEventId": found[2],
            "KmsRequestId": found[3],
        }
    return {
        "KeyId": row.id,
        "KeyLastUsage": usage,
        "TrackingStartDate": created,
        "KeyCreationDate": created,
    }


def _catch_up(reader: UsageReader) -> None:
    try:
        reader.catch_up()
    except (StoreError, JournalTampered):
        raise AwsError(
            "DependencyTimeoutException", "The audit cannot be read. Try again shortly.", 503
        ) from None
