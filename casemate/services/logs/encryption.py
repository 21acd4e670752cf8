"""What log events are sealed under: the account's key or, of groups that are associated with a KMS key, data keys
that KMS wraps.

KMS is asked by CloudWatch Logs' service principal, with the group's ARN as encryption context, so that the key's
policy says which groups may use it. A data key is for writing for an hour, and is unwrapped again each minute;
whoever reads has it unwrapped for the request, so that nothing is readable once KMS refuses.

Source: "Encrypt log data in CloudWatch Logs using AWS Key Management Service".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from casemate.api import kms, logs
from casemate.engine.envelope.hierarchy import WrappingKey
from casemate.errors import AwsError
from casemate.gate.acting import Actor, act_as
from casemate.gate.keyring import Keyring
from casemate.services.logs.groups import Group, GroupRow, Groups
from casemate.services.logs.naming import group_arn
from casemate.services.logs.refusals import invalid, unusable_key
from casemate.services.logs.targets import associated_group
from casemate.store.ids import new_id

if TYPE_CHECKING:
    from casemate.gate.call import Call

PRINCIPAL = "logs.amazonaws.com"
WRITES_FOR = 3_600_000
"""Milliseconds for which a data key is for new events."""
TRUSTED_FOR = 60.0
"""Seconds for which new events are written without asking KMS whether the key may still be used."""
_MOST = 10_000


class Cipher(Protocol):
    """Seals and opens batches of one data key, bound to names, the first of which says what is sealed."""

    def wrap(self, material: bytes, purpose: str, /, *names: str | int) -> bytes: ...

    def unwrap(self, wrapped: bytes, purpose: str, /, *names: str | int) -> bytes: ...


class DataKeys:
    """The data keys that this worker writes under: ``call.part(DataKeys)``. Which of them is a group's is read in
    each transaction, for the one that made it may be undone."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring
        self._trusted: dict[str, tuple[WrappingKey, float]] = {}

    def __repr__(self) -> str:
        return f"<DataKeys of {len(self._trusted)}>"

    def to_write(self, call: Call, group: GroupRow) -> tuple[str, Cipher]:
        """The id of the data key that new events are sealed under, '' for the account's key, and its cipher. In a
        write. Raises AccessDeniedException when KMS refuses."""
        key = group.settings.get("kms_key")
        if key is None:
            return "", self._keyring.account_key(group.account, call.tx)
        row = call.tx.one(
            "SELECT id, wrapped FROM logs_data_keys WHERE group_id = ? AND kms_key = ? AND created > ? "
            "ORDER BY created DESC LIMIT 1",
            (group.id, key, int(call.now * 1000) - WRITES_FOR),
        )
        if row is not None:
            kept = self._trusted.get(row[0])
            if kept is not None and 0 <= call.now - kept[1] < TRUSTED_FOR:
                return row[0], kept[0]
            return row[0], self._keep(call, row[0], _unwrapped(call, group, key, row[1]))
        answer = _generated(call, group, key)
        data_key = new_id()
        call.tx.run(
            "INSERT INTO logs_data_keys (id, group_id, kms_key, created, wrapped) VALUES (?, ?, ?, ?, ?)",
            (data_key, group.id, key, int(call.now * 1000), answer.get("CiphertextBlob", b"")),
        )
        return data_key, self._keep(call, data_key, WrappingKey(_plaintext(answer)))

    def _keep(self, call: Call, data_key: str, cipher: WrappingKey) -> WrappingKey:
        if len(self._trusted) >= _MOST:
            self._trusted.clear()
        self._trusted[data_key] = (cipher, call.now)
        return cipher

    def to_read(self, call: Call, group: GroupRow, opened: dict[str, Cipher] | None = None) -> Ciphers:
        """What opens a group's batches in this request. opened: the ciphers of a request that takes several
        transactions, kept by its caller."""
        return Ciphers(call, group, self._keyring, {} if opened is None else opened)


