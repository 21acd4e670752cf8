"""SQS's errors, by the names of its model; both protocols' codes follow from them (casemate/wire/sqs_query.py)."""

from __future__ import annotations

from casemate.errors import AwsError


def no_queue() -> AwsError:
    return AwsError("QueueDoesNotExist", "The specified queue does not exist.")


def invalid_parameter(name: str, value: object, reason: str) -> AwsError:
    return AwsError(
        "InvalidParameterValue", f"Value {value} for parameter {name} is invalid. Reason: {reason}"
    )


def invalid_value(name: str) -> AwsError:
    return AwsError("InvalidAttributeValue", f"Invalid value for the parameter {name}.")


def unknown_attribute(name: str) -> AwsError:
    return AwsError("InvalidAttributeName", f"Unknown Attribute {name}.")


def invalid_handle(handle: str) -> AwsError:
    return AwsError(
        "ReceiptHandleIsInvalid", f'The input receipt handle "{handle[:1024]}" is not a valid receipt handle.'
    )


def missing(name: str) -> AwsError:
    return AwsError("MissingParameter", f"The request must contain the parameter {name}.")


def unsupported(message: str) -> AwsError:
    return AwsError("UnsupportedOperation", message)


def unusable() -> AwsError:
    """For what was altered in the database."""
    return AwsError("InternalFailure", "The request processing has failed because of an unknown error.", 500)
