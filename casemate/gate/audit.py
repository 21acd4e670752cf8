"""Step 9: CloudTrail-shaped records, one for each call, refused or not.

A record is put together from pieces of JSON that rarely change (who called, their client, the second), because
it is written for every request. An eventID begins with its eventTime, in seconds, so that a history needs no index of
them. Source: "CloudTrail record contents".
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from copy import copy
from typing import Any

from orjson import dumps, loads

from casemate.engine.cloudtrail.categories import DATA, MANAGEMENT, is_data_event
from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.gate.http import Tls
from casemate.gate.random_ids import new_uuid
from casemate.gate.resource import Resource
from casemate.gate.vpc_endpoints import endpoint_of

_LONGEST = 1024
"""Characters of the longest text of a client's that a record holds."""
_MAX_KEPT = 1_000
_AGENT_KEPT = 256
_frames: dict[tuple[Any, ...], tuple[bytes, bytes, bytes, bytes]] = {}
"""What recurs from call to call, by all that it is made of; those of the second before are dropped."""
_second = 0


def records(
    call: Call,
    source: str,
    name: str,
    *,
    read_only: bool,
    parameters: Mapping[str, Any] | bytes | None,
    response: Mapping[str, Any] | None,
    error: AwsError | None,
) -> list[bytes]:
    """The audit records of a call, as JSON without a line's end.

    source: the service's event source ("kms.amazonaws.com"); name: the operation's; parameters: the request
    without its secrets, as it is or as JSON, None when it was refused before it was understood; response: the
    answer of a call that changed something, without its secrets. Normally one record; another for each owner of
    a resource in another account, with the same sharedEventID.
    """
    global _second
    identity = call.identity.audit
    via = call.via
    account = call.account
    exchange = call.exchange
    headers = exchange.headers
    agent = headers.get(b"user-agent", b"")[:_LONGEST]
    peer = exchange.peer
    tls = exchange.tls
    if via:
        peer = f"{via[-1]}.amazonaws.com"
        agent = peer.encode()
    if (via or call.service) and call.identity.principal.kind != "service":
        # A service principal's identity says so itself.
        identity = b'%b,"invokedBy":"%b"}' % (identity[:-1], agent)
    resources = call.resources
    if len(resources) == 1:
        owner, shown = resources[0].holder, resources[0].audit
        elsewhere = owner != account and owner != "" and bool(shown)
    else:
        shown = b",".join([resource.audit for resource in resources if resource.audit])
        elsewhere = any(resource.audit and resource.holder not in ("", account) for resource in resources)
    second = int(call.now)
    if _second != second:
        _frames.clear()
        _second = second
    host = b"" if tls is None else headers.get(b"host", b"")
    key = (second, identity, source, name, read_only, call.region, peer, agent, tls, host, account)
    frame = _frames.get(key)
    if frame is None:
        endpoint = endpoint_of(call)
        frame = _frame(*key, endpoint="" if endpoint is None else endpoint.id)
    before, kind, after, end = frame
    parts = [
        before,
        b"" if error is None else _error(error),
        b',"requestParameters":',
        parameters if isinstance(parameters, bytes) else dumps(parameters, str),
        b',"responseElements":null,'
        if response is None
        else b',"responseElements":%b,' % dumps(response, str),
        b'"additionalEventData":%b,' % call.additional if call.additional else b"",
        b'"requestID":"',
        call.request_id.encode(),
        kind,
        b',"resources":[%b]' % shown if shown else b"",
        after,
        new_uuid()[8:].encode(),
        end,
    ]
    if not elsewhere:
        return [b"".join(parts)]
    owners = {resource.holder for resource in resources if resource.audit} - {account, ""}
    shared = new_uuid()
    shared_by = []
    for each in (*filter(None, (account,)), *sorted(owners)):
        if each != account:
            # Who it is over there is not told to the owner: only which account, and by which id.
            parts[0] = b'{"eventVersion":"1.11","userIdentity":%b%b' % (
                _stranger(call, identity),
                before[before.index(identity) + len(identity) :],
            )
        end = f'","recipientAccountId":"{each}","sharedEventID":"{shared}"}}'.encode()
        shared_by.append(b"".join([*parts[:-2], new_uuid()[8:].encode(), end]))
    return shared_by


