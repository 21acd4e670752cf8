"""Cost Explorer's questions about lines: dimensions, filters, groups and metrics. Source: "GetCostAndUsage"."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from casemate.engine.billing.bill import Line
from casemate.engine.billing.prices import current_prices, usage_type_in
from casemate.errors import AwsError

Test = Callable[[Line], bool]

COSTS = ("AmortizedCost", "BlendedCost", "NetAmortizedCost", "NetUnblendedCost", "UnblendedCost")
METRICS = frozenset({*COSTS, "NormalizedUsageAmount", "UsageQuantity"})

RESOURCE_ID = "RESOURCE_ID"

_LINE_HAS: Mapping[str, Callable[[Line], str]] = {
    "SERVICE": lambda line: current_prices().services[line.service].name,
    "OPERATION": lambda line: line.operation,
    "USAGE_TYPE": lambda line: usage_type_in(
        line.region, current_prices().services[line.service], line.usage_type
    ),
    "REGION": lambda line: line.region,
    "LINKED_ACCOUNT": lambda line: line.account,
    "RECORD_TYPE": lambda _: "Usage",
    "LEGAL_ENTITY_NAME": lambda _: "Amazon Web Services, Inc.",
    "BILLING_ENTITY": lambda _: "AWS",
    RESOURCE_ID: lambda line: line.resource or "NoResourceId",
    # What no line here has, as Cost Explorer names it.
    "AZ": lambda _: "NoAZ",
    "INSTANCE_TYPE": lambda _: "NoInstanceType",
    "PLATFORM": lambda _: "NoPlatform",
    "TENANCY": lambda _: "NoTenancy",
}

_GROUPED = frozenset(
    {
        *("AZ", "INSTANCE_TYPE", "LEGAL_ENTITY_NAME", "LINKED_ACCOUNT", "OPERATION", "PLATFORM", "REGION"),
        *("SERVICE", "TENANCY", "RECORD_TYPE", "USAGE_TYPE", RESOURCE_ID),
    }
)


def invalid(text: str) -> AwsError:
    return AwsError("ValidationException", text)


def dimension(name: str) -> Callable[[Line], str]:
    """What a line has of it. Raises ValidationException."""
    of_line = _LINE_HAS.get(name)
    if of_line is None:
        raise invalid(f"Dimension {name} is not supported.")
    return of_line


# --- filters


def dimensions_of(expression: Mapping[str, Any] | None) -> Iterator[str]:
    """The dimensions that a filter looks at."""
    if expression is None:
        return
    if "Dimensions" in expression:
        yield expression["Dimensions"].get("Key", "")
    for each in (*expression.get("And", ()), *expression.get("Or", ()), expression.get("Not")):
        yield from dimensions_of(each)


def test_of(expression: Mapping[str, Any] | None) -> Test:
    """The filter that an Expression means. Raises ValidationException."""
    if expression is None:
        return lambda _: True
    roots = [
        name for name in ("Or", "And", "Not", "Dimensions", "Tags", "CostCategories") if name in expression
    ]
    if "ProductAttributes" in expression:
        raise invalid("ProductAttributes are not supported.")
    if len(roots) > 1:
        raise invalid(
            "Expression has more than one roots. Only one root operator is allowed for each expression: "
            "And, Or, Not, Dimensions, Tags, CostCategories"
        )
    if not roots:
        raise invalid("Expression has no root operator.")
    root = roots[0]
    if root in ("Or", "And"):
        tests = [test_of(each) for each in expression[root]]
        if len(tests) < 2:
            raise invalid(f"{root} must have at least two operands.")
        return _any(tests) if root == "Or" else _all(tests)
    if root == "Not":
        inner = test_of(expression["Not"])
        return lambda line: not inner(line)
    return _of_values(root, expression[root])


def _any(tests: Sequence[Test]) -> Test:
    return lambda line: any(test(line) for test in tests)


def _all(tests: Sequence[Test]) -> Test:
    return lambda line: all(test(line) for test in tests)


def _of_values(root: str, wanted: Mapping[str, Any]) -> Test:
    options = set(wanted.get("MatchOptions", ()))
    allowed = {"EQUALS", "CASE_SENSITIVE"} | (set() if root == "Dimensions" else {"ABSENT"})
    if options - allowed:
        raise invalid(f"Match options {', '.join(sorted(options - allowed))} are not supported.")
    if "Key" not in wanted:
        raise invalid(f"{root} needs a Key.")
    values = frozenset(wanted.get("Values", ()))
    if root == "Dimensions":
        if not values:
            raise invalid("Dimensions needs Values.")
        of_line = dimension(wanted["Key"])
        return lambda line: of_line(line) in values
    # No tag is activated for cost allocation, and there are no cost categories: every line is without one.
    matches = "ABSENT" in options or "" in values
    return lambda _: matches


# --- groups


def grouping(definitions: Sequence[Mapping[str, Any]]) -> Callable[[Line], tuple[str, ...]]:
    """The keys of a line's group. Raises ValidationException."""
    if len(definitions) > 2:
        raise invalid("Group definition count should not exceed 2.")
    keys = [_key(each) for each in definitions]
    return lambda line: tuple(key(line) for key in keys)


def _key(definition: Mapping[str, Any]) -> Callable[[Line], str]:
    kind, name = definition.get("Type", "DIMENSION"), definition.get("Key", "")
    if not name:
        raise invalid("Group definition needs a Key.")
    if kind in ("TAG", "COST_CATEGORY"):
        # Whatever is without one is in the group of the empty value.
        return lambda _: f"{name}$"
    if kind != "DIMENSION" or name not in _GROUPED:
        raise invalid(f"Group By {name} is not supported.")
    return dimension(name)


# --- metrics


def check_metrics(names: Sequence[str]) -> None:
    """Raises ValidationException."""
    if not names:
        raise invalid("Metrics is required.")
    unknown = [name for name in names if name not in METRICS]
    if unknown:
        raise invalid(f"Metric {unknown[0]} is not supported.")


def metrics_of(names: Iterable[str], lines: Sequence[Line]) -> dict[str, dict[str, str]]:
    """A metric's amounts, of all lines together."""
    return {name: _metric(name, lines) for name in names}


def _metric(name: str, lines: Sequence[Line]) -> dict[str, str]:
    if name in COSTS:
        return {"Amount": plain(sum((line.cost for line in lines), Decimal(0))), "Unit": "USD"}
    if name == "NormalizedUsageAmount":
        return {"Amount": "0", "Unit": "N/A"}
    units = {current_prices().of(line.service, line.usage_type).unit for line in lines}
    amount = plain(sum((line.quantity for line in lines), Decimal(0)))
    return {"Amount": amount, "Unit": units.pop() if len(units) == 1 else "N/A"}


def plain(amount: Decimal) -> str:
    """Ten digits behind the point at most, as Cost Explorer has them, and none that say nothing."""
    text = f"{amount:.10f}".rstrip("0").rstrip(".")
    return text or "0"
