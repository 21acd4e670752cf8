"""Step 9: CloudTrail-shaped records, one for each call, refused or not.

A record is put together from pieces of JSON that rarely change (who called, their client, the second), because
it is written for every request. Source: "CloudTrail record contents".
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import orjson

from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.gate.random_ids import new_uuid
from casemate.gate.resource import Resource

_MAX_TEXTS = 10_000
_texts: dict[str, bytes] = {}
_second: tuple[int, bytes] = (0, b"")


def _json_text(text: str) -> bytes:
    """A string as JSON; clients and addresses recur, so they are kept."""
    found = _texts.get(text)
    if found is None:
        if len(_texts) >= _MAX_TEXTS:
            _texts.clear()
        found = _texts[text] = orjson.dumps(text.encode("utf-8", "replace").decode("utf-8", "replace"))
    return found


def _event_time(now: float) -> bytes:
    global _second
    second = int(now)
    if _second[0] != second:
        _second = (second, time.strftime('"%Y-%m-%dT%H:%M:%SZ"', time.gmtime(second)).encode())
    return _second[1]


def _user_identity(call: Call) -> bytes:
    audit = call.identity.audit
    if call.via:
        return audit[:-1] + b',"invokedBy":' + _json_text(f"{call.via[-1]}.amazonaws.com") + b"}"
    return audit


def records(
    call: Call,
    source: str,
    name: str,
    *,
    read_only: bool,
    parameters: Mapping[str, Any] | None,
    response: Mapping[str, Any] | None,
    error: AwsError | None,
) -> list[bytes]:
    """The audit records of a call, as JSON without a line's end.

    source: the service's event source ("kms.amazonaws.com"); name: the operation's; parameters: the request
    without its secrets, None when it was refused before it was understood; response: the answer of a call that
    changed something, without its secrets. Normally one record; another for each owner of a resource in
    another account, with the same sharedEventID.
    """
    via = f"{call.via[-1]}.amazonaws.com" if call.via else ""
    listed = [resource for resource in call.resources if resource.type]
    body = b"".join(
        (
            b'{"eventVersion":"1.11","userIdentity":',
            _user_identity(call),
            b',"eventTime":',
            _event_time(call.now),
            b',"eventSource":',
            _json_text(source),
            b',"eventName":',
            _json_text(name),
            b',"awsRegion":',
            _json_text(call.region),
            b',"sourceIPAddress":',
            _json_text(via or call.source_ip),
            b',"userAgent":',
            _json_text(via or call.user_agent),
            _error(error) if error is not None else b"",
            b',"requestParameters":',
            b"null" if parameters is None else orjson.dumps(parameters, default=str),
            b',"responseElements":',
            b"null" if response is None else orjson.dumps(response, default=str),
            b',"requestID":"',
            call.request_id.encode(),
            b'","readOnly":true' if read_only else b'","readOnly":false',
            _resources(listed) if listed else b"",
            b',"eventType":"AwsApiCall","managementEvent":true,"eventCategory":"Management"',
            _tls(call) if call.tls is not None else b"",
        )
    )
    owners = {resource.account for resource in listed} - {call.account, ""} if listed else None
    if not owners:
        return [_to(body, call.account, None)]
    shared = new_uuid()
    return [_to(body, account, shared) for account in [call.account, *sorted(owners)]]


def _to(body: bytes, account: str, shared: str | None) -> bytes:
    tail = f',"eventID":"{new_uuid()}","recipientAccountId":"{account}"'
    if shared is not None:
        tail += f',"sharedEventID":"{shared}"'
    return body + tail.encode() + b"}"


def _error(error: AwsError) -> bytes:
    text = b',"errorCode":' + _json_text(error.code)
    return text + b',"errorMessage":' + orjson.dumps(error.message) if error.message else text


def _resources(listed: list[Resource]) -> bytes:
    return b',"resources":' + orjson.dumps(
        [{"accountId": resource.account, "type": resource.type, "ARN": resource.arn} for resource in listed]
    )


def _tls(call: Call) -> bytes:
    tls = call.tls
    assert tls is not None
    return b',"tlsDetails":' + orjson.dumps(
        {
            "tlsVersion": tls.version,
            "cipherSuite": tls.cipher,
            "clientProvidedHostHeader": call.host,
        }
    )
