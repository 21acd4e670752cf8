"""What access control lists say: grants, canned lists, the headers and documents that ask for them, and whom they let
do what. Source: "Access control list (ACL) overview", "Canned ACL", "PutBucketAcl", "PutObjectAcl".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from casemate.engine.policy import Grade
from casemate.errors import AwsError
from casemate.gate.canonical_user import canonical_user
from casemate.services.s3.refusals import (
    access_denied,
    invalid_argument,
    invalid_request,
    malformed_acl,
    method_not_allowed,
)

if TYPE_CHECKING:
    from casemate.api import s3
    from casemate.engine.policy import Principal

_GROUPS = "http://acs.amazonaws.com/groups/"
ALL_USERS = _GROUPS + "global/AllUsers"
AUTHENTICATED_USERS = _GROUPS + "global/AuthenticatedUsers"
LOG_DELIVERY = _GROUPS + "s3/LogDelivery"
_PUBLIC = frozenset({ALL_USERS, AUTHENTICATED_USERS})
_KNOWN_GROUPS = _PUBLIC | {LOG_DELIVERY}

ANONYMOUS = "anonymous"
"""In place of an account's number, of what somebody owns who signed nothing."""

_ANONYMOUS_ID = "65a011a29cdf8ec533ec3d1ccaae921c"
_EC2_ID = "6aa5a366c34c1cbe25dc49211496e913e0351eb0e8c37aa3477e40942ec6b97c"
"""AWS's own account, to which aws-exec-read lets EC2 read bundles of images."""

_LOG_SERVICE = "logging.s3.amazonaws.com"
_MOST = 100


class Grant(NamedTuple):
    """grantee: a canonical user id or a group's URI; permission: FULL_CONTROL, READ, WRITE, READ_ACP, WRITE_ACP."""

    grantee: str
    permission: str


Acl = Sequence[Grant]


def canonical(owner: str) -> str:
    """The canonical user id of an account, or of whoever signs nothing."""
    return _ANONYMOUS_ID if owner == ANONYMOUS else canonical_user(owner)


def private(owner: str) -> Acl:
    """The list of what nothing else was said of. owner: an account's number."""
    return (Grant(canonical(owner), "FULL_CONTROL"),)


# --- what is asked for

HEADERS = {
    "GrantFullControl": "FULL_CONTROL",
    "GrantRead": "READ",
    "GrantReadACP": "READ_ACP",
    "GrantWrite": "WRITE",
    "GrantWriteACP": "WRITE_ACP",
}
"""The permissions by the members that x-amz-grant-* headers are."""

MEMBERS = ("ACL", *HEADERS)

_CANNED: Mapping[str, tuple[tuple[str, str], ...]] = {
    "private": (),
    "public-read": ((ALL_USERS, "READ"),),
    "public-read-write": ((ALL_USERS, "READ"), (ALL_USERS, "WRITE")),
    "authenticated-read": ((AUTHENTICATED_USERS, "READ"),),
    "aws-exec-read": ((_EC2_ID, "READ"),),
    "log-delivery-write": ((LOG_DELIVERY, "WRITE"), (LOG_DELIVERY, "READ_ACP")),
}
_OF_BUCKET_OWNER = {"bucket-owner-read": "READ", "bucket-owner-full-control": "FULL_CONTROL"}

_GRANTEE = re.compile(r'\s*(id|uri|emailAddress)\s*=\s*(?:"([^"]*)"|([^",\s]*))\s*(?:,|$)')


def asked(request: Mapping[str, Any], owner: str, bucket_owner: str = "") -> Acl | None:
    """The list that a request's headers ask for; None where they say nothing of it. owner: of what the list is for;
    bucket_owner: of an object's bucket, '' of a bucket. Raises AwsError."""
    granting = [name for name in HEADERS if name in request]
    name: str | None = request.get("ACL")
    if name is None:
        return _of_headers(request, granting) if granting else None
    if granting:
        raise invalid_request("Specifying both Canned ACLs and Header Grants is not allowed")
    granted = [Grant(*each) for each in _CANNED.get(name, ())]
    if name in _OF_BUCKET_OWNER and bucket_owner not in ("", owner):
        # A bucket's own list it does not change: AWS takes no notice of it there.
        granted = [Grant(canonical(bucket_owner), _OF_BUCKET_OWNER[name])]
    return (*private(owner), *granted)


def _of_headers(request: Mapping[str, Any], granting: Iterable[str]) -> Acl:
    grants: dict[Grant, None] = {}
    for name in granting:
        permission, text, at = HEADERS[name], request[name], 0
        while at < len(text) or at == 0:
            found = _GRANTEE.match(text, at)
            if found is None:
                header = f"x-amz-grant-{permission.lower().replace('_', '-')}"
                raise invalid_argument("Argument format not recognized", header, text)
            kind, quoted, plain = found.groups()
            grants[Grant(_grantee(kind, quoted if quoted is not None else plain), permission)] = None
            at = found.end()
    return _few(grants)


def of_document(policy: Mapping[str, Any], owner: str) -> Acl:
    """The list that an AccessControlPolicy says, of what that account owns. Raises AwsError."""
    named = policy.get("Owner", {}).get("ID")
    if named is None or "Grants" not in policy:
        raise malformed_acl()
    if named != canonical(owner):
        # Nothing changes its owner by its list.
        raise access_denied()
    return of_grants(policy["Grants"])


