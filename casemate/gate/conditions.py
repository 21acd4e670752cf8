"""The request context that policies' conditions are evaluated against: AWS's global condition keys.

Values are looked up one by one when a condition asks, because most decisions ask for none. Source: "AWS global
condition context keys".
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from casemate.gate.call import Call
from casemate.gate.resource import Resource, Value
from casemate.gate.vpc_endpoints import endpoint_of

Lookup = Callable[[str], Value]


def iso_time(seconds: float) -> str:
    """2026-11-23T21:13:05Z"""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def _true(value: bool) -> str:
    return "true" if value else "false"


def _since_mfa(call: Call) -> Value:
    if call.second_factor:
        return "0"
    session = call.identity.session
    return None if session is None or session.mfa is None else str(max(0, int(call.now - session.mfa)))


def _source_account(call: Call) -> Value:
    if call.source_account:
        return call.source_account
    parts = call.source_arn.split(":", 5)
    return (parts[4] if len(parts) == 6 else "") or None


def _source_ip(call: Call) -> Value:
    # A private address behind an endpoint could be anybody's.
    return None if call.via or call.service or endpoint_of(call) is not None else call.source_ip


# A key that the request's context does not hold answers None. What a service does on a caller's behalf carries
# neither the caller's network nor their client.
_OF_CALL: dict[str, Callable[[Call], Value]] = {
    "aws:sourcearn": lambda call: call.source_arn or None,
    "aws:sourceaccount": _source_account,
    "aws:currenttime": lambda call: iso_time(call.now),
    "aws:epochtime": lambda call: str(int(call.now)),
    "aws:multifactorauthage": _since_mfa,
    # Of a session it is known; a request by long-term credentials may prove it by itself.
    "aws:multifactorauthpresent": lambda call: "true" if call.second_factor else None,
    "aws:requestedregion": lambda call: call.region,
    "aws:securetransport": lambda call: _true(call.tls is not None or bool(call.via or call.service)),
    "aws:sourceip": _source_ip,
    "aws:sourcevpc": lambda call: None if (found := endpoint_of(call)) is None else found.vpc or None,
    "aws:sourcevpce": lambda call: None if (found := endpoint_of(call)) is None else found.id,
    "aws:vpcsourceip": lambda call: None if endpoint_of(call) is None else call.source_ip,
    "aws:useragent": lambda call: None if call.via or call.service else call.user_agent,
    "aws:viaawsservice": lambda call: _true(bool(call.via)),
    "aws:calledvia": lambda call: [f"{name}.amazonaws.com" for name in call.via] or None,
    "aws:calledviafirst": lambda call: f"{call.via[0]}.amazonaws.com" if call.via else None,
    "aws:calledvialast": lambda call: f"{call.via[-1]}.amazonaws.com" if call.via else None,
}


def _organization(call: Call, account: str, key: str) -> Value:
    """aws:PrincipalOrgID and aws:PrincipalOrgPaths, or the same of a resource; None outside of an organisation."""
    standing = call.gate.organizations.standing(account, call.transaction)
    if not standing.organization:
        return None
    return [standing.path] if key.endswith("paths") else standing.organization


_OF_ORGANIZATION = frozenset({"aws:principalorgid", "aws:principalorgpaths"})
_OF_RESOURCES_ORGANIZATION = frozenset({"aws:resourceorgid", "aws:resourceorgpaths"})
_OF_SOURCES_ORGANIZATION = frozenset({"aws:sourceorgid", "aws:sourceorgpaths"})


def context_of(call: Call) -> Iterator[tuple[str, Value]]:
    """The caller's and the call's own condition keys, all that have a value."""
    for key, value in call.identity.known.items():
        if value is not None:
            yield key, value
    for key, of_call in _OF_CALL.items():
        value = of_call(call)
        if value is not None and call.identity.known.get(key) is None:
            yield key, value


def lookup_for(call: Call, resource: Resource, request: Mapping[str, Any]) -> Lookup:
    """The context of one permission: the caller's keys, the request's, the resource's."""
    known = call.identity.known

    def lookup(key: str) -> Value:
        value = known.get(key)
        if value is not None:
            return value
        of_call = _OF_CALL.get(key)
        if of_call is not None:
            return of_call(call)
        if key == "aws:resourceaccount":
            return resource.holder
        if key in _OF_ORGANIZATION:
            return _organization(call, call.identity.principal.account, key)
        if key in _OF_RESOURCES_ORGANIZATION:
            return _organization(call, resource.holder, key)
        if key in _OF_SOURCES_ORGANIZATION:
            return _organization(call, call.source_account, key) if call.source_account else None
        if key.startswith("aws:resourcetag/"):
            # Tag keys in a condition's name are compared without regard to case.
            wanted = key[16:]
            for name, tag in resource.tags().items():
                if name.lower() == wanted:
                    return tag
            return None
        return resource.condition(key, call, request)

    return lookup
