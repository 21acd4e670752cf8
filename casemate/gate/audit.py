"""Step 9: CloudTrail-shaped records, one for each call, refused or not.

A record is put together from pieces of JSON that rarely change (who called, their client, the second), because
it is written for every request. Source: "CloudTrail record contents".
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from orjson import dumps

from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.gate.http import Tls
from casemate.gate.random_ids import new_uuid
from casemate.gate.resource import Resource

_LONGEST = 1024
"""Characters of the longest text of a client's that a record holds."""
_MAX_KEPT = 1_000
_AGENT_KEPT = 256
_middles: dict[tuple[str, str, bool, str, str, bytes], tuple[bytes, bytes]] = {}
_second: tuple[int, bytes] = (0, b"")


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
    exchange = call.exchange
    agent = exchange.headers.get(b"user-agent", b"")[:_LONGEST]
    peer = exchange.peer
    if via:
        peer = f"{via[-1]}.amazonaws.com"
        agent = peer.encode()
    if (via or call.service) and call.identity.principal.kind != "service":
        # A service principal's identity says so itself.
        identity = b'%b,"invokedBy":"%b"}' % (identity[:-1], agent)
    second = int(call.now)
    if _second[0] != second:
        _second = (second, time.strftime('"%Y-%m-%dT%H:%M:%SZ"', time.gmtime(second)).encode())
    key = (source, name, read_only, call.region, peer, agent)
    middle = _middles.get(key)
    if middle is None:
        middle = _middle(*key)
    resources = call.resources
    if len(resources) == 1:
        owner, shown = resources[0].account, resources[0].audit
        elsewhere = bool(shown) and owner != call.account and owner != ""
    else:
        shown = b",".join([resource.audit for resource in resources if resource.audit])
        elsewhere = any(
            resource.audit and resource.account not in ("", call.account) for resource in resources
        )
    tls = exchange.tls
    body = (
        b'{"eventVersion":"1.11","userIdentity":%b,"eventTime":%b,%b%b,"requestParameters":%b,'
        b'"responseElements":%b,%b"requestID":"%b",%b%b%b'
    ) % (
        identity,
        _second[1],
        middle[0],
        b"" if error is None else _error(error),
        parameters if isinstance(parameters, bytes) else dumps(parameters, str),
        b"null" if response is None else dumps(response, str),
        b'"additionalEventData":%b,' % call.additional if call.additional else b"",
        call.request_id.encode(),
        middle[1],
        b',"resources":[%b]' % shown if shown else b"",
        b"" if tls is None else _tls(tls, call.host),
    )
    if not elsewhere:
        return [
            b'%b,"eventID":"%b","recipientAccountId":"%b"}'
            % (body, new_uuid().encode(), call.account.encode())
        ]
    owners = {resource.account for resource in resources if resource.audit} - {call.account, ""}
    shared = new_uuid()
    return [
        body
        + f',"eventID":"{new_uuid()}","recipientAccountId":"{account}","sharedEventID":"{shared}"}}'.encode()
        for account in (*filter(None, (call.account,)), *sorted(owners))
    ]


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
        "eventID": new_uuid(),
        "recipientAccountId": account,
    }
    if details:
        record["serviceEventDetails"] = details
    return dumps(record)


def _middle(
    source: str, name: str, read_only: bool, region: str, peer: str, agent: bytes
) -> tuple[bytes, bytes]:
    """What recurs from call to call: before and after what differs."""
    client = agent.decode("latin-1")
    before = dumps(
        {
            "eventSource": source,
            "eventName": name[:_LONGEST],
            "awsRegion": region,
            "sourceIPAddress": peer,
            "userAgent": client,
        }
    )
    after = dumps(
        {
            "readOnly": read_only,
            "eventType": "AwsApiCall",
            "managementEvent": True,
            "eventCategory": "Management",
        }
    )
    middle = (before[1:-1], after[1:-1])
    if len(agent) <= _AGENT_KEPT and len(name) <= _AGENT_KEPT:
        if len(_middles) >= _MAX_KEPT:
            _middles.clear()
        _middles[source, name, read_only, region, peer, agent] = middle
    return middle


def _error(error: AwsError) -> bytes:
    text = b',"errorCode":' + dumps(error.code)
    return text + b',"errorMessage":' + dumps(error.message[:_LONGEST]) if error.message else text


def _tls(tls: Tls, host: str) -> bytes:
    return b',"tlsDetails":' + dumps(
        {"tlsVersion": tls.version, "cipherSuite": tls.cipher, "clientProvidedHostHeader": host}
    )
