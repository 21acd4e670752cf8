"""What S3's operations act on, as policies see it: buckets, and what is in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from typing import TYPE_CHECKING, Any, NamedTuple

from orjson import dumps

from casemate.engine.policy import Grade, Policy
from casemate.gate.resource import Resource, Value
from casemate.services.s3 import acl_rules
from casemate.services.s3.access_notes import AccessNote
from casemate.services.s3.conditions import of_request, of_tags
from casemate.services.s3.cors_rules import head_for
from casemate.services.s3.naming import bucket_arn, point_arn

if TYPE_CHECKING:
    from casemate.errors import AwsError
    from casemate.gate.call import Call
    from casemate.gate.http import Exchange

_BUCKET_TAG = "s3:buckettag/"
_EXISTING_TAG = "s3:existingobjecttag/"


class S3Resource(Resource):
    """Whatever has S3's condition keys."""

    __slots__ = ()

    def condition(self, key: str, call: Call, request: Mapping[str, Any]) -> Value:
        if key == "s3:resourceaccount":
            return self.holder
        return of_request(key, call, request)


class AccountWide(S3Resource):
    """For operations on no particular resource: "*" in policies."""

    __slots__ = ()


class BucketRow(NamedTuple):
    """A bucket as it is stored. id: of this very bucket, never used again; created: seconds since the epoch;
    settings: what is configured, by the names in ``casemate.services.s3.settings``."""

    name: str
    id: str
    account: str
    region: str
    created: float
    settings: Mapping[str, Any]


class PointRow(NamedTuple):
    """An access point as it is stored. bucket: its name; alias: what may stand in a bucket's place; settings: Policy,
    Principals and PublicAccessBlock, as a bucket's; BucketAccount, the account whose bucket it is for; Vpc, the
    only one that requests may come from."""

    account: str
    region: str
    name: str
    bucket: str
    alias: str
    created: float
    settings: Mapping[str, Any]

    @property
    def arn(self) -> str:
        return point_arn(self.account, self.region, self.name)


class Bucket(S3Resource):
    """A bucket as operations use it. Never changed: a change makes another row, which is loaded anew.

    policy: what its bucket policy says, with what the account and the bucket block taken into account. point: the
    access point that the request goes by; blocks: what of public access is blocked, by its own settings and its
    account's; acls: whether access control lists count; acl: its own; denials: of its policy, what it says of objects
    that others own; logged: whether requests to it are; requester_pays:
    whether who asks must say so; watched: either of them.
    """

    __slots__ = (
        "acl",
        "acls",
        "beyond",
        "blocks",
        "denials",
        "id",
        "logged",
        "name",
        "point",
        "region",
        "requester_pays",
        "row",
        "settings",
        "watched",
    )

    point: AccessPoint | None

    def __init__(
        self, row: BucketRow, policy: Policy | None = None, blocks: Mapping[str, bool] | None = None
    ) -> None:
        super().__init__(bucket_arn(row.name, row.region), row.account, policy=policy, type="AWS::S3::Bucket")
        self.row = row
        self.name = row.name
        self.id = row.id
        self.region = row.region
        self.settings = row.settings
        self.beyond = self.point = None
        self.blocks = blocks or {}
        self.logged = "Logging" in row.settings
        self.requester_pays = row.settings.get("Payer") == "Requester"
        self.watched = self.logged or self.requester_pays
        self.acls = self.ownership != "BucketOwnerEnforced"
        self.acl = acl_rules.private(row.account)
        self.denials: Policy | None = None
        if self.acls:
            if "Acl" in row.settings:
                self.acl = acl_rules.opened(row.settings["Acl"])
            if policy is not None:
                denials = tuple(each for each in policy.statements if not each.allow)
                self.denials = Policy("resource", policy.version, denials)

    def by_way_of(self, point: AccessPoint) -> Bucket:
        """The same for a request that names the access point."""
        bucket = copy(self)
        bucket.beyond = bucket.point = point
        return bucket

    @property
    def owner_id(self) -> str:
        """The canonical user id of its account."""
        return acl_rules.canonical(self.account)

    @property
    def versioning(self) -> str:
        """ "Enabled", "Suspended", or "" where it never was enabled."""
        status: str = self.settings.get("Versioning", "")
        return status

    @property
    def encryption(self) -> Mapping[str, Any]:
        """What new objects are encrypted with that do not say: the ServerSideEncryptionRule of the API, complete:
        ApplyServerSideEncryptionByDefault, BucketKeyEnabled, BlockedEncryptionTypes."""
        rule: Mapping[str, Any] = self.settings["Encryption"]
        return rule

    @property
    def blocked_encryption(self) -> frozenset[str]:
        """Which kinds of encryption new objects may not have: {"SSE-C"} or none."""
        return frozenset(self.encryption.get("BlockedEncryptionTypes", {}).get("EncryptionType", ())) - {
            "NONE"
        }

    @property
    def object_lock(self) -> Mapping[str, Any] | None:
        """The ObjectLockConfiguration of the API ({"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention":
        {...}}}), None where object lock is not enabled."""
        found: Mapping[str, Any] | None = self.settings.get("ObjectLock")
        return found

    @property
    def ownership(self) -> str:
        """ "BucketOwnerEnforced", under which ACLs mean nothing, "BucketOwnerPreferred" or "ObjectWriter"; ""
        means the last, and is shown as nothing."""
        ownership: str = self.settings.get("Ownership", "BucketOwnerEnforced")
        return ownership

    @property
    def shown_tags(self) -> Mapping[str, str]:
        """Its tags."""
        tags: Mapping[str, str] = self.settings.get("Tags", {})
        return tags

    def tags(self) -> Mapping[str, str]:
        """Tags count in policies only once attribute-based access control is on. Source: "PutBucketAbac"."""
        return self.shown_tags if self.settings.get("Abac") == "Enabled" else {}

    def cors(self, exchange: Exchange) -> bytes:
        rules = self.settings.get("Cors")
        if rules is None:
            return b""
        return head_for(rules, exchange.headers.get(b"origin", b"").decode("latin-1"), exchange.method)

    def reach(self, acl: acl_rules.Acl, permission: str, call: Call, owner: str = "") -> Grade:
        """How far a list of the bucket, or of an object in it, reaches the caller. owner: the object's, the bucket's
        unless given."""
        public = not self.blocks.get("IgnorePublicAcls")
        principal = call.identity.principal
        found = acl_rules.reach(acl, permission, principal, owner or self.account, public=public)
        if found and isinstance(call.noting, AccessNote):
            call.noting.acl_required = True
        return found

    def granted(self, action: str, call: Call, request: Mapping[str, Any]) -> Grade:  # noqa: ARG002
        permission = acl_rules.OF_BUCKET.get(action) if self.acls else None
        return Grade.NONE if permission is None else self.reach(self.acl, permission, call)

    def condition(self, key: str, call: Call, request: Mapping[str, Any]) -> Value:
        if key.startswith(_BUCKET_TAG):
            return of_tags(_BUCKET_TAG, key, self.tags())
        if key in _OF_POINT and self.point is not None:
            return _OF_POINT[key](self.point)
        return super().condition(key, call, request)


