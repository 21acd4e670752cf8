"""What a request acts on: one resolver for each way in which Secrets Manager's operations name it.

A secret that does not exist is a resource with the error that a caller gets who would be allowed to use it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.gate.regions import partition_of
from casemate.gate.resource import Resource, Value
from casemate.services.secretsmanager.conditions import OWN_TAGS, of_request
from casemate.services.secretsmanager.naming import (
    NAME,
    invalid_name,
    new_suffix,
    parse_secret_name,
    secret_arn,
)
from casemate.services.secretsmanager.refusals import no_secret
from casemate.services.secretsmanager.secret import TYPE, Secret
from casemate.services.secretsmanager.secrets import Secrets


class _Absent(Resource):
    """In place of a secret that is not there. No handler ever sees it: the gate refuses the caller, or raises the
    error."""

    __slots__ = ()

    def condition(self, key: str, call: Call, request: Mapping[str, Any]) -> Value:
        return of_request(key, call, request)


def _absent(arn: str, account: str, named: str, error: AwsError) -> Secret:
    resource = _Absent(arn, account, missing=error)
    resource.shown = named
    return cast("Secret", resource)


def secret_named(call: Call, text: str) -> Secret:
    """The secret of that name in the caller's account, or of that ARN, whole or partial, in any."""
    name = parse_secret_name(text)
    account = name.account or call.account
    elsewhere = name.region and (name.region != call.region or name.partition != partition_of(call.region))
    secret = None if elsewhere else call.part(Secrets).find(call, account, call.region, name.name)
    if secret is None or (name.suffix and secret.row.suffix != name.suffix):
        arn = text if name.region else secret_arn(account, call.region, name.name, "")
        return _absent(arn, account, text, no_secret())
    return secret


def named_secret(call: Call, request: Mapping[str, Any]) -> Secret:
    """SecretId, by name or ARN."""
    return secret_named(call, request["SecretId"])


# --- the account as a whole


class AccountWide(Resource):
    """For operations on no particular secret: "*" in policies."""

    __slots__ = ()

    def condition(self, key: str, call: Call, request: Mapping[str, Any]) -> Value:
        return of_request(key, call, request)


def account_wide(call: Call, request: Mapping[str, Any]) -> AccountWide:
    """The caller's account."""
    return AccountWide("*", call.account)


class NewSecret(Resource):
    """The secret that CreateSecret would make, as the request describes it. wanted: its tags; suffix: the six
    characters at the ARN's end; tagged, replicated: itself where that is asked for besides, else None."""

    __slots__ = ("replicated", "suffix", "tagged", "wanted")

    wanted: Mapping[str, str]
    suffix: str
    tagged: NewSecret | None
    replicated: NewSecret | None

    def tags(self) -> Mapping[str, str]:
        """A new secret has the tags of the request already, to AWS's policies."""
        return self.wanted

    def condition(self, key: str, call: Call, request: Mapping[str, Any]) -> Value:
        if key.startswith(OWN_TAGS):
            name = key[len(OWN_TAGS) :]
            return next((value for tag, value in self.wanted.items() if tag.lower() == name), None)
        return of_request(key, call, request)


def new_secret(call: Call, request: Mapping[str, Any]) -> NewSecret:
    """CreateSecret's. Raises ValidationException for what cannot be a name."""
    name = request["Name"]
    if NAME.fullmatch(name) is None:
        raise invalid_name()
    suffix = new_suffix()
    target = NewSecret(secret_arn(call.account, call.region, name, suffix), call.account, type=TYPE)
    target.shown = name
    target.suffix = suffix
    target.wanted = {tag["Key"]: tag.get("Value", "") for tag in request.get("Tags", ()) if "Key" in tag}
    target.tagged = target if target.wanted else None
    target.replicated = target if request.get("AddReplicaRegions") else None
    return target
