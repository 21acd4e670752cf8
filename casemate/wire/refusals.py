"""The errors that the codecs themselves raise, each family of services in its own words.

Malformed input and broken constraints have no modelled error in most services; the codes are those that AWS's
servers answer with ("Common Errors" of each service's API reference, and observed answers).
"""

from __future__ import annotations

from collections.abc import Mapping

from casemate.errors import AwsError
from casemate.wire.constraints import Violation, message
from casemate.wire.models import Service

# Services that name broken constraints otherwise than their protocol's family does.
_INVALID: Mapping[str, str] = {
    "logs": "InvalidParameterException",
    "codebuild": "InvalidInputException",
    "organizations": "InvalidInputException",
    "fms": "InvalidInputException",
    "shield": "InvalidParameterException",
    "guardduty": "BadRequestException",
    "cloudwatch": "ValidationError",
}
_FAMILY_INVALID: Mapping[str, str] = {
    "json": "ValidationException",
    "rest-json": "ValidationException",
    "smithy-rpc-v2-cbor": "ValidationException",
    "query": "ValidationError",
}
_UNREADABLE: Mapping[str, tuple[str, str]] = {
    "json": ("SerializationException", ""),
    "rest-json": ("SerializationException", ""),
    "smithy-rpc-v2-cbor": ("SerializationException", ""),
    "query": ("MalformedInput", ""),
    "ec2": ("MalformedInput", ""),
    "rest-xml": (
        "MalformedXML",
        "The XML you provided was not well-formed or did not validate against our published schema",
    ),
}


class Unreadable(ValueError):
    """The request's form is wrong: malformed, or a value of the wrong type. Never carries the value."""


def unreadable(service: Service, protocol: str, detail: str) -> AwsError:
    """The error for a request that cannot be read as the model's input."""
    code, fixed = _UNREADABLE[protocol]
    if service.name == "lambda":
        return AwsError("InvalidRequestContentException", f"Could not parse request body into json: {detail}")
    return AwsError(code, fixed or detail)


def _ec2(found: list[Violation]) -> AwsError:
    first = found[0]
    if first.rule == "null":
        name = first.path[:1].upper() + first.path[1:]
        return AwsError("MissingParameter", f"The request must contain the parameter {name}")
    shown = "" if first.shown is None else f" ({first.shown})"
    name = first.path[:1].lower() + first.path[1:]
    return AwsError("InvalidParameterValue", f"Value{shown} for parameter {name} is invalid. {first.text}")


def _sqs(found: list[Violation]) -> AwsError:
    first = found[0]
    if first.rule == "null":
        return AwsError("MissingParameter", f"The request must contain the parameter {first.member}.")
    shown = "" if first.shown is None else f" {first.shown}"
    return AwsError(
        "InvalidParameterValue",
        f"Value{shown} for parameter {first.member} is invalid. Reason: {first.text}.",
    )


def _s3(found: list[Violation], in_body: frozenset[str]) -> AwsError:
    """S3 names no member of the model: a document that breaks its schema is malformed, a header or a query
    parameter is an invalid argument, and what is missing makes an invalid request."""
    first = found[0]
    if first.path.partition(".")[0] in in_body:
        return AwsError(*_UNREADABLE["rest-xml"])
    if first.rule == "null":
        return AwsError("InvalidRequest", f"Missing required parameter for this request: '{first.member}'")
    fields = {"ArgumentName": first.member}
    if first.shown is not None:
        fields["ArgumentValue"] = first.shown
    return AwsError("InvalidArgument", f"Invalid {first.member}: {first.text}", 400, **fields)


def invalid(service: Service, protocol: str, found: list[Violation], in_body: frozenset[str]) -> AwsError:
    """The error for broken constraints. in_body: the paths' first parts that come from the request's body."""
    if protocol == "ec2":
        return _ec2(found)
    if service.name == "sqs":
        return _sqs(found)
    if protocol == "rest-xml" and service.name == "s3":
        return _s3(found, in_body)
    code = _INVALID.get(service.name) or _FAMILY_INVALID.get(protocol, "ValidationException")
    return AwsError(code, message(found))
