"""S3's condition keys, all in lower case. Source: "Actions, resources, and condition keys for Amazon S3", "Bucket
policy examples using condition keys".
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from casemate.gate.resource import Value

if TYPE_CHECKING:
    from casemate.gate.call import Call
    from casemate.gate.claim import Claim


def _text(value: Any) -> Value:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return str(value)


# Keys that are a parameter of the request, under the names that operations have for it.
_OF_REQUEST: Mapping[str, tuple[str, ...]] = {
    "s3:delimiter": ("Delimiter",),
    "s3:if-match": ("IfMatch",),
    "s3:if-none-match": ("IfNoneMatch",),
    "s3:max-keys": ("MaxKeys",),
    "s3:object-lock-legal-hold": ("ObjectLockLegalHoldStatus",),
    "s3:object-lock-mode": ("ObjectLockMode",),
    "s3:object-lock-retain-until-date": ("ObjectLockRetainUntilDate",),
    "s3:prefix": ("Prefix",),
    "s3:versionid": ("VersionId",),
    "s3:x-amz-acl": ("ACL",),
    "s3:x-amz-bucket-namespace": ("BucketNamespace",),
    "s3:x-amz-copy-source": ("CopySource",),
    "s3:x-amz-grant-full-control": ("GrantFullControl",),
    "s3:x-amz-grant-read": ("GrantRead",),
    "s3:x-amz-grant-read-acp": ("GrantReadACP",),
    "s3:x-amz-grant-write": ("GrantWrite",),
    "s3:x-amz-grant-write-acp": ("GrantWriteACP",),
    "s3:x-amz-metadata-directive": ("MetadataDirective",),
    "s3:x-amz-object-ownership": ("ObjectOwnership",),
    "s3:x-amz-server-side-encryption": ("ServerSideEncryption",),
    "s3:x-amz-server-side-encryption-aws-kms-key-id": ("SSEKMSKeyId",),
    "s3:x-amz-server-side-encryption-customer-algorithm": ("SSECustomerAlgorithm",),
    "s3:x-amz-storage-class": ("StorageClass",),
    "s3:x-amz-website-redirect-location": ("WebsiteRedirectLocation",),
}


def _location(_call: Call, request: Mapping[str, Any]) -> Value:
    constraint = request.get("CreateBucketConfiguration", {}).get("LocationConstraint")
    return None if constraint is None else str(constraint)


def _retention(member: str) -> Callable[[Call, Mapping[str, Any]], Value]:
    def value(_call: Call, request: Mapping[str, Any]) -> Value:
        found = request.get("Retention", {}).get(member)
        return None if found is None else _text(found)

    return value


def _hold(_call: Call, request: Mapping[str, Any]) -> Value:
    found = request.get("LegalHold", {}).get("Status")
    return None if found is None else str(found)


def _remaining_days(call: Call, request: Mapping[str, Any]) -> Value:
    until = request.get("ObjectLockRetainUntilDate") or request.get("Retention", {}).get("RetainUntilDate")
    if until is None:
        return None
    return str(max(0, int((until.timestamp() - call.now) // 86_400)))


def _tls_version(call: Call, _request: Mapping[str, Any]) -> Value:
    return None if call.tls is None else call.tls.version.removeprefix("TLSv")


def _claim(call: Call) -> Claim | None:
    """What was verified of a request that was signed as a whole: not of a form, nor of what a service asks."""
    return None if call.signed is None else call.signed.claim


def _auth_type(call: Call, _request: Mapping[str, Any]) -> Value:
    if call.identity.principal.kind == "anonymous":
        return None
    claim = _claim(call)
    if claim is not None and claim.form == "query":
        return "REST-QUERY-STRING"
    served = None if call.route is None else call.route.operation.served
    # What another service asks for its caller counts as signed by it in the usual way.
    return "REST-HEADER" if served is None or served.proof is None else "POST"


def _signature_version(call: Call, request: Mapping[str, Any]) -> Value:
    return None if _auth_type(call, request) is None else "AWS4-HMAC-SHA256"


def _signature_age(call: Call, _request: Mapping[str, Any]) -> Value:
    """Milliseconds since a presigned URL was signed, by the machine's own clock, as signatures go."""
    claim = _claim(call)
    if claim is None or claim.form != "query":
        return None
    return str(max(0, int((time.time() - claim.epoch) * 1000)))


