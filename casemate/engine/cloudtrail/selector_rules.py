"""What event selectors may say. Source: "PutEventSelectors", "EventSelector", "DataResource",
"AdvancedFieldSelector", "Quotas in AWS CloudTrail".
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from casemate.engine.cloudtrail.categories import DATA, MANAGEMENT
from casemate.engine.cloudtrail.selectors import ALL_OF

MOST_SELECTORS, MOST_RESOURCES, MOST_VALUES = 5, 250, 500

NETWORK: Final = "NetworkActivity"
_EXCLUDABLE: Final = frozenset({"kms.amazonaws.com", "rdsdata.amazonaws.com"})
_RESOURCE_TYPE = re.compile(r"AWS::[A-Za-z0-9]+::[A-Za-z0-9]+")
_OPERATORS: Final = ("Equals", "StartsWith", "EndsWith", "NotEquals", "NotStartsWith", "NotEndsWith")
_FIELDS: Final[Mapping[str, frozenset[str]]] = {
    MANAGEMENT: frozenset({"eventCategory", "eventSource", "readOnly"}),
    DATA: frozenset(
        {
            *("eventCategory", "eventName", "eventSource", "eventType", "readOnly", "resources.ARN"),
            *("resources.type", "sessionCredentialFromConsole", "userIdentity.arn"),
        }
    ),
    NETWORK: frozenset({"eventCategory", "eventSource", "eventName", "errorCode", "vpcEndpointId"}),
}
"""Which fields a selector may ask for, by the category that it is for."""
_REQUIRED: Final[Mapping[str, tuple[str, ...]]] = {
    MANAGEMENT: (),
    DATA: ("resources.type",),
    NETWORK: ("eventSource",),
}

_OBJECT = re.compile(r"arn:aws[a-z-]*:s3:::[a-z0-9][a-z0-9.-]*/.*", re.DOTALL)
_EXACT: Final[Mapping[str, re.Pattern[str]]] = {
    "AWS::DynamoDB::Table": re.compile(r"arn:aws[a-z-]*:dynamodb:[a-z0-9-]+:[0-9]{12}:table/[A-Za-z0-9_.-]+"),
    "AWS::Lambda::Function": re.compile(
        r"arn:aws[a-z-]*:lambda:[a-z0-9-]+:[0-9]{12}:function:[A-Za-z0-9_-]+"
    ),
    "AWS::S3::Object": _OBJECT,
}


class InvalidSelectors(ValueError):
    """The text says what is wrong."""


def complete_basic(selectors: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The selectors with all that they leave out. Raises InvalidSelectors."""
    if not 1 <= len(selectors) <= MOST_SELECTORS:
        raise InvalidSelectors(f"A trail has 1 to {MOST_SELECTORS} event selectors, not {len(selectors)}.")
    found = [_completed(selector) for selector in selectors]
    resources = sum(
        len(each["Values"])
        for selector in found
        for each in selector["DataResources"]
        if ALL_OF[each["Type"]].isdisjoint(each["Values"])
    )
    if resources > MOST_RESOURCES:
        raise InvalidSelectors(
            f"The total number of data resources cannot exceed {MOST_RESOURCES} across all event selectors "
            f"in a trail."
        )
    return found


def _completed(selector: Mapping[str, Any]) -> dict[str, Any]:
    complete = {
        "ReadWriteType": selector.get("ReadWriteType", "All"),
        "IncludeManagementEvents": selector.get("IncludeManagementEvents", True),
        "DataResources": [_resource(each) for each in selector.get("DataResources", ())],
        "ExcludeManagementEventSources": list(selector.get("ExcludeManagementEventSources", ())),
    }
    if not complete["IncludeManagementEvents"] and not complete["DataResources"]:
        raise InvalidSelectors(
            "An event selector must include management events or at least one data resource."
        )
    kinds = [each["Type"] for each in complete["DataResources"]]
    if len(set(kinds)) < len(kinds):
        raise InvalidSelectors("An event selector can have one DataResource of each Type.")
    excluded = complete["ExcludeManagementEventSources"]
    if excluded and not complete["IncludeManagementEvents"]:
        raise InvalidSelectors("ExcludeManagementEventSources needs IncludeManagementEvents to be true.")
    unknown = [source for source in excluded if source not in _EXCLUDABLE]
    if unknown:
        raise InvalidSelectors(
            f"Value {unknown[0]} for ExcludeManagementEventSources is invalid. Valid values are: "
            f"{', '.join(sorted(_EXCLUDABLE))}."
        )
    return complete