class Ciphers:
    """The ciphers of a group's batches by data key, each asked of KMS once."""

    def __init__(self, call: Call, group: GroupRow, keyring: Keyring, opened: dict[str, Cipher]) -> None:
        self._call = call
        self._group = group
        self._ciphers = opened
        opened.setdefault("", keyring.account_key(group.account, call.tx))

    def __getitem__(self, data_key: str) -> Cipher:
        """Raises AccessDeniedException when KMS refuses."""
        cipher = self._ciphers.get(data_key)
        if cipher is None:
            row = self._call.tx.one(
                "SELECT kms_key, wrapped FROM logs_data_keys WHERE id = ? AND group_id = ?",
                (data_key, self._group.id),
            )
            if row is None:
                raise unusable_key(group_arn(*self._group.place))
            cipher = self._ciphers[data_key] = _unwrapped(self._call, self._group, row[0], row[1])
        return cipher


def _context(group: GroupRow) -> dict[str, str]:
    return {"aws:logs:arn": group_arn(*group.place)}


def _by_logs(call: Call, group: GroupRow) -> Call:
    account, region, _ = group.place
    return act_as(call, Actor(PRINCIPAL, account, region, source_arn=group_arn(*group.place)))


def _generated(call: Call, group: GroupRow, key: str) -> kms.GenerateDataKeyResponse:
    try:
        return kms.GenerateDataKey.ask(
            _by_logs(call, group),
            {"KeyId": key, "KeySpec": "AES_256", "EncryptionContext": _context(group)},
        )
    except AwsError as refusal:
        raise _refusal(refusal, group) from refusal


def _unwrapped(call: Call, group: GroupRow, key: str, wrapped: bytes) -> WrappingKey:
    try:
        answer = kms.Decrypt.ask(
            _by_logs(call, group),
            {"KeyId": key, "CiphertextBlob": wrapped, "EncryptionContext": _context(group)},
        )
    except AwsError as refusal:
        raise _refusal(refusal, group) from refusal
    return WrappingKey(_plaintext(answer))


def _plaintext(answer: kms.DecryptResponse | kms.GenerateDataKeyResponse) -> bytes:
    """The data key that KMS answered. Not for recipients of their own, of whom an answer has none."""
    plaintext = answer.get("Plaintext")
    assert plaintext is not None
    return plaintext


def _refusal(refusal: AwsError, group: GroupRow) -> AwsError:
    """What a caller of CloudWatch Logs is told of what KMS says to CloudWatch Logs."""
    if refusal.status >= 500:
        return refusal
    if refusal.code == "ThrottlingException":
        return AwsError("ServiceUnavailableException", "The service cannot complete the request.", 500)
    return unusable_key(group_arn(*group.place))


def checked_key(call: Call, group: GroupRow, key: str) -> str:
    """The ARN of a KMS key that CloudWatch Logs may use for the group. Raises InvalidParameterException for a
    disabled one, AccessDeniedException for one that is not there or whose policy does not let it."""
    if not key.startswith("arn:"):
        raise invalid("The specified KMS Key Id could not be found.")
    try:
        kms.GenerateDataKeyWithoutPlaintext.ask(
            _by_logs(call, group),
            {"KeyId": key, "KeySpec": "AES_256", "EncryptionContext": _context(group)},
        )
    except AwsError as refusal:
        if refusal.code in ("DisabledException", "KMSInvalidStateException", "InvalidKeyUsageException"):
            raise invalid(
                "The specified KMS key is disabled, or cannot be used to encrypt log data."
            ) from refusal
        raise _refusal(refusal, group) from refusal
    return key


@logs.AssociateKmsKey.writes(associated_group)
def associate_kms_key(
    call: Call, req: logs.AssociateKmsKeyRequest, group: Group
) -> logs.AssociateKmsKeyResponse:
    """Encrypt what comes from now on under a KMS key."""
    call.part(Groups).configure(call.tx, group.row, kms_key=checked_key(call, group.row, req["kmsKeyId"]))
    return {}


@logs.DisassociateKmsKey.writes(associated_group)
def disassociate_kms_key(
    call: Call, req: logs.DisassociateKmsKeyRequest, group: Group
) -> logs.DisassociateKmsKeyResponse:
    """Encrypt what comes from now on under the account's key; what came before stays under the KMS key."""
    call.part(Groups).configure(call.tx, group.row, kms_key=None)
    return {}
