"""S3's errors. Source: "Error responses" of the Amazon S3 API reference."""

from __future__ import annotations

import logging

from casemate.errors import AwsError

log = logging.getLogger("casemate.s3")


def no_bucket(name: str) -> AwsError:
    return AwsError("NoSuchBucket", "The specified bucket does not exist", 404, BucketName=name)


def no_access_point(name: str) -> AwsError:
    return AwsError(
        "NoSuchAccessPoint", "The specified accesspoint does not exist", 404, AccessPointName=name
    )


def invalid_bucket_name(name: str) -> AwsError:
    return AwsError("InvalidBucketName", "The specified bucket is not valid.", 400, BucketName=name)


def access_denied(text: str = "Access Denied") -> AwsError:
    return AwsError("AccessDenied", text, 403)


def invalid_argument(text: str, name: str = "", value: str | None = None) -> AwsError:
    fields: dict[str, str] = {}
    if name:
        fields["ArgumentName"] = name
    if value is not None:
        fields["ArgumentValue"] = value
    return AwsError("InvalidArgument", text, 400, **fields)


def invalid_request(text: str) -> AwsError:
    return AwsError("InvalidRequest", text, 400)


def malformed_xml() -> AwsError:
    return AwsError(
        "MalformedXML",
        "The XML you provided was not well-formed or did not validate against our published schema",
        400,
    )


def other_region(signed: str, region: str) -> AwsError:
    """The request is signed for another Region than the bucket's. One endpoint serves all Regions, so that there is
    no other one to redirect to: what is wrong is the signature's Region. Clients that follow buckets to their Regions
    look at the header."""
    return AwsError(
        "AuthorizationHeaderMalformed",
        f"The authorization header is malformed; the region '{signed}' is wrong; expecting '{region}'",
        400,
        **{"Region": region, "x-amz-bucket-region": region},
    )


def not_supported(what: str) -> AwsError:
    return AwsError("NotImplemented", f"{what} is not served by Casemate.", 501)


def no_acls() -> AwsError:
    return AwsError("AccessControlListNotSupported", "The bucket does not allow ACLs", 400)


def no_acl_with_ownership() -> AwsError:
    return AwsError(
        "InvalidBucketAclWithObjectOwnership",
        "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting",
        400,
    )


def malformed_acl() -> AwsError:
    return AwsError("MalformedACLError", malformed_xml().message, 400)


def method_not_allowed() -> AwsError:
    return AwsError("MethodNotAllowed", "The specified method is not allowed against this resource.", 405)


def log_tampered(what: str, error: Exception) -> AwsError:
    """What was altered in the store is not used: the log says which, the client that something failed."""
    log.error("%s is not used: %s", what, error)
    return AwsError("InternalError", "We encountered an internal error. Please try again.", 500)
