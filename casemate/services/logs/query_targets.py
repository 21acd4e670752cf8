"""What operations on queries act on: the groups that are asked, every one of which the caller must be allowed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from casemate.errors import AwsError
from casemate.gate.resource import Resource
from casemate.services.logs.groups import Group, Groups
from casemate.services.logs.naming import read_identifier
from casemate.services.logs.query_store import Queries, Query
from casemate.services.logs.refusals import invalid
from casemate.services.logs.targets import account_wide, anywhere, group_named

if TYPE_CHECKING:
    from casemate.gate.call import Call

MOST_GROUPS = 50
_POINTER = re.compile(r"([0-9a-f]{32})([0-9a-f]{32})(\d{5})", re.ASCII)


class AskedGroups:
    """groups: each once; first: the first of them as the gate sees it, the others beyond it."""

    def __init__(self, groups: Sequence[Group]) -> None:
        self.groups = groups
        self.first = groups[0]
        for one, other in pairwise(groups):
            one.beyond = other
        missing = next((each.missing for each in groups if each.missing is not None), None)
        if missing is not None:
            self.first.missing = missing


def asked_groups(call: Call, request: Mapping[str, Any]) -> AskedGroups:
    """logGroupName, logGroupNames or logGroupIdentifiers; one of them."""
    given = [name for name in ("logGroupName", "logGroupNames", "logGroupIdentifiers") if name in request]
    if len(given) != 1:
        raise invalid("Exactly one of logGroupName, logGroupNames and logGroupIdentifiers must be specified.")
    value = request[given[0]]
    names = [value] if isinstance(value, str) else list(value)
    if not 0 < len(names) <= MOST_GROUPS:
        raise invalid(f"Between 1 and {MOST_GROUPS} log groups can be queried at once.")
    if given[0] == "logGroupIdentifiers":
        return _identified(call, names)
    return AskedGroups([group_named(call, call.account, name) for name in dict.fromkeys(names)])


def tailed_groups(call: Call, request: Mapping[str, Any]) -> AskedGroups:
    """logGroupIdentifiers."""
    return _identified(call, request["logGroupIdentifiers"])


def _identified(call: Call, identifiers: Sequence[str]) -> AskedGroups:
    # An identifier may end as policies' ARNs do.
    places = [read_identifier(each.removesuffix(":*"), call.account, call.region) for each in identifiers]
    return AskedGroups([group_named(call, *place) for place in dict.fromkeys(places)])


class AskedQuery:
    """A query, and what the gate sees of it: its groups, or all of the account's where there is no such query."""

    def __init__(self, query: Query | None, first: Resource) -> None:
        self.query = query
        self.first = first

    def found(self) -> Query:
        assert self.query is not None
        return self.query


def no_query(query_id: str) -> AwsError:
    return AwsError("ResourceNotFoundException", f"The specified query does not exist: {query_id}")


def _query(call: Call, request: Mapping[str, Any]) -> Query | None:
    query_id = request["queryId"]
    if "\0" in query_id:
        return None
    return call.part(Queries).find(call.tx, call.account, call.region, query_id, int(call.now * 1000))


def query_with_groups(call: Call, request: Mapping[str, Any]) -> AskedQuery:
    """queryId, as policies see the groups that it asks; those that are no more count as they were."""
    query = _query(call, request)
    if query is None:
        absent = account_wide(call, request)
        absent.missing = no_query(request["queryId"])
        return AskedQuery(None, absent)
    groups = AskedGroups([group_named(call, account, name) for account, _, name in query.groups])
    groups.first.missing = None
    return AskedQuery(query, groups.first)


def query_anywhere(call: Call, request: Mapping[str, Any]) -> AskedQuery:
    """queryId, for actions that policies allow on "*" only."""
    query, resource = _query(call, request), anywhere(call, request)
    if query is None:
        resource.missing = no_query(request["queryId"])
    return AskedQuery(query, resource)


class Record:
    """An event that a pointer names. batch: its batch's id; number: its place there."""

    def __init__(self, group: Resource, batch: str, number: int) -> None:
        self.group = group
        self.batch = batch
        self.number = number


def pointed_record(call: Call, request: Mapping[str, Any]) -> Record:
    """logRecordPointer, as policies see its group. One of another account's group leads nowhere."""
    pointer = request["logRecordPointer"]
    found = _POINTER.fullmatch(pointer)
    if found is None:
        raise invalid("Invalid log record pointer.")
    row = call.part(Groups).by_id(call.tx, found[1])
    if row is None or row.place[:2] != (call.account, call.region):
        absent = account_wide(call, request)
        absent.missing = no_record()
        return Record(absent, "", 0)
    return Record(group_named(call, row.account, row.name), found[2], int(found[3]))


def no_record() -> AwsError:
    return AwsError("ResourceNotFoundException", "The specified log record does not exist.")
