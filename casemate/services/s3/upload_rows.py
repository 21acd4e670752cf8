"""The rows of multipart uploads, and what requests on them act on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from casemate.engine.envelope.errors import Tampered
from casemate.engine.policy import Grade
from casemate.errors import AwsError
from casemate.gate.keyring import Keyring
from casemate.gate.resource import Value
from casemate.services.s3.object_targets import NewObject, new_object
from casemate.services.s3.refusals import log_tampered
from casemate.services.s3.resources import Bucket
from casemate.services.s3.sealing import CUSTOMER_KEYS
from casemate.store.database import Tx
from casemate.store.ids import new_id

if TYPE_CHECKING:
    from casemate.gate.call import Call

_PURPOSE = "s3-upload"


class UploadRow(NamedTuple):
    """A multipart upload that is under way. started: seconds since the epoch; about: Object, what is told of the
    object that it makes; Encryption; Algorithm and Type of its checksums; Initiator."""

    key: str
    id: str
    started: float
    about: Mapping[str, Any]


class Uploads:
    """The multipart uploads of all buckets, one per worker: ``call.part(Uploads)``. All of it in a transaction."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    def __repr__(self) -> str:
        return "<Uploads>"

    def begin(self, tx: Tx, bucket: Bucket, key: str, now: float, about: Mapping[str, Any]) -> UploadRow:
        row = UploadRow(key, new_id(), float(now), about)
        sealed = self._keyring.account_key(bucket.account, tx).wrap(
            orjson.dumps(about), _PURPOSE, *_bound(bucket, row)
        )
        tx.run(
            "INSERT INTO s3_uploads (bucket, key, id, started, sealed) VALUES (?, ?, ?, ?, ?)",
            (bucket.id, key.encode(), row.id, row.started, sealed),
        )
        return row

    def find(self, tx: Tx, bucket: Bucket, key: str, upload_id: str) -> UploadRow | None:
        """The upload, None where there is none. Raises Tampered."""
        found = tx.one(
            "SELECT key, id, started, sealed FROM s3_uploads WHERE bucket = ? AND key = ? AND id = ?",
            (bucket.id, key.encode(), upload_id),
        )
        return None if found is None else self.opened(tx, bucket, found)

    def opened(self, tx: Tx, bucket: Bucket, columns: tuple[Any, ...]) -> UploadRow:
        """The row of these columns: key, id, started, sealed. Raises Tampered."""
        key, upload_id, started, sealed = columns
        row = UploadRow(bytes(key).decode(), upload_id, started, {})
        about = self._keyring.account_key(bucket.account, tx).unwrap(sealed, _PURPOSE, *_bound(bucket, row))
        return row._replace(about=orjson.loads(about))

    def forget(self, tx: Tx, bucket: Bucket, row: UploadRow) -> None:
        """Remove the upload's row; its parts are somebody else's matter."""
        tx.run(
            "DELETE FROM s3_uploads WHERE bucket = ? AND key = ? AND id = ?",
            (bucket.id, row.key.encode(), row.id),
        )

    def forget_all(self, tx: Tx, bucket: Bucket) -> None:
        """Give up all uploads of a bucket, which goes itself."""
        tx.run("INSERT INTO s3_discarded (holder) SELECT id FROM s3_uploads WHERE bucket = ?", (bucket.id,))
        tx.run("DELETE FROM s3_uploads WHERE bucket = ?", (bucket.id,))


def _bound(bucket: Bucket, row: UploadRow) -> tuple[str, ...]:
    return (bucket.id, row.key, row.id, repr(float(row.started)))


class NamedUpload(NewObject):
    """An upload that a request names. row: None where there is none."""

    __slots__ = ("row",)

    row: UploadRow | None

    def condition(self, key: str, call: Call, request: Mapping[str, Any]) -> Value:
        """Its encryption was asked for when it was begun: to policies that force it, each part has it too."""
        if self.row is not None and key in _OF_ENCRYPTION:
            return _OF_ENCRYPTION[key](self.row.about["Encryption"])
        return super().condition(key, call, request)

    def granted(self, action: str, call: Call, request: Mapping[str, Any]) -> Grade:
        """Where lists count, whoever began an upload may give it up and see its parts. Source: "Multipart upload API
        and permissions"."""
        principal = call.identity.principal
        if (
            self.bucket.acls
            and action in ("s3:AbortMultipartUpload", "s3:ListMultipartUploadParts")
            and principal.account
            and self.row is not None
            and self.row.about["Initiator"] == principal.arn
        ):
            return Grade.DIRECT if principal.account == self.bucket.account else Grade.ACCOUNT
        return super().granted(action, call, request)

    @property
    def upload(self) -> UploadRow:
        """What is there once the caller was authorised: who is not, is not told that it is not."""
        assert self.row is not None
        return self.row


_OF_ENCRYPTION: Mapping[str, Callable[[Mapping[str, Any]], Value]] = {
    "s3:x-amz-server-side-encryption": lambda kept: None if kept["A"] == CUSTOMER_KEYS else str(kept["A"]),
    "s3:x-amz-server-side-encryption-aws-kms-key-id": lambda kept: kept.get("N"),
    "s3:x-amz-server-side-encryption-customer-algorithm": lambda kept: (
        "AES256" if kept["A"] == CUSTOMER_KEYS else None
    ),
}


def no_such_upload(upload_id: str) -> AwsError:
    return AwsError(
        "NoSuchUpload",
        "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or "
        "completed.",
        404,
        UploadId=upload_id,
    )


def find_upload(call: Call, request: Mapping[str, Any]) -> NamedUpload:
    """Bucket, Key and UploadId, also where there is no such upload."""
    new = new_object(call, request)
    target = NamedUpload(new.bucket, new.key, new.asks)
    try:
        target.row = call.part(Uploads).find(call.tx, new.bucket, new.key, request["UploadId"])
    except Tampered as error:
        raise log_tampered(f"upload {request['UploadId']}", error) from error
    return target


def named_upload(call: Call, request: Mapping[str, Any]) -> NamedUpload:
    """Bucket, Key and UploadId, of an upload that is to be continued."""
    target = find_upload(call, request)
    target.creates = False
    if target.row is None:
        target.missing = no_such_upload(request["UploadId"])
    return target
