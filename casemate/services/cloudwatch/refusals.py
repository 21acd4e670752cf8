"""CloudWatch's errors."""

from __future__ import annotations

from casemate.errors import AwsError


def invalid(message: str) -> AwsError:
    return AwsError("InvalidParameterValueException", message)


def combined(message: str) -> AwsError:
    return AwsError("InvalidParameterCombinationException", message)


def lacking(message: str) -> AwsError:
    return AwsError("MissingRequiredParameterException", message)


def unfit(message: str) -> AwsError:
    """What GetMetricData says of queries."""
    return AwsError("ValidationError", message)


def not_served(what: str) -> AwsError:
    return AwsError("NotImplemented", f"{what} is not served by Casemate.", 501)