def of_part(
    call: Call, name: str, resource: Resource, parameters: Mapping[str, Any], error: AwsError | None
) -> list[bytes]:
    """The records of one of many things that a call does at once, as of a call of its own (DeleteObject, of each
    object that DeleteObjects removes). name: the operation's, of the same service."""
    assert call.route is not None
    part = copy(call)
    part.resources = (resource,)
    part.additional = b""
    return records(
        part, call.route.source, name, read_only=False, parameters=parameters, response=None, error=error
    )


def service_event(
    source: str,
    name: str,
    account: str,
    region: str,
    now: float,
    resource: Resource,
    details: Mapping[str, Any] | None = None,
) -> bytes:
    """The record of what a service does by itself, with nobody calling: CloudTrail's AwsServiceEvent. details: its
    serviceEventDetails."""
    record: dict[str, Any] = {
        "eventVersion": "1.11",
        "userIdentity": {"accountId": account, "invokedBy": "AWS Internal"},
        "eventTime": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now)),
        "eventSource": source,
        "eventName": name,
        "awsRegion": region,
        "sourceIPAddress": "AWS Internal",
        "userAgent": "AWS Internal",
        "requestParameters": None,
        "responseElements": None,
        "requestID": new_uuid(),
        "readOnly": False,
        "resources": [{"accountId": resource.account, "type": resource.type, "ARN": resource.arn}],
        "eventType": "AwsServiceEvent",
        "managementEvent": True,
        "eventCategory": "Management",
        "eventID": f"{int(now) & 0xFFFFFFFF:08x}{new_uuid()[8:]}",
        "recipientAccountId": account,
    }
    if details:
        record["serviceEventDetails"] = details
    return dumps(record)


def _frame(
    second: int,
    identity: bytes,
    source: str,
    name: str,
    read_only: bool,
    region: str,
    peer: str,
    agent: bytes,
    tls: Tls | None,
    host: bytes,
    account: str,
    *,
    endpoint: str,
) -> tuple[bytes, bytes, bytes, bytes]:
    """What stands before the request's parameters, between the request's id and the resources, between these and the
    event's id, and after that."""
    of_request = dumps(
        {
            "eventTime": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(second)),
            "eventSource": source,
            "eventName": name[:_LONGEST],
            "awsRegion": region,
            "sourceIPAddress": peer,
            "userAgent": agent.decode("latin-1"),
            **({"vpcEndpointId": endpoint} if endpoint else {}),
        }
    )
    is_data = is_data_event(source, name)
    kind = dumps(
        {
            "readOnly": read_only,
            "eventType": "AwsApiCall",
            "managementEvent": not is_data,
            "eventCategory": DATA if is_data else MANAGEMENT,
        }
    )
    frame = (
        b'{"eventVersion":"1.11","userIdentity":%b,%b' % (identity, of_request[1:-1]),
        b'",%b' % kind[1:-1],
        b'%b,"eventID":"%08x'
        % (b"" if tls is None else _tls(tls, host.decode("latin-1")), second & 0xFFFFFFFF),
        f'","recipientAccountId":"{account}"}}'.encode(),
    )
    if len(agent) <= _AGENT_KEPT and len(name) <= _AGENT_KEPT and len(host) <= _AGENT_KEPT:
        if len(_frames) >= _MAX_KEPT:
            _frames.clear()
        key = (second, identity, source, name, read_only, region, peer, agent, tls, host, account)
        _frames[key] = frame
    return frame


def _stranger(call: Call, identity: bytes) -> bytes:
    """A caller as the records of other accounts show it; a service as everywhere."""
    principal = call.identity.principal
    if principal.kind == "service" or not call.account:
        return identity
    shown = {"type": "AWSAccount", "principalId": principal.id or call.account, "accountId": call.account}
    invoked = loads(identity).get("invokedBy")
    return dumps({**shown, "invokedBy": invoked} if invoked else shown)


def _error(error: AwsError) -> bytes:
    text = b',"errorCode":' + dumps(error.code)
    return text + b',"errorMessage":' + dumps(error.message[:_LONGEST]) if error.message else text


def _tls(tls: Tls, host: str) -> bytes:
    return b',"tlsDetails":' + dumps(
        {"tlsVersion": tls.version, "cipherSuite": tls.cipher, "clientProvidedHostHeader": host}
    )
