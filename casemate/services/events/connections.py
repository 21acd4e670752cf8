"""Connections: CreateConnection, UpdateConnection, DeleteConnection, DeauthorizeConnection, DescribeConnection,
ListConnections.

What authorises lies in a secret of Secrets Manager, which is made, changed and deleted for whoever asks, by their
permissions; to send, EventBridge reads it by its service-linked role.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, cast

from casemate.api import events, iam, secretsmanager
from casemate.engine.egress.hosts import Hosts
from casemate.gate.acting import Actor
from casemate.gate.call import Call
from casemate.gate.pass_role import trusts
from casemate.gate.random_ids import new_uuid
from casemate.gate.resource import Resource
from casemate.services.events import calling, http_requests
from casemate.services.events.authorization import OAUTH, merged, shown
from casemate.services.events.pages import Page, moment
from casemate.services.events.quotas import CONNECTIONS
from casemate.services.events.refusals import exists, invalid, not_served, too_many
from casemate.services.events.resources import EventsResource, everything, named_connection
from casemate.services.events.store import CONNECTION, Place, Thing, Things

AUTHORIZED: Final = "AUTHORIZED"
AUTHORIZING: Final = "AUTHORIZING"
DEAUTHORIZED: Final = "DEAUTHORIZED"


def _new(call: Call, request: Mapping[str, Any]) -> EventsResource:
    """The connection that is to be made, or is there already."""
    place = Place(call.account, call.region, CONNECTION, request["Name"])
    return EventsResource(place, call.part(Things).find(call.tx, place))


@events.CreateConnection.writes(_new)
def create_connection(
    call: Call, req: events.CreateConnectionRequest, target: EventsResource
) -> events.CreateConnectionResponse:
    """A way to authorise with an HTTP endpoint, its secrets in Secrets Manager."""
    if target.thing is not None:
        raise exists(f"Connection {req['Name']}")
    things = call.part(Things)
    if things.count(call.tx, call.account, call.region, CONNECTION) >= call.limit(CONNECTIONS):
        raise too_many()
    _check_served(req)
    kind = req["AuthorizationType"]
    content = merged(kind, req["AuthParameters"], {})
    _check_content(call, content)
    _ensure_role(call)
    says: dict[str, Any] = {
        "unique": new_uuid(),
        "description": req.get("Description", ""),
        "kms_key": req.get("KmsKeyIdentifier", ""),
    }
    connection = Thing(target.place, call.now, says)
    says |= _authorised(call, connection, kind, content)
    things.save(call.tx, connection)
    _authorise(call, connection)
    return cast("events.CreateConnectionResponse", _state(connection, authorised=False))


def _check_served(req: Mapping[str, Any]) -> None:
    if "InvocationConnectivityParameters" in req:
        raise not_served("Connections to private APIs are")


def _check_content(call: Call, content: Mapping[str, Any]) -> None:
    endpoint = content.get("authorization_endpoint")
    if endpoint is None:
        return
    wrong = http_requests.wrong_endpoint(endpoint, call.part(Hosts)) or (
        "it has a wildcard" if "*" in endpoint else ""
    )
    if wrong:
        raise invalid(f"Parameter AuthorizationEndpoint is not valid. Reason: {wrong}.")


def _ensure_role(call: Call) -> None:
    """Make the service-linked role by which secrets are read, unless it is there, for whoever may make it."""
    if not trusts(
        call, calling.role_of(call.account, call.region), Actor(calling.SERVICE, call.account, call.region)
    ):
        iam.CreateServiceLinkedRole.ask(call, {"AWSServiceName": calling.SERVICE}, via="events")


def _authorised(call: Call, connection: Thing, kind: str, content: Mapping[str, Any]) -> dict[str, Any]:
    """What is said of a connection whose secret has this content from now on."""
    text, version = json.dumps(content), new_uuid()
    says = connection.says
    if says.get("secret"):
        secretsmanager.PutSecretValue.ask(
            call,
            {"SecretId": says["secret"], "SecretString": text, "ClientRequestToken": version},
            via="events",
        )
        secret = says["secret"]
    else:
        place = connection.place
        given: secretsmanager.CreateSecretRequest = {
            "Name": f"events!connection/{place.name}/{new_uuid()}",
            "SecretString": text,
            "ClientRequestToken": version,
        }
        if says["kms_key"]:
            given["KmsKeyId"] = says["kms_key"]
        secret = secretsmanager.CreateSecret.ask(call, given, via="events").get("ARN", "")
    # Whether an authorization server gives a token is found out later.
    state = AUTHORIZING if kind == OAUTH else AUTHORIZED
    return {
        "kind": kind,
        "shown": shown(kind, content),
        "secret": secret,
        "version": version,
        "state": state,
        "reason": "",
        "changed": call.now,
        "authorized": call.now if state == AUTHORIZED else says.get("authorized", 0),
    }


def _authorise(call: Call, connection: Thing) -> None:
    if connection.says["state"] == AUTHORIZING:
        calling.authorise(call, connection)


def _state(connection: Thing, *, authorised: bool = True) -> dict[str, Any]:
    says = connection.says
    found = {
        "ConnectionArn": connection.arn,
        "ConnectionState": says["state"],
        "CreationTime": moment(connection.created),
        "LastModifiedTime": moment(says["changed"]),
    }
    if authorised and says["authorized"]:
        found["LastAuthorizedTime"] = moment(says["authorized"])
    return found


@events.UpdateConnection.writes(named_connection)
def update_connection(
    call: Call, req: events.UpdateConnectionRequest, target: EventsResource
) -> events.UpdateConnectionResponse:
    """Another description or way to authorise; what is not given stays."""
    connection, things = target.found, call.part(Things)
    _check_served(req)
    says: dict[str, Any] = {**connection.says, "changed": call.now}
    if "Description" in req:
        says["description"] = req["Description"]
    connection = connection._replace(says=says)
    key = req.get("KmsKeyIdentifier", says["kms_key"])
    if key != says["kms_key"]:
        says["kms_key"] = key
        if says["secret"]:
            secretsmanager.UpdateSecret.ask(
                call,
                {"SecretId": says["secret"], "KmsKeyId": says["kms_key"] or "alias/aws/secretsmanager"},
                via="events",
            )
    if "AuthParameters" in req or "AuthorizationType" in req:
        kind = req.get("AuthorizationType", says["kind"])
        kept: Mapping[str, Any] = {}
        if says["secret"] and kind == says["kind"]:
            answer = secretsmanager.GetSecretValue.ask(call, {"SecretId": says["secret"]}, via="events")
            kept = json.loads(answer.get("SecretString", "{}"))
        content = merged(kind, req.get("AuthParameters", {}), kept)
        _check_content(call, content)
        says |= _authorised(call, connection, kind, content)
        _authorise(call, connection)
    things.save(call.tx, connection)
    return cast("events.UpdateConnectionResponse", _state(connection))


def _without_secret(call: Call, connection: Thing) -> None:
    secret = connection.says["secret"]
    if secret:
        secretsmanager.DeleteSecret.ask(
            call, {"SecretId": secret, "ForceDeleteWithoutRecovery": True}, via="events"
        )


@events.DeauthorizeConnection.writes(named_connection)
def deauthorize_connection(
    call: Call, req: events.DeauthorizeConnectionRequest, target: EventsResource
) -> events.DeauthorizeConnectionResponse:
    """Delete the secret; the connection stays, and authorises nothing until it is given another one."""
    connection = target.found
    _without_secret(call, connection)
    says = {**connection.says, "secret": "", "version": "", "state": DEAUTHORIZED, "changed": call.now}
    connection = connection._replace(says=says)
    call.part(Things).save(call.tx, connection)
    return cast("events.DeauthorizeConnectionResponse", _state(connection))


@events.DeleteConnection.writes(named_connection)
def delete_connection(
    call: Call, req: events.DeleteConnectionRequest, target: EventsResource
) -> events.DeleteConnectionResponse:
    """Delete a connection with its secret; API destinations that use it send nothing any more."""
    connection = target.found
    _without_secret(call, connection)
    call.part(Things).remove(call.tx, connection.place)
    deleting = connection._replace(says={**connection.says, "state": "DELETING", "changed": call.now})
    return cast("events.DeleteConnectionResponse", _state(deleting))


@events.DescribeConnection.reads(named_connection)
def describe_connection(
    call: Call, req: events.DescribeConnectionRequest, target: EventsResource
) -> events.DescribeConnectionResponse:
    """A connection without what is secret."""
    connection = target.found
    says = connection.says
    found = {
        **_state(connection),
        "Name": connection.place.name,
        "AuthorizationType": says["kind"],
        "AuthParameters": says["shown"],
        "Description": says["description"],
        "StateReason": says["reason"],
        "SecretArn": says["secret"],
        "KmsKeyIdentifier": says["kms_key"],
    }
    return cast(
        "events.DescribeConnectionResponse", {name: value for name, value in found.items() if value != ""}
    )


@events.ListConnections.reads(everything)
def list_connections(
    call: Call, req: events.ListConnectionsRequest, target: Resource
) -> events.ListConnectionsResponse:
    """The account's connections by name."""
    page = Page("ListConnections", req)
    wanted = req.get("ConnectionState")
    found = [
        each
        for each in call.part(Things).page(
            call.tx, call.account, call.region, CONNECTION, prefix=req.get("NamePrefix", ""), after=page.after
        )
        if wanted is None or each.says["state"] == wanted
    ]
    connections, more = page.cut(found, lambda each: each.place.name)
    shapes = [
        {
            **_state(each),
            "Name": each.place.name,
            "AuthorizationType": each.says["kind"],
            **({"StateReason": each.says["reason"]} if each.says["reason"] else {}),
        }
        for each in connections
    ]
    return cast("events.ListConnectionsResponse", {"Connections": shapes, **more})