def of_grants(given: Iterable[Mapping[str, Any]]) -> Acl:
    """The list of a document's grants. Raises AwsError."""
    grants: dict[Grant, None] = {}
    for each in given:
        grantee, permission = each.get("Grantee", {}), each.get("Permission")
        member = _MEMBER_OF.get(grantee.get("Type", ""))
        if permission is None or member is None or member not in grantee:
            raise malformed_acl()
        grants[Grant(_grantee(_KIND_OF[member], grantee[member]), permission)] = None
    return _few(grants)


_MEMBER_OF = {"CanonicalUser": "ID", "Group": "URI", "AmazonCustomerByEmail": "EmailAddress"}
_KIND_OF = {"ID": "id", "URI": "uri", "EmailAddress": "emailAddress"}
_ID = re.compile(r"[0-9a-f]{64}")


def _grantee(kind: str, value: str) -> str:
    if kind == "emailAddress":
        # Source: "End of support notice: Email Grantee Access Control Lists".
        raise method_not_allowed()
    if kind == "uri":
        if value not in _KNOWN_GROUPS:
            raise invalid_argument("Invalid group uri", "uri", value)
    elif _ID.fullmatch(value) is None and value != _ANONYMOUS_ID:
        raise invalid_argument("Invalid id", "CanonicalUser/ID", value)
    return value


def _few(grants: Iterable[Grant]) -> Acl:
    found = tuple(grants)
    if len(found) > _MOST:
        raise malformed_acl()
    return found


def check_disabled(request: Mapping[str, Any], bucket_owner: str) -> None:
    """Raise for a list in a bucket that has none: only that says nothing new which gives the bucket's owner control.
    Source: "Controlling ownership of objects and disabling ACLs for your bucket"."""
    given = {name: request[name] for name in MEMBERS if name in request}
    if not given or given in ({"ACL": "bucket-owner-full-control"}, {"ACL": "private"}):
        return
    if given.keys() == {"GrantFullControl"} and _of_headers(given, given) == private(bucket_owner):
        return
    raise AwsError("AccessControlListNotSupported", "The bucket does not allow ACLs", 400)


# --- what it says

OF_BUCKET = {
    "s3:ListBucket": "READ",
    "s3:ListBucketVersions": "READ",
    "s3:ListBucketMultipartUploads": "READ",
    "s3:GetBucketAcl": "READ_ACP",
    "s3:PutBucketAcl": "WRITE_ACP",
}
"""The permission in a bucket's list that an action takes. Source: "Mapping of ACL permissions and access policy
permissions"."""

OF_OBJECT = {
    "s3:GetObject": "READ",
    "s3:GetObjectVersion": "READ",
    "s3:GetObjectAttributes": "READ",
    "s3:GetObjectVersionAttributes": "READ",
    "s3:GetObjectAcl": "READ_ACP",
    "s3:GetObjectVersionAcl": "READ_ACP",
    "s3:PutObjectAcl": "WRITE_ACP",
    "s3:PutObjectVersionAcl": "WRITE_ACP",
}
"""The same in an object's list."""


def reach(acl: Acl, permission: str, principal: Principal, owner: str, *, public: bool) -> Grade:
    """How far a list reaches a caller who needs that permission, as an Allow of a policy would. owner: the account
    that the list's resource belongs to; public: groups of everybody count."""
    granted = {grant.grantee for grant in acl if grant.permission in (permission, "FULL_CONTROL")}
    if not public:
        granted -= _PUBLIC
    if not granted:
        return Grade.NONE
    if principal.kind == "anonymous":
        return Grade.DIRECT if ALL_USERS in granted or _ANONYMOUS_ID in granted else Grade.NONE
    if principal.kind == "service":
        return Grade.DIRECT if principal.arn == _LOG_SERVICE and LOG_DELIVERY in granted else Grade.NONE
    if not principal.account:
        return Grade.NONE
    if granted & _PUBLIC and principal.account == owner:
        # As Principal "*" in a policy of the caller's own account. Others need their account's say as well.
        return Grade.DIRECT
    if granted & _PUBLIC or canonical_user(principal.account) in granted:
        return Grade.ACCOUNT
    return Grade.NONE


def is_public(acl: Acl) -> bool:
    """Whether it grants anything to everybody, or to everybody who signs."""
    return any(grant.grantee in _PUBLIC for grant in acl)


# --- how it is kept and shown


def kept(acl: Acl) -> list[list[str]]:
    """As rows have it."""
    return [list(grant) for grant in acl]


def opened(rows: Iterable[Sequence[str]]) -> Acl:
    """Out of what ``kept`` gave."""
    return tuple(Grant(grantee, permission) for grantee, permission in rows)


def shown(acl: Acl) -> list[s3.Grant]:
    """As answers have it."""
    return [
        {
            "Grantee": {"URI": grantee, "Type": "Group"}
            if grantee.startswith(_GROUPS)
            else {"ID": grantee, "Type": "CanonicalUser"},
            "Permission": permission,  # type: ignore[typeddict-item]  # one of them, as it was checked
        }
        for grantee, permission in acl
    ]
