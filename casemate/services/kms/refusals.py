"""KMS's refusals that more than one operation gives, in AWS's words where they are known."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from casemate.errors import AwsError

log = logging.getLogger("casemate.kms")

NO_SUCH_CIPHERTEXT_KEY = (
    "The ciphertext refers to a customer master key that does not exist, does not exist in this region, or "
    "you are not allowed to access."
)


def invalid_key_id(text: str) -> AwsError:
    """What was given is neither a key id nor anything else that could name a key."""
    return AwsError("NotFoundException", f"Invalid keyId '{text}'")


def other_region(region: str) -> AwsError:
    """An ARN of a Region that the request was not sent to."""
    return AwsError("NotFoundException", f"Invalid arn {region}")


def invalid_arn(text: str) -> AwsError:
    return AwsError("InvalidArnException", f"Invalid ARN: '{text}'")


def no_key(arn: str) -> AwsError:
    return AwsError("NotFoundException", f"Key '{arn}' does not exist")


def no_alias(arn: str) -> AwsError:
    return AwsError("NotFoundException", f"Alias {arn} is not found.")


def no_ciphertext_key() -> AwsError:
    return AwsError("AccessDeniedException", NO_SUCH_CIPHERTEXT_KEY)


def incorrect_key() -> AwsError:
    return AwsError(
        "IncorrectKeyException",
        "The key ID in the request does not identify a CMK that can perform this operation.",
    )


def invalid_ciphertext() -> AwsError:
    """One answer for every reason, so that it tells nothing about which part was wrong."""
    return AwsError("InvalidCiphertextException", "")


def invalid(text: str) -> AwsError:
    return AwsError("ValidationException", text)


def constraint(member: str, value: object, rule: str) -> AwsError:
    """A constraint that AWS checks but does not publish in its model. value: None for a missing member."""
    shown = "null" if value is None else f"'{value}'"
    return invalid(
        f"1 validation error detected: Value {shown} at '{member}' failed to satisfy constraint: {rule}"
    )


def internal() -> AwsError:
    """For what must not be told to anybody but the operator, who finds it in the log."""
    return AwsError(
        "KMSInternalException", "The request was rejected because an internal error occurred.", 500
    )


def unusable(what: str, error: Exception) -> AwsError:
    """For stored rows that were altered. The log says which, the client is not told."""
    log.error("the stored %s cannot be used: %s", what, error)
    return internal()


def end_dry_run(request: Mapping[str, Any]) -> None:
    """The last check of a request that may be a DryRun: whatever would be refused has been refused before. Source:
    "Testing your permissions"."""
    if request.get("DryRun"):
        raise AwsError(
            "DryRunOperationException", "The request would have succeeded, but the DryRun option is set.", 412
        )


def invalid_grant_token() -> AwsError:
    return AwsError("InvalidGrantTokenException", "Invalid grant token.")


def invalid_grant_id(text: str) -> AwsError:
    return AwsError("InvalidGrantIdException", f"Invalid grant ID '{text}'")


def invalid_principal(text: str) -> AwsError:
    """What cannot be a grant's grantee or retiring principal."""
    return AwsError("InvalidArnException", f"ARN does not refer to a valid principal: {text}")


def no_grant(grant_id: str) -> AwsError:
    return AwsError("NotFoundException", f"Grant ID {grant_id} not found")


def unsupported(text: str) -> AwsError:
    """An operation that this kind of key does not have."""
    return AwsError("UnsupportedOperationException", text)


def limit_exceeded(text: str) -> AwsError:
    return AwsError("LimitExceededException", text)