def _resource(resource: Mapping[str, Any]) -> dict[str, Any]:
    kind, values = resource.get("Type", ""), list(resource.get("Values", ()))
    if kind not in ALL_OF:
        raise InvalidSelectors(
            f"Value {kind} for DataResource.Type is invalid. Valid values are: {', '.join(sorted(ALL_OF))}."
        )
    if not values:
        raise InvalidSelectors(f"The DataResource of type {kind} has no Values.")
    for value in values:
        if value not in ALL_OF[kind] and _EXACT[kind].fullmatch(value) is None:
            raise InvalidSelectors(f"Value {value} for DataResource.Values is invalid.")
    return {"Type": kind, "Values": values}


def check_advanced(selectors: Sequence[Mapping[str, Any]]) -> None:
    """Raises InvalidSelectors."""
    if not selectors:
        raise InvalidSelectors("A trail has at least one advanced event selector.")
    values = sum(
        len(condition.get(operator, ()))
        for selector in selectors
        for condition in selector["FieldSelectors"]
        for operator in _OPERATORS
    )
    if values > MOST_VALUES:
        raise InvalidSelectors(
            f"A trail has at most {MOST_VALUES} values for all conditions of its advanced event selectors, "
            f"not {values}."
        )
    for selector in selectors:
        _check_selector(selector)


def _check_selector(selector: Mapping[str, Any]) -> None:
    conditions: dict[str, Mapping[str, Any]] = {}
    for condition in selector["FieldSelectors"]:
        field = condition["Field"]
        if field in conditions:
            raise InvalidSelectors(f"The field {field} occurs more than once in an advanced event selector.")
        if not any(condition.get(operator) for operator in _OPERATORS):
            raise InvalidSelectors(f"The condition on the field {field} has no operator.")
        conditions[field] = condition
    category = conditions.get("eventCategory")
    if category is None:
        raise InvalidSelectors("An advanced event selector must have a condition on eventCategory.")
    kind = _only_equals("eventCategory", category)
    if kind not in _FIELDS:
        raise InvalidSelectors(
            f"Value {kind} for eventCategory is invalid. Valid values are: {', '.join(sorted(_FIELDS))}."
        )
    for field, condition in conditions.items():
        if field not in _FIELDS[kind]:
            raise InvalidSelectors(f"The field {field} is not supported for the eventCategory {kind}.")
        if field in _RULES:
            _RULES[field](kind, condition)
    for field in _REQUIRED[kind]:
        if field not in conditions:
            raise InvalidSelectors(
                f"An advanced event selector for the eventCategory {kind} must have a condition on {field}."
            )


def _only_equals(field: str, condition: Mapping[str, Any]) -> str:
    """The one value of a field that takes Equals with one value."""
    if any(condition.get(operator) for operator in _OPERATORS[1:]) or len(condition.get("Equals", ())) != 1:
        raise InvalidSelectors(f"The field {field} takes the operator Equals with one value.")
    value: str = condition["Equals"][0]
    return value


def _read_only(_kind: str, condition: Mapping[str, Any]) -> None:
    if _only_equals("readOnly", condition) not in ("true", "false"):
        raise InvalidSelectors("The field readOnly must be equal to true or false.")


def _source(kind: str, condition: Mapping[str, Any]) -> None:
    if kind == NETWORK:
        _only_equals("eventSource", condition)
    if kind != MANAGEMENT:
        return
    others = any(condition.get(operator) for operator in _OPERATORS if operator != "NotEquals")
    if others or not _EXCLUDABLE.issuperset(condition["NotEquals"]):
        raise InvalidSelectors(
            "For management events, the field eventSource takes the operator NotEquals with "
            f"{' or '.join(sorted(_EXCLUDABLE))}."
        )


def _resource_kind(_kind: str, condition: Mapping[str, Any]) -> None:
    value = _only_equals("resources.type", condition)
    if _RESOURCE_TYPE.fullmatch(value) is None:
        raise InvalidSelectors(f"Value {value} for resources.type is invalid.")


def _from_console(_kind: str, condition: Mapping[str, Any]) -> None:
    given = {operator: condition[operator] for operator in _OPERATORS if condition.get(operator)}
    if given not in ({"Equals": ["true"]}, {"NotEquals": ["true"]}):
        raise InvalidSelectors(
            "The field sessionCredentialFromConsole takes Equals or NotEquals with the value true."
        )


def _error_code(_kind: str, condition: Mapping[str, Any]) -> None:
    if _only_equals("errorCode", condition) != "VpceAccessDenied":
        raise InvalidSelectors("The field errorCode must be equal to VpceAccessDenied.")


_RULES: Final = {
    "errorCode": _error_code,
    "eventSource": _source,
    "readOnly": _read_only,
    "resources.type": _resource_kind,
    "sessionCredentialFromConsole": _from_console,
}
