"""Event selectors, compiled: does a trail want that record?

Within a condition, any of Equals, StartsWith and EndsWith must hold if there are such, and each of NotEquals,
NotStartsWith and NotEndsWith; all conditions of a selector must hold; any selector will do. Source:
"AdvancedFieldSelector", "Filtering data events by using advanced event selectors", "EventSelector",
"DataResource".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from casemate.engine.cloudtrail.categories import DATA, MANAGEMENT, is_management, resource_arn, resource_type

Record = Mapping[str, Any]
Wants = Callable[[Record], bool]

DEFAULT: Final[Sequence[Mapping[str, Any]]] = (
    {
        "ReadWriteType": "All",
        "IncludeManagementEvents": True,
        "DataResources": [],
        "ExcludeManagementEventSources": [],
    },
)
"""What a trail has that was told nothing: all management events."""

ALL_OF: Final[Mapping[str, frozenset[str]]] = {
    "AWS::DynamoDB::Table": frozenset({"arn:aws:dynamodb"}),
    "AWS::Lambda::Function": frozenset({"arn:aws:lambda"}),
    "AWS::S3::Object": frozenset({"arn:aws:s3", "arn:aws:s3:::"}),
}
"""The values of basic selectors that mean every resource of a type."""


def category(record: Record) -> str:
    """A record's eventCategory, of records too that were written before they told data events."""
    return MANAGEMENT if is_management(record) else DATA


# --- basic


def compile_basic(selectors: Iterable[Mapping[str, Any]]) -> Wants:
    """Of EventSelectors that were validated, complete."""
    return _any([_basic(selector) for selector in selectors])


def _basic(selector: Mapping[str, Any]) -> Wants:
    kind = selector["ReadWriteType"]
    management = selector["IncludeManagementEvents"]
    excluded = frozenset(selector["ExcludeManagementEventSources"])
    data = {each["Type"]: tuple(each["Values"]) for each in selector["DataResources"]}

    def wants(record: Record) -> bool:
        if kind != "All" and (kind == "ReadOnly") != bool(record.get("readOnly")):
            return False
        if category(record) == MANAGEMENT:
            return management and record["eventSource"] not in excluded
        type_of = resource_type(record)
        return type_of in data and _is_one_of(type_of, data[type_of], resource_arn(record))

    return wants


def _is_one_of(kind: str, values: Sequence[str], arn: str) -> bool:
    if not ALL_OF[kind].isdisjoint(values):
        return True
    if kind == "AWS::S3::Object":
        return arn.startswith(tuple(values))
    # A function's ARN is exact, whichever version of it is meant.
    return ":".join(arn.split(":")[:7]) in values


# --- advanced


def compile_advanced(selectors: Iterable[Mapping[str, Any]]) -> Wants:
    """Of AdvancedEventSelectors that were validated."""
    return _any([_all(map(_condition, selector["FieldSelectors"])) for selector in selectors])


def _any(alternatives: Sequence[Wants]) -> Wants:
    def wants(record: Record) -> bool:
        return any(alternative(record) for alternative in alternatives)

    return wants


def _all(conditions: Iterable[Wants]) -> Wants:
    required = tuple(conditions)

    def wants(record: Record) -> bool:
        return all(condition(record) for condition in required)

    return wants


def _condition(condition: Mapping[str, Any]) -> Wants:
    value_of = FIELDS[condition["Field"]]
    equal, unequal = frozenset(condition.get("Equals", ())), frozenset(condition.get("NotEquals", ()))
    begins, not_begins = tuple(condition.get("StartsWith", ())), tuple(condition.get("NotStartsWith", ()))
    ends, not_ends = tuple(condition.get("EndsWith", ())), tuple(condition.get("NotEndsWith", ()))
    selects = bool(equal or begins or ends)

    def holds(record: Record) -> bool:
        value = value_of(record)
        if value is None:
            return not selects
        if selects and not (value in equal or value.startswith(begins) or value.endswith(ends)):
            return False
        return not (value in unequal or value.startswith(not_begins) or value.endswith(not_ends))

    return holds


def _shown(name: str) -> Callable[[Record], str | None]:
    def value_of(record: Record) -> str | None:
        found = record.get(name)
        return None if found is None else str(found)

    return value_of


FIELDS: Final[Mapping[str, Callable[[Record], str | None]]] = {
    "readOnly": lambda record: "true" if record.get("readOnly") else "false",
    "eventCategory": category,
    "eventSource": _shown("eventSource"),
    "eventName": _shown("eventName"),
    "eventType": _shown("eventType"),
    "errorCode": _shown("errorCode"),
    "resources.type": lambda record: resource_type(record) or None,
    "resources.ARN": lambda record: resource_arn(record) or None,
    "sessionCredentialFromConsole": _shown("sessionCredentialFromConsole"),
    "userIdentity.arn": lambda record: record["userIdentity"].get("arn"),
    "vpcEndpointId": _shown("vpcEndpointId"),
}
"""What conditions ask of a record."""


# --- what they cover


def management_kinds(
    basic: Iterable[Mapping[str, Any]] | None, advanced: Iterable[Mapping[str, Any]] | None
) -> frozenset[str]:
    """Which management events are logged: of "read" and "write"."""
    found: set[str] = set()
    for selector in basic or ():
        if selector["IncludeManagementEvents"]:
            found |= _KINDS[selector["ReadWriteType"]]
    for selector in advanced or ():
        conditions = {each["Field"]: each for each in selector["FieldSelectors"]}
        if conditions["eventCategory"]["Equals"] == [MANAGEMENT]:
            only = conditions.get("readOnly", {}).get("Equals")
            found |= _KINDS["All" if only is None else "ReadOnly" if only == ["true"] else "WriteOnly"]
    return frozenset(found)


def logs_data(
    basic: Iterable[Mapping[str, Any]] | None, advanced: Iterable[Mapping[str, Any]] | None
) -> bool:
    """Whether any data events are logged."""
    if any(selector["DataResources"] for selector in basic or ()):
        return True
    return any(
        condition["Field"] == "eventCategory" and condition.get("Equals") == [DATA]
        for selector in advanced or ()
        for condition in selector["FieldSelectors"]
    )


_KINDS: Final = {
    "All": frozenset({"read", "write"}),
    "ReadOnly": frozenset({"read"}),
    "WriteOnly": frozenset({"write"}),
}
