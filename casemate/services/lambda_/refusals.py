"""Lambda's errors."""

from __future__ import annotations

from casemate.errors import AwsError


def invalid(message: str) -> AwsError:
    return AwsError("InvalidParameterValueException", message, Type="User")


def absent(message: str) -> AwsError:
    return AwsError("ResourceNotFoundException", message, 404, Type="User")


def conflict(message: str) -> AwsError:
    return AwsError("ResourceConflictException", message, 409, Type="User")


def unserved(what: str) -> AwsError:
    """A part of an operation that is not served. what: in the plural."""
    return AwsError("NotImplemented", f"{what} are not served by Casemate.", 501)


def other_revision(of: str = "Function") -> AwsError:
    return AwsError(
        "PreconditionFailedException",
        "The Revision Id provided does not match the latest Revision Id. "
        f"Call the Get{of} API to retrieve the latest Revision Id",
        412,
        Type="User",
    )
