"""The errors that the codecs themselves raise, each family of services in its own words.

Malformed input and broken constraints have no modelled error in most services; the codes are those that AWS's
servers answer with ("Common Errors" of each service's API reference, and observed answers).
"""

from __future__ import annotations

from collections.abc import Mapping

from casemate.errors import AwsError
from casemate.wire.constraints import Violation, lower_first, message
from casemate.wire.models import Operation, Service

# Services that name broken constraints otherwise than their protocol's family does.
_INVALID: Mapping[str, str] = {
    "logs": "InvalidParameterException",
    "codebuild": "InvalidInputException",
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


# S3's codes and messages for parameters that hold none of the values allowed ("Error responses" of S3's API
# reference); other parameters are an InvalidArgument.
_S3_PARAMETERS: Mapping[str, tuple[str, str]] = {
    "StorageClass": ("InvalidStorageClass", "The storage class you specified is not valid"),
    "ServerSideEncryption": (
        "InvalidEncryptionAlgorithmError",
        "The encryption request you specified is not valid. Supported value: AES256.",
    ),
    "MetadataDirective": ("InvalidArgument", "Unknown metadata directive."),
    "TaggingDirective": ("InvalidArgument", "Unknown tagging directive."),
    "EncodingType": ("InvalidArgument", "Invalid Encoding Method specified in Request"),
}


class Unreadable(ValueError):
    """The request's form is wrong: malformed, or a value of the wrong type. The text never has the value.

    name: the header, query parameter or path label concerned; None when it is the body.
    """

    def __init__(self, detail: str, name: str | None = None) -> None:
        super().__init__(detail)
        self.name = name


def unreadable(service: Service, protocol: str, error: Unreadable) -> AwsError:
    """The error for a request that cannot be read as the model's input."""
    code, fixed = _UNREADABLE[protocol]
    detail = str(error)
    if service.name == "lambda" and error.name is None:
        return AwsError("InvalidRequestContentException", f"Could not parse request body into json: {detail}")
    if protocol == "rest-xml" and error.name is not None:
        if error.name == "":
            return AwsError("InvalidURI", "Couldn't parse the specified URI.")
        return AwsError(
            "InvalidArgument", f"Invalid value for {error.name}: {detail}", ArgumentName=error.name
        )
    return AwsError(code, fixed or detail)


def _ec2(found: list[Violation]) -> AwsError:
    first = found[0]
    if first.rule == "null":
        name = first.path[:1].upper() + first.path[1:]
        return AwsError("MissingParameter", f"The request must contain the parameter {name}")
    shown = "" if first.shown is None else f" ({first.shown})"
    return AwsError(
        "InvalidParameterValue", f"Value{shown} for parameter {first.path} is invalid. {first.text}"
    )


def _sqs(found: list[Violation]) -> AwsError:
    first = found[0]
    if first.rule == "null":
        return AwsError("MissingParameter", f"The request must contain the parameter {first.member}.")
    shown = "" if first.shown is None else f" {first.shown}"
    return AwsError(
        "InvalidParameterValue",
        f"Value{shown} for parameter {first.member} is invalid. Reason: {first.text}.",
    )


def _s3(operation: Operation, found: list[Violation]) -> AwsError:
    """S3 names no member of the model: a document that breaks its schema is malformed, a header or a query
    parameter is an invalid argument, and what is missing makes an invalid request."""
    first = found[0]
    top = first.path.partition(".")[0]
    members = operation.input.members if operation.input is not None else {}
    name = next((name for name in members if lower_first(name) == top), top)
    member = members.get(name)
    if first.rule == "null" and member is not None and member.location is None and first.path == top:
        return AwsError("MissingRequestBodyError", "Request Body is empty")
    if first.path == "createBucketConfiguration.locationConstraint":
        return AwsError("InvalidLocationConstraint", "The specified location-constraint is not valid")
    if member is None or member.location is None:
        code, text = _UNREADABLE["rest-xml"]
        return AwsError("MalformedACLError" if top == "accessControlPolicy" else code, text)
    wire = member.wire_name or name
    if first.rule == "null":
        return AwsError("InvalidRequest", f"Missing required parameter for this request: '{wire}'")
    code, text = _S3_PARAMETERS.get(name, ("InvalidArgument", f"Invalid value for {wire}: {first.text}"))
    fields = {"ArgumentName": wire}
    if first.shown is not None:
        fields["ArgumentValue"] = first.shown
    return AwsError(code, text, 400, **fields)


# CloudTrail has errors of their own for some members.
_CLOUDTRAIL: Mapping[tuple[str, str], str] = {
    ("LookupEvents", "eventCategory"): "InvalidEventCategoryException",
    ("LookupEvents", "lookupAttributes"): "InvalidLookupAttributesException",
    ("LookupEvents", "maxResults"): "InvalidMaxResultsException",
}


def _cloudtrail(operation: Operation, found: list[Violation]) -> AwsError:
    member = found[0].path.partition(".")[0]
    return AwsError(_CLOUDTRAIL.get((operation.name, member), "ValidationException"), message(found))


# Organizations tells which rule is broken (InvalidInputException's Reason).
_ORGANIZATIONS_REASONS: Mapping[str, str] = {
    "null": "INPUT_REQUIRED",
    "pattern": "INVALID_PATTERN",
    "enum": "INVALID_ENUM",
    "element": "INVALID_LIST_MEMBER",
}


def _organizations(found: list[Violation]) -> AwsError:
    first = found[0]
    reason = _ORGANIZATIONS_REASONS.get(first.rule)
    if reason is None:
        end = "MAX" if "less than or equal" in first.text else "MIN"
        reason = f"{end}_{'VALUE' if first.rule == 'range' else 'LENGTH'}_EXCEEDED"
    elif first.rule == "enum" and "SERVICE_CONTROL_POLICY" in first.text:
        reason = "INVALID_ENUM_POLICY_TYPE"
    return AwsError("InvalidInputException", message(found), Reason=reason)


def invalid(operation: Operation, protocol: str, found: list[Violation]) -> AwsError:
    """The error for broken constraints."""
    service = operation.service.name
    if protocol == "ec2":
        return _ec2(found)
    if service == "sqs":
        return _sqs(found)
    if service == "s3":
        return _s3(operation, found)
    if service == "organizations":
        return _organizations(found)
    if service == "cloudtrail":
        return _cloudtrail(operation, found)
    code = _INVALID.get(service) or _FAMILY_INVALID.get(protocol, "ValidationException")
    return AwsError(code, message(found))
