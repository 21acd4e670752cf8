"""What requests on objects act on: those that are there, and those that are to be made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from casemate.engine.envelope.errors import Tampered
from casemate.engine.policy import Grade
from casemate.errors import AwsError
from casemate.gate.authorise import decide
from casemate.gate.operation import Need
from casemate.gate.resource import Value
from casemate.services.s3 import acl_rules
from casemate.services.s3.about import check_key, http_date
from casemate.services.s3.object_rows import NULL, ObjectRow, Objects
from casemate.services.s3.refusals import access_denied, invalid_argument, log_tampered
from casemate.services.s3.resources import Bucket, Object
from casemate.services.s3.targets import named_bucket

if TYPE_CHECKING:
    from casemate.gate.call import Call

_HEX = frozenset("0123456789abcdef")


# --- whose an object is


def owner_of(bucket: Bucket, about: Mapping[str, Any]) -> str:
    """The account that owns a version. about: what is kept of it."""
    owner: str = about.get("Owner", bucket.account) if bucket.acls else bucket.account
    return owner


def acl_of(bucket: Bucket, about: Mapping[str, Any]) -> acl_rules.Acl:
    """A version's access control list."""
    if bucket.acls and "Acl" in about:
        return acl_rules.opened(about["Acl"])
    return acl_rules.private(owner_of(bucket, about))


def writer(call: Call, bucket: Bucket) -> str:
    """The account that owns what the caller writes into a bucket that leaves it to the writer."""
    principal = call.identity.principal
    if principal.kind == "anonymous":
        return acl_rules.ANONYMOUS
    return principal.account or bucket.account


# --- those that are there


class NamedObject(Object):
    """An object that a request names. row: the version that it means, None where there is none; named: whether it
    names the version."""

    __slots__ = ("named", "row")

    def __init__(self, bucket: Bucket, key: str, row: ObjectRow | None, named: bool) -> None:
        super().__init__(bucket, key, object_tags=row.tags if row is not None else None)
        self.row = row
        self.named = named

    def unversioned(self) -> NamedObject | None:
        return None if self.named else self

    def versioned(self) -> NamedObject | None:
        return self if self.named else None

    def owned_unversioned(self) -> Object | None:
        """The same as its owner's policies and list decide about it, who need not be the bucket's owner."""
        return None if self.named else self.owned() if self.bucket.acls else self

    def owned_version(self) -> Object | None:
        return None if not self.named else self.owned() if self.bucket.acls else self

    def owned(self) -> Object:
        row = self.row
        if row is None or owner_of(self.bucket, row.about) == self.bucket.account:
            return self
        return ForeignObject(self, row)

    def granted(self, action: str, call: Call, request: Mapping[str, Any]) -> Grade:  # noqa: ARG002
        bucket, row = self.bucket, self.row
        if not bucket.acls:
            return Grade.NONE
        if action == "s3:DeleteObject":
            return _writable(call, bucket, row)
        permission = acl_rules.OF_OBJECT.get(action)
        if permission is None or row is None:
            return Grade.NONE
        return bucket.reach(acl_of(bucket, row.about), permission, call)


class ForeignObject(Object):
    """An object that another account owns than its bucket. The bucket's policy can only deny; who may is the owner's
    affair, by its users' policies and by the object's list. Source: "How Amazon S3 authorizes a request for an object
    operation"."""

    __slots__ = ("row",)

    def __init__(self, of: NamedObject, row: ObjectRow) -> None:
        super().__init__(of.bucket, of.key, object_tags=of.object_tags)
        self.row = row
        self.account = owner_of(of.bucket, row.about)
        self.policy = of.bucket.denials

    def granted(self, action: str, call: Call, request: Mapping[str, Any]) -> Grade:  # noqa: ARG002
        permission = acl_rules.OF_OBJECT.get(action)
        if permission is None:
            return Grade.NONE
        return self.bucket.reach(acl_of(self.bucket, self.row.about), permission, call, self.account)


def _writable(call: Call, bucket: Bucket, row: ObjectRow | None) -> Grade:
    """How far the bucket's list lets the caller write or remove a key whose newest version that is: WRITE is for what
    is new, and for what is the caller's own. Source: "Access control list (ACL) overview"."""
    reach = bucket.reach(bucket.acl, "WRITE", call)
    if (
        reach is Grade.NONE
        or row is None
        or row.marker
        or owner_of(bucket, row.about) == writer(call, bucket)
    ):
        return reach
    return Grade.NONE


def needs_of(action: str, versioned: str) -> tuple[Need, Need]:
    """The permission for an object or, where the request names a version, for that."""
    return Need(action, NamedObject.unversioned), Need(versioned, NamedObject.versioned)


def needs_of_owner(action: str, versioned: str) -> tuple[Need, Need]:
    """The same for what the object's owner decides about: reading it, and its list."""
    return Need(action, NamedObject.owned_unversioned), Need(versioned, NamedObject.owned_version)


def named_object(call: Call, request: Mapping[str, Any]) -> NamedObject:
    """Bucket, Key and VersionId."""
    bucket = named_bucket(call, request)
    return find_object(call, bucket, request["Key"], request.get("VersionId"))


