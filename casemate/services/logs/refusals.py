"""CloudWatch Logs' errors, all of them with status 400."""

from __future__ import annotations

from casemate.errors import AwsError


def invalid(message: str) -> AwsError:
    return AwsError("InvalidParameterException", message)


def no_group() -> AwsError:
    return AwsError("ResourceNotFoundException", "The specified log group does not exist.")


def no_stream() -> AwsError:
    return AwsError("ResourceNotFoundException", "The specified log stream does not exist.")


def bad_token() -> AwsError:
    return invalid("The specified nextToken is invalid.")


def unusable_key(group_arn: str) -> AwsError:
    return AwsError(
        "AccessDeniedException",
        f"The specified KMS key does not exist or is not allowed to be used with Arn '{group_arn}'",
    )
