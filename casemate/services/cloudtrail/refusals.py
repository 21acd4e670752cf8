"""CloudTrail's errors, all of them with status 400."""

from __future__ import annotations

from casemate.errors import AwsError


def bad_attributes(message: str) -> AwsError:
    return AwsError("InvalidLookupAttributesException", message)


def bad_times(message: str) -> AwsError:
    return AwsError("InvalidTimeRangeException", message)


def bad_token() -> AwsError:
    return AwsError("InvalidNextTokenException", "The specified NextToken is invalid.")


def no_trail(arn: str, account: str) -> AwsError:
    return AwsError("TrailNotFoundException", f"Unknown trail: {arn} for the user: {account}")


def not_at_home(arn: str, home: str) -> AwsError:
    return AwsError(
        "InvalidHomeRegionException",
        f"The trail {arn} can be changed in its home Region only, which is {home}.",
    )


def invalid_combination(message: str) -> AwsError:
    return AwsError("InvalidParameterCombinationException", message)


def invalid_selectors(message: str) -> AwsError:
    return AwsError("InvalidEventSelectorsException", message)


def not_management() -> AwsError:
    return AwsError(
        "NotOrganizationMasterAccountException",
        "The account is neither the organization's management account nor a delegated administrator of CloudTrail.",
    )
