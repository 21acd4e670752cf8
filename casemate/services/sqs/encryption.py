"""What messages of queues with a KMS key are sealed under: data keys that KMS makes for whoever sends, and opens for
whoever receives, with the queue's ARN as encryption context.

A data key is used for the queue's KmsDataKeyReusePeriodSeconds; each principal's use of it is asked of KMS once in
that time. Source: "Encryption at rest in Amazon SQS", "Amazon SQS Key management".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from casemate.api import kms
from casemate.engine.envelope.hierarchy import WrappingKey
from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.gate.regions import partition_of
from casemate.services.sqs.queues import QueueRow
from casemate.services.sqs.refusals import unusable
from casemate.store.ids import new_id

VIA = "sqs"
_MOST = 10_000
_PURPOSE = "sqs content"
_CONTEXT = "aws:sqs:arn"
_MADE = "sqs data key "

T = TypeVar("T")

# What KMS says, as SQS says it.
_REFUSALS: Mapping[str, str] = {
    "AccessDeniedException": "KmsAccessDenied",
    "DisabledException": "KmsDisabled",
    "InvalidKeyUsageException": "KmsInvalidKeyUsage",
    "KMSInvalidStateException": "KmsInvalidState",
    "NotFoundException": "KmsNotFound",
    "ThrottlingException": "KmsThrottled",
}


class DataKeys:
    """The data keys that this worker has, by whom they were opened for: ``call.part(DataKeys)``. Which of them is for
    writing is read in each transaction, for the one that made it may be undone."""

    def __init__(self) -> None:
        self._opened: dict[tuple[str, str], tuple[WrappingKey, float]] = {}

    def __repr__(self) -> str:
        return f"<DataKeys of {len(self._opened)}>"

    def to_write(self, call: Call, queue: QueueRow) -> tuple[str, Callable[[bytes], bytes]]:
        """The id of the data key that messages are sealed under, '' where the queue has no KMS key, and what seals
        them. Raises KmsAccessDenied and the like."""
        key = queue.attributes.get("KmsMasterKeyId")
        if key is None:
            return "", _as_it_is
        data_key, cipher = self._to_write(call, queue, key)
        return data_key, lambda content: cipher.wrap(content, _PURPOSE, data_key)

    def open(self, call: Call, queue: QueueRow, data_key: str, content: bytes) -> bytes:
        """What was sealed. Raises KmsAccessDenied and the like, and Tampered."""
        if not data_key:
            return content
        return self._to_read(call, queue, data_key).unwrap(content, _PURPOSE, data_key)

    def is_there(self, call: Call, queue: QueueRow, data_key: str) -> bool:
        """Whether there is a data key of that id, whoever may use it."""
        return (
            not data_key
            or self._kept(call, queue, data_key) is not None
            or call.tx.one("SELECT 1 FROM sqs_data_keys WHERE id = ?", (data_key,)) is not None
        )

    def _to_write(self, call: Call, queue: QueueRow, key: str) -> tuple[str, WrappingKey]:
        period = queue.number("KmsDataKeyReusePeriodSeconds")
        row = call.tx.one(
            "SELECT id FROM sqs_data_keys WHERE queue = ? AND kms_key = ? AND created > ? AND created <= ? "
            "ORDER BY created DESC LIMIT 1",
            (queue.id, key, call.now - period, call.now),
        )
        if row is not None:
            made = call.done_before.get(_MADE + row[0])
            return row[0], self._to_read(call, queue, row[0]) if made is None else made
        answer = _asked(
            lambda: kms.GenerateDataKey.ask(
                call,
                {
                    "KeyId": _key_name(call, queue, key),
                    "KeySpec": "AES_256",
                    "EncryptionContext": {_CONTEXT: queue.place.arn},
                },
                via=VIA,
            )
        )
        data_key = new_id()
        call.tx.run(
            "INSERT INTO sqs_data_keys (id, queue, arn, kms_key, created, wrapped) VALUES (?, ?, ?, ?, ?, ?)",
            (data_key, queue.id, queue.place.arn, key, call.now, answer.get("CiphertextBlob", b"")),
        )
        # Kept for the rest of a batch only: to open it is another permission.
        cipher = call.done_before[_MADE + data_key] = WrappingKey(_plaintext(answer))
        return data_key, cipher

    def _to_read(self, call: Call, queue: QueueRow, data_key: str) -> WrappingKey:
        cipher = self._kept(call, queue, data_key)
        if cipher is not None:
            return cipher
        row = call.tx.one("SELECT arn, wrapped FROM sqs_data_keys WHERE id = ?", (data_key,))
        if row is None:
            raise unusable()
        # Of a dead letter it is the queue that it was sent to, which may be no more.
        context = {_CONTEXT: row[0]}
        answer = _asked(
            lambda: kms.Decrypt.ask(call, {"CiphertextBlob": row[1], "EncryptionContext": context}, via=VIA)
        )
        cipher = WrappingKey(_plaintext(answer))
        if len(self._opened) >= _MOST:
            self._opened.clear()
        self._opened[data_key, call.identity.principal.arn] = (cipher, call.now)
        return cipher

    def _kept(self, call: Call, queue: QueueRow, data_key: str) -> WrappingKey | None:
        kept = self._opened.get((data_key, call.identity.principal.arn))
        period = queue.number("KmsDataKeyReusePeriodSeconds")
        return kept[0] if kept is not None and 0 <= call.now - kept[1] < period else None


def _plaintext(answer: kms.DecryptResponse | kms.GenerateDataKeyResponse) -> bytes:
    """The data key that KMS answered. Not for recipients of their own, of whom an answer has none."""
    plaintext = answer.get("Plaintext")
    assert plaintext is not None
    return plaintext


def _as_it_is(content: bytes) -> bytes:
    return content


def _key_name(call: Call, queue: QueueRow, key: str) -> str:
    """How KMS is told a key: one that the queue's owner names by id or alias is in the owner's account."""
    account, region, _ = queue.place
    if key.startswith("arn:") or account == call.account:
        return key
    kind = "" if key.startswith("alias/") else "key/"
    return f"arn:{partition_of(region)}:kms:{region}:{account}:{kind}{key}"


def _asked(ask: Callable[[], T]) -> T:
    try:
        return ask()
    except AwsError as refusal:
        code = _REFUSALS.get(refusal.code)
        if code is None:
            raise
        raise AwsError(code, refusal.message) from refusal