def find_object(call: Call, bucket: Bucket, key: str, version_id: str | None) -> NamedObject:
    """That version of an object, or its newest. Raises AwsError for an id that none can have."""
    check_key(key)
    if (
        version_id is not None
        and version_id != NULL
        and (len(version_id) != 32 or not _HEX.issuperset(version_id))
    ):
        raise invalid_argument("Invalid version id specified", "versionId", version_id)
    objects = call.part(Objects)
    try:
        if version_id is None:
            row = objects.current(call.tx, bucket, key)
        else:
            row = objects.version(call.tx, bucket, key, version_id)
    except Tampered as error:
        raise log_tampered(f"object {bucket.arn}/{key}", error) from error
    return NamedObject(bucket, key, row, version_id is not None)


def readable(call: Call, target: NamedObject) -> ObjectRow:
    """The version that a caller may read, which is no delete marker. Raises AwsError."""
    row = target.row
    if row is None:
        if not may_list(call, target.bucket):
            raise access_denied()
        if target.named:
            raise AwsError("NoSuchVersion", "The specified version does not exist.", 404, Key=target.key)
        raise no_such_key(target.key)
    if not row.marker:
        return row
    headers = {"x-amz-delete-marker": "true", "x-amz-version-id": row.version_id}
    if target.named:
        raise AwsError(
            "MethodNotAllowed",
            "The specified method is not allowed against this resource.",
            405,
            Method=call.exchange.method,
            ResourceType="DeleteMarker",
            **headers,
            **{"Last-Modified": http_date(row.modified), "Allow": "DELETE"},
        )
    if not may_list(call, target.bucket):
        raise access_denied()
    error = no_such_key(target.key)
    error.fields.update(headers)
    raise error


def may_list(call: Call, bucket: Bucket) -> bool:
    """Whether the caller may know which keys there are: who may not is not told that one is missing."""
    return decide(call, "s3:ListBucket", bucket, {}).allowed


def no_such_key(key: str) -> AwsError:
    return AwsError("NoSuchKey", "The specified key does not exist.", 404, Key=key)


class NewObject(Object):
    """An object that a request would make. asks: which further permissions, by what the request has."""

    __slots__ = ("asks", "creates")

    def __init__(self, bucket: Bucket, key: str, asks: frozenset[str], creates: bool = True) -> None:
        """creates: whether the request makes the object, other than one that begins or continues an upload."""
        super().__init__(bucket, key)
        self.asks = asks
        self.creates = creates

    def granted(self, action: str, call: Call, request: Mapping[str, Any]) -> Grade:  # noqa: ARG002
        bucket = self.bucket
        if not bucket.acls:
            return Grade.NONE
        if action == "s3:PutObject":
            if bucket.reach(bucket.acl, "WRITE", call) is Grade.NONE:
                return Grade.NONE
            return _writable(call, bucket, find_object(call, bucket, self.key, None).row)
        if action == "s3:PutObjectAcl":
            # What it makes is its own, or S3's own delivery.
            kind = call.identity.principal.kind
            if kind == "service":
                return bucket.reach(bucket.acl, "WRITE", call)
            if writer(call, bucket) != bucket.account:
                return Grade.DIRECT if kind == "anonymous" else Grade.ACCOUNT
        return Grade.NONE

    def condition(self, key: str, call: Call, request: Mapping[str, Any]) -> Value:
        if key == "s3:objectcreationoperation":
            return "true" if self.creates else "false"
        return super().condition(key, call, request)


def _asks(what: str) -> Need:
    def of(target: NewObject) -> NewObject | None:
        return target if what in target.asks else None

    return Need(f"s3:{what}", of)


NEEDS_OF_NEW = (
    Need("s3:PutObject"),
    _asks("GetObject"),
    _asks("PutObjectAcl"),
    _asks("PutObjectTagging"),
    _asks("PutObjectRetention"),
    _asks("PutObjectLegalHold"),
)
"""What making an object takes."""

_ASKED_BY: Mapping[str, str] = {
    # Source: "How to prevent object overwrites with conditional writes".
    "IfMatch": "GetObject",
    **dict.fromkeys(acl_rules.MEMBERS, "PutObjectAcl"),
    "Tagging": "PutObjectTagging",
    "ObjectLockMode": "PutObjectRetention",
    "ObjectLockRetainUntilDate": "PutObjectRetention",
    "ObjectLockLegalHoldStatus": "PutObjectLegalHold",
}
"""Members that take a further permission."""


def new_object(call: Call, request: Mapping[str, Any]) -> NewObject:
    """Bucket and Key of what is to be written."""
    bucket = named_bucket(call, request)
    key = request["Key"]
    check_key(key)
    asks = frozenset([_ASKED_BY[member] for member in request if member in _ASKED_BY])
    if call.identity.principal.kind == "service":
        # AWS's services deliver with an ACL where the bucket's policy lets them s3:PutObject, as AWS documents it.
        asks -= {"PutObjectAcl"}
    return NewObject(bucket, key, asks)


def upload_begun(call: Call, request: Mapping[str, Any]) -> NewObject:
    """Bucket and Key of what is to be uploaded in parts."""
    target = new_object(call, request)
    target.creates = False
    return target
