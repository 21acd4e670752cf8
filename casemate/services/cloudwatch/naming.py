"""Names of metrics, as requests have them. Source: "PutMetricData", "Dimension"."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from casemate.services.cloudwatch.metrics import Metric
from casemate.services.cloudwatch.refusals import invalid

_PRINTABLE = re.compile(r"[\x20-\x7e]*")


def metric_of(request: Mapping[str, Any], where: str, namespace: str = "") -> Metric:
    """The metric that Namespace, MetricName and Dimensions name. where: of the request, what errors' texts begin with
    ("MetricData.member.1."). Raises InvalidParameterValueException."""
    namespace = namespace or request["Namespace"]
    name = request["MetricName"]
    for member, text in (("Namespace", namespace), ("MetricName", name)):
        if not _PRINTABLE.fullmatch(text) or not text.strip():
            raise invalid(f"The value {text} for parameter {where}{member} is invalid.")
    return Metric(namespace, name, dimensions_of(request.get("Dimensions", ()), where))


def dimensions_of(dimensions: Sequence[Mapping[str, str]], where: str) -> tuple[tuple[str, str], ...]:
    """By name. Raises InvalidParameterValueException."""
    found: dict[str, str] = {}
    for at, each in enumerate(dimensions, 1):
        name, value = each["Name"], each["Value"]
        for member, text in (("Name", name), ("Value", value)):
            if not _PRINTABLE.fullmatch(text) or not text.strip() or (member == "Name" and text[0] == ":"):
                raise invalid(
                    f"The value {text} for parameter {where}Dimensions.member.{at}.{member} is invalid."
                )
        if name in found:
            raise invalid("No Metric may specify the same dimension name twice.")
        found[name] = value
    return tuple(sorted(found.items()))


def shown(dimensions: Sequence[tuple[str, str]]) -> list[Any]:
    return [{"Name": name, "Value": value} for name, value in dimensions]