class AccessPoint(S3Resource):
    """An access point as operations use it. Never changed. bucket: the name of its bucket."""

    __slots__ = ("bucket", "row", "settings")

    def __init__(self, row: PointRow, policy: Policy | None) -> None:
        super().__init__(row.arn, row.account, policy=policy, type="AWS::S3::AccessPoint")
        self.row = row
        self.bucket = row.bucket
        self.settings = row.settings

    def condition(self, key: str, call: Call, request: Mapping[str, Any]) -> Value:
        of_point = _OF_POINT.get(key)
        return super().condition(key, call, request) if of_point is None else of_point(self)


_OF_POINT: Mapping[str, Callable[[AccessPoint], Value]] = {
    "s3:accesspointnetworkorigin": lambda point: "VPC" if "Vpc" in point.settings else "Internet",
    "s3:dataaccesspointaccount": lambda point: point.account,
    "s3:dataaccesspointarn": lambda point: point.arn,
}


class PointObject(S3Resource):
    """An object as its access point's policy sees it."""

    __slots__ = ("_object",)

    def __init__(self, point: AccessPoint, of: Object) -> None:
        super().__init__(f"{point.arn}/object/{of.key}", point.account, policy=point.policy)
        self._object = of

    def condition(self, key: str, call: Call, request: Mapping[str, Any]) -> Value:
        if key == "s3:resourceaccount":
            return self.account
        return self._object.condition(key, call, request)


class Object(S3Resource):
    """An object that an operation acts on, or would make, in a bucket; with the bucket's policy.

    object_tags: of the version that is there, for s3:ExistingObjectTag.
    """

    __slots__ = ("beyond", "bucket", "key", "object_tags")

    def __init__(
        self,
        bucket: Bucket,
        key: str,
        *,
        object_tags: Mapping[str, str] | None = None,
        missing: AwsError | None = None,
    ) -> None:
        super().__init__(
            f"{bucket.arn}/{key}",
            bucket.account,
            policy=bucket.policy,
            type="AWS::S3::Object",
            missing=missing,
        )
        self.bucket = bucket
        self.key = key
        self.object_tags = object_tags or {}
        self.beyond = None if bucket.point is None else PointObject(bucket.point, self)

    @property
    def audit(self) -> bytes:
        """As CloudTrail shows an object: beside its bucket, which tells whose it is."""
        shown = self._audit
        if shown is None:
            of_bucket = self.bucket.audit
            shown = self._audit = b'{"type":"AWS::S3::Object","ARN":%b},%b' % (dumps(self.arn), of_bucket)
        return shown

    def cors(self, exchange: Exchange) -> bytes:
        return self.bucket.cors(exchange)

    def condition(self, key: str, call: Call, request: Mapping[str, Any]) -> Value:
        if key.startswith(_EXISTING_TAG):
            return of_tags(_EXISTING_TAG, key, self.object_tags)
        return self.bucket.condition(key, call, request)
