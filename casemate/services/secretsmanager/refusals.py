"""Secrets Manager's refusals that more than one operation gives, in AWS's words where they are known."""

from __future__ import annotations

import logging

from casemate.errors import AwsError

log = logging.getLogger("casemate.secretsmanager")


def no_secret() -> AwsError:
    return AwsError("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")


def no_version(version_id: str) -> AwsError:
    return AwsError(
        "ResourceNotFoundException",
        f"Secrets Manager can't find the specified secret value for VersionId: {version_id}",
    )


def no_stage(stage: str) -> AwsError:
    return AwsError(
        "ResourceNotFoundException",
        f"Secrets Manager can't find the specified secret value for staging label: {stage}",
    )


def invalid_parameter(text: str) -> AwsError:
    return AwsError("InvalidParameterException", text)


def invalid_request(text: str) -> AwsError:
    return AwsError("InvalidRequestException", text)


def limit_exceeded(text: str) -> AwsError:
    return AwsError("LimitExceededException", text)


def invalid_token() -> AwsError:
    return AwsError("InvalidNextTokenException", "The NextToken value is invalid.")


def malformed_policy(text: str) -> AwsError:
    return AwsError("MalformedPolicyDocumentException", text)


def constraint(member: str, rule: str) -> AwsError:
    """A constraint that AWS checks beyond its model, without the value, which may be a secret."""
    return AwsError(
        "ValidationException",
        f"1 validation error detected: Value at '{member}' failed to satisfy constraint: {rule}",
    )


def marked_for_deletion() -> AwsError:
    return invalid_request(
        "You can't perform this operation on the secret because it was marked for deletion."
    )


def on_a_replica() -> AwsError:
    return invalid_request(
        "Operation not permitted on a replica secret. Call must be made in primary secret's region."
    )


def already_exists(name: str) -> AwsError:
    return AwsError(
        "ResourceExistsException", f"The operation failed because the secret {name} already exists."
    )


def token_in_use(token: str, arn: str) -> AwsError:
    return AwsError(
        "ResourceExistsException",
        f"You can't use ClientRequestToken {token} because that value is already in use for a version of "
        f"secret {arn}.",
    )


def unusable(what: str, error: Exception) -> AwsError:
    """For stored rows that were altered. The log says which, the client is not told."""
    log.error("the stored %s cannot be used: %s", what, error)
    return AwsError("InternalServiceError", "An error occurred on the server side.", 500)
