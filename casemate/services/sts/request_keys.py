"""The condition keys of a request for a session.

Source: "IAM and AWS STS condition context keys", "AWS global condition context keys".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from casemate.gate.resource import Value

_MEMBERS = {
    "sts:externalid": "ExternalId",
    "sts:rolesessionname": "RoleSessionName",
    "sts:sourceidentity": "SourceIdentity",
    "sts:durationseconds": "DurationSeconds",
    "sts:transitivetagkeys": "TransitiveTagKeys",
}
_TAG = "aws:requesttag/"


def of_request(key: str, request: Mapping[str, Any]) -> Value:
    """The value of a condition key, given in lower case; None when the request has none."""
    member = _MEMBERS.get(key)
    if member is not None:
        value = request.get(member)
        return str(value) if isinstance(value, int) else value
    if key == "aws:tagkeys":
        return [tag["Key"] for tag in request.get("Tags", ())] or None
    if key.startswith(_TAG):
        # Names of condition keys have no case, so that of two tags that differ in it there is only one.
        wanted = key[len(_TAG) :]
        return next((tag["Value"] for tag in request.get("Tags", ()) if tag["Key"].lower() == wanted), None)
    return None
