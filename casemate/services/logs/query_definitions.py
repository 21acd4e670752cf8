"""Saved queries. Source: "PutQueryDefinition"."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_OID, uuid5

import orjson

from casemate.api import logs
from casemate.errors import AwsError
from casemate.gate.keyring import Keyring
from casemate.gate.markers import read_marker, write_marker
from casemate.services.logs.query_operations import must_be_query
from casemate.services.logs.refusals import bad_token, invalid
from casemate.services.logs.targets import anywhere

if TYPE_CHECKING:
    from casemate.gate.call import Call
    from casemate.gate.resource import Resource
    from casemate.store.database import Tx

MOST = 1_000
_PURPOSE = "logs query definition"
_SCOPE = "DescribeQueryDefinitions"
_OF_ONE = "WHERE account = ? AND region = ? AND id = ?"


class Definitions:
    """Saved queries, one per worker: ``call.part(Definitions)``."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    def __repr__(self) -> str:
        return "<Definitions>"

    def all(self, tx: Tx, account: str, region: str) -> list[Any]:
        """By name. Raises Tampered."""
        rows = tx.all(
            "SELECT id, modified, data FROM logs_query_definitions WHERE account = ? AND region = ?",
            (account, region),
        )
        found: list[Any] = []
        for definition_id, modified, data in rows:
            key = self._keyring.account_key(account, tx)
            shown = orjson.loads(key.unwrap(data, _PURPOSE, region, definition_id, modified))
            found.append({**shown, "queryDefinitionId": definition_id, "lastModified": modified})
        return sorted(found, key=lambda each: (each["name"], each["queryDefinitionId"]))

    def has(self, tx: Tx, key: tuple[str, str, str]) -> bool:
        return tx.one(f"SELECT 1 FROM logs_query_definitions {_OF_ONE}", key) is not None

    def put(self, tx: Tx, key: tuple[str, str, str], shown: Any, now: int) -> None:
        account, region, definition_id = key
        data = self._keyring.account_key(account, tx).wrap(
            orjson.dumps(shown), _PURPOSE, region, definition_id, now
        )
        tx.run(
            "INSERT INTO logs_query_definitions (account, region, id, modified, data) VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT (account, region, id) DO UPDATE SET modified = excluded.modified, data = excluded.data",
            (*key, now, data),
        )

    def remove(self, tx: Tx, key: tuple[str, str, str]) -> bool:
        """False where there was none."""
        return tx.run(f"DELETE FROM logs_query_definitions {_OF_ONE}", key) == 1


def _absent() -> AwsError:
    return AwsError("ResourceNotFoundException", "The specified query definition does not exist.")


@logs.PutQueryDefinition.writes(anywhere)
def put_query_definition(
    call: Call, req: logs.PutQueryDefinitionRequest, target: Resource
) -> logs.PutQueryDefinitionResponse:
    """Save a query, or change a saved one."""
    if req.get("queryLanguage", "CWLI") != "CWLI" or req.get("parameters"):
        raise invalid("Only queries in CWLI, without parameters, are supported.")
    must_be_query(req["queryString"])
    definitions = call.part(Definitions)
    place = (call.account, call.region)
    definition_id = req.get("queryDefinitionId")
    if definition_id is None:
        # The same token means the same definition.
        name = "/".join((*place, req.get("clientToken", "")))
        definition_id = str(uuid5(NAMESPACE_OID, name))
        if len(definitions.all(call.tx, *place)) >= MOST and not definitions.has(
            call.tx, (*place, definition_id)
        ):
            raise AwsError("LimitExceededException", "Resource limit exceeded.")
    elif "\0" in definition_id or not definitions.has(call.tx, (*place, definition_id)):
        raise _absent()
    shown = {"queryLanguage": "CWLI", "name": req["name"], "queryString": req["queryString"]}
    if req.get("logGroupNames"):
        shown["logGroupNames"] = req["logGroupNames"]  # type: ignore[assignment]
    definitions.put(call.tx, (*place, definition_id), shown, int(call.now * 1000))
    return {"queryDefinitionId": definition_id}


@logs.DeleteQueryDefinition.writes(anywhere)
def delete_query_definition(
    call: Call, req: logs.DeleteQueryDefinitionRequest, target: Resource
) -> logs.DeleteQueryDefinitionResponse:
    """Remove a saved query."""
    definition_id = req["queryDefinitionId"]
    if "\0" in definition_id or not call.part(Definitions).remove(
        call.tx, (call.account, call.region, definition_id)
    ):
        raise _absent()
    return {"success": True}


@logs.DescribeQueryDefinitions.reads(anywhere)
def describe_query_definitions(
    call: Call, req: logs.DescribeQueryDefinitionsRequest, target: Resource
) -> logs.DescribeQueryDefinitionsResponse:
    """The account's saved queries by name."""
    prefix = req.get("queryDefinitionNamePrefix", "")
    found = [
        each
        for each in call.part(Definitions).all(call.tx, call.account, call.region)
        if each["name"].startswith(prefix) and req.get("queryLanguage", "CWLI") == "CWLI"
    ]
    token = req.get("nextToken")
    if token is not None:
        after = read_marker(_SCOPE, token)
        place = next((at for at, each in enumerate(found, 1) if each["queryDefinitionId"] == after), None)
        if place is None:
            raise bad_token()
        found = found[place:]
    limit = req.get("maxResults", 1000)
    answer: logs.DescribeQueryDefinitionsResponse = {"queryDefinitions": found[:limit]}
    if len(found) > limit:
        answer["nextToken"] = write_marker(_SCOPE, found[limit - 1]["queryDefinitionId"])
    return answer
