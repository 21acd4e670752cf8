"""Parameter Store's quotas, per account and Region. Source: "AWS Systems Manager endpoints and quotas".

Requests are counted as AWS counts them: GetParameter, GetParameters and GetParametersByPath together, unless higher
throughput is enabled for the account, when each has a quota of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from casemate.gate.call import Call
from casemate.gate.operation import Charges
from casemate.gate.quotas import Quota, ServiceQuotas
from casemate.services.ssm.setting_values import HIGH_THROUGHPUT, value_of

STANDARD_PARAMETERS = Quota(
    "ssm",
    "L-CM000401",
    "Standard parameters",
    10_000,
    description="Parameters of the standard tier in the Region.",
)
ADVANCED_PARAMETERS = Quota(
    "ssm",
    "L-CM000402",
    "Advanced parameters",
    100_000,
    description="Parameters of the advanced tier in the Region.",
)

_HIGH = "HighThroughput"
_READS = "GetParameterRequests"


def _rate(code: str, counts: str, value: float, name: str, description: str) -> Quota:
    return Quota("ssm", code, name, value, counts=counts, description=description)


QUOTAS = ServiceQuotas(
    "ssm",
    "AWS Systems Manager",
    (
        STANDARD_PARAMETERS,
        ADVANCED_PARAMETERS,
        _rate(
            "L-CM000403",
            _READS,
            40,
            "Parameter Store default throughput",
            "GetParameter, GetParameters and GetParametersByPath a second, together, by default.",
        ),
        _rate(
            "L-CM000404", "PutParameter", 3, "PutParameter throughput", "PutParameter a second, by default."
        ),
        *(
            _rate(
                code,
                f"{operation}{_HIGH}",
                value,
                f"{operation} higher throughput",
                f"{operation} a second, with higher throughput enabled.",
            )
            for code, operation, value in (
                ("L-CM000405", "GetParameter", 10_000),
                ("L-CM000406", "GetParameters", 1_000),
                ("L-CM000407", "GetParametersByPath", 100),
                ("L-CM000408", "PutParameter", 10),
            )
        ),
    ),
)


def throughput(call: Call, request: Mapping[str, Any], target: Any) -> Charges:
    """What a request counts for whose throughput can be made higher."""
    assert call.route is not None
    operation = call.route.operation.name
    if value_of(call, HIGH_THROUGHPUT) == "true":
        return ((f"{operation}{_HIGH}", call.region),)
    return ((operation if operation == "PutParameter" else _READS, call.region),)