def _content_sha256(call: Call, _request: Mapping[str, Any]) -> Value:
    if call.signed is None or call.signed.claim is None or call.signed.payload.declared is None:
        return None
    return call.signed.payload.declared.decode("latin-1")


def _pauses_replication(_call: Call, request: Mapping[str, Any]) -> Value:
    """Only AWS's Fault Injection Service pauses a replication, by the same action."""
    return "false" if "ReplicationConfiguration" in request else None


def _inventory_fields(_call: Call, request: Mapping[str, Any]) -> Value:
    return tuple(request.get("InventoryConfiguration", {}).get("OptionalFields", ())) or None


_COMPUTED: Mapping[str, Callable[[Call, Mapping[str, Any]], Value]] = {
    "s3:authtype": _auth_type,
    "s3:inventoryaccessibleoptionalfields": _inventory_fields,
    "s3:isreplicationpauserequest": _pauses_replication,
    "s3:locationconstraint": _location,
    "s3:object-lock-remaining-retention-days": _remaining_days,
    "s3:signatureage": _signature_age,
    "s3:signatureversion": _signature_version,
    "s3:tlsversion": _tls_version,
    "s3:x-amz-content-sha256": _content_sha256,
}
_ALSO: Mapping[str, Callable[[Call, Mapping[str, Any]], Value]] = {
    "s3:object-lock-legal-hold": _hold,
    "s3:object-lock-mode": _retention("Mode"),
    "s3:object-lock-retain-until-date": _retention("RetainUntilDate"),
}
"""Where the parameter itself is absent."""

_OBJECT_TAG = "s3:requestobjecttag/"
_REQUEST_TAG = "aws:requesttag/"


def object_tags_asked(request: Mapping[str, Any]) -> Mapping[str, str] | None:
    """The tags that a request gives an object; None when it says nothing of tags."""
    header = request.get("Tagging")
    if header is None:
        return None
    if isinstance(header, str):
        return dict(parse_qsl(header, keep_blank_values=True))
    return {tag["Key"]: tag["Value"] for tag in header.get("TagSet", ())}


def bucket_tags_asked(request: Mapping[str, Any]) -> Mapping[str, str]:
    """The tags that a request gives a bucket or another resource of S3's that has tags."""
    given = request.get("CreateBucketConfiguration", request).get("Tags", ())
    return {tag["Key"]: tag["Value"] for tag in given}


def of_request(key: str, call: Call, request: Mapping[str, Any]) -> Value:
    """The value of a condition key that follows from the call and its parameters; None where there is none."""
    members = _OF_REQUEST.get(key)
    if members is not None:
        for member in members:
            value = request.get(member)
            if value is not None:
                return _text(value)
        also = _ALSO.get(key)
        return None if also is None else also(call, request)
    computed = _COMPUTED.get(key)
    if computed is not None:
        return computed(call, request)
    if key.startswith(_OBJECT_TAG):
        return _tag(object_tags_asked(request) or {}, key[len(_OBJECT_TAG) :])
    if key == "s3:requestobjecttagkeys":
        return tuple(object_tags_asked(request) or ()) or None
    if key.startswith(_REQUEST_TAG):
        return _tag(bucket_tags_asked(request), key[len(_REQUEST_TAG) :])
    if key == "aws:tagkeys":
        return tuple(bucket_tags_asked(request)) or tuple(request.get("TagKeys", ())) or None
    return None


def _tag(tags: Mapping[str, str], name: str) -> Value:
    """A tag's value by its name in lower case: names in conditions have no case."""
    return next((value for key, value in tags.items() if key.lower() == name), None)


def of_tags(prefix: str, key: str, tags: Mapping[str, str]) -> Value:
    """The value of a key like s3:ExistingObjectTag/<name>."""
    return _tag(tags, key[len(prefix) :])
