"""SNS's errors, by the names of its model."""

from __future__ import annotations

from casemate.errors import AwsError


def invalid(what: str) -> AwsError:
    return AwsError("InvalidParameterException", f"Invalid parameter: {what}")


def invalid_value(message: str) -> AwsError:
    return AwsError("InvalidParameterValueException", message)


def no_topic() -> AwsError:
    return AwsError("NotFoundException", "Topic does not exist")


def no_subscription() -> AwsError:
    return AwsError("NotFoundException", "Subscription does not exist")


def unusable() -> AwsError:
    """For what was altered in the database."""
    return AwsError("InternalErrorException", "The request could not be completed.")


def not_served(what: str) -> AwsError:
    return AwsError("NotImplemented", f"{what} not served by Casemate.", 501)
