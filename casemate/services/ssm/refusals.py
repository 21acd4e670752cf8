"""Parameter Store's errors, all of them with status 400."""

from __future__ import annotations

from casemate.errors import AwsError


def invalid(message: str) -> AwsError:
    return AwsError("ValidationException", message)


def no_parameter(name: str) -> AwsError:
    """For who asks for one parameter; name: as it was asked for."""
    return AwsError("ParameterNotFound", f"Parameter {name} not found.")


def no_version(version: str | int, name: str) -> AwsError:
    return AwsError(
        "ParameterVersionNotFound",
        f"Systems Manager could not find version {version} of {name}. Verify the version and try again.",
    )


def bad_token() -> AwsError:
    return AwsError("InvalidNextToken", "The specified token isn't valid.")


def bad_selector() -> AwsError:
    return invalid(
        "Invalid parameter name. Please use correct syntax for referencing a version/label "
        "<name>:<version/label>"
    )
