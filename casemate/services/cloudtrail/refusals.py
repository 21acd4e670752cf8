"""CloudTrail's errors, all of them with status 400."""

from __future__ import annotations

from casemate.errors import AwsError


def bad_attributes(message: str) -> AwsError:
    return AwsError("InvalidLookupAttributesException", message)


def bad_times(message: str) -> AwsError:
    return AwsError("InvalidTimeRangeException", message)


def bad_token() -> AwsError:
    return AwsError("InvalidNextTokenException", "The specified NextToken is invalid.")
