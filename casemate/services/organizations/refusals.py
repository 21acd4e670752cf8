"""Organizations' refusals, in AWS's words where they are known."""

from __future__ import annotations

from casemate.errors import AwsError


def not_in_use() -> AwsError:
    return AwsError("AWSOrganizationsNotInUseException", "Your account is not a member of an organization.")


def no_permission() -> AwsError:
    """To a member account, of what is the management account's or a delegated administrator's."""
    return AwsError("AccessDeniedException", "You don't have permissions to access this resource.")


def constraint(reason: str, text: str) -> AwsError:
    return AwsError("ConstraintViolationException", text, Reason=reason)


def handshake_constraint(reason: str, text: str) -> AwsError:
    return AwsError("HandshakeConstraintViolationException", text, Reason=reason)


def invalid_input(reason: str, text: str) -> AwsError:
    return AwsError("InvalidInputException", text, Reason=reason)


def no_account() -> AwsError:
    return AwsError("AccountNotFoundException", "You specified an account that doesn't exist.")


def no_child() -> AwsError:
    return AwsError("ChildNotFoundException", "You specified a child that doesn't exist.")


def no_parent(code: str = "ParentNotFoundException", what: str = "parent") -> AwsError:
    return AwsError(code, f"You specified a {what} that doesn't exist.")


def no_unit() -> AwsError:
    return AwsError(
        "OrganizationalUnitNotFoundException", "You specified an organizational unit that doesn't exist."
    )


def no_root() -> AwsError:
    return AwsError("RootNotFoundException", "You specified a root that doesn't exist.")


def no_target() -> AwsError:
    return AwsError("TargetNotFoundException", "You specified a target that doesn't exist.")


def no_policy() -> AwsError:
    return AwsError("PolicyNotFoundException", "You specified a policy that doesn't exist.")


def no_handshake() -> AwsError:
    return AwsError("HandshakeNotFoundException", "You specified a handshake that doesn't exist.")


def too_many_accounts(code: str = "ConstraintViolationException") -> AwsError:
    text = "You have exceeded the allowed number of AWS accounts."
    return AwsError(code, text, Reason="ACCOUNT_NUMBER_LIMIT_EXCEEDED")


def not_all_features() -> AwsError:
    return constraint(
        "ORGANIZATION_NOT_IN_ALL_FEATURES_MODE",
        "You can't perform this operation until all features are enabled in the organization.",
    )


def service_failed() -> AwsError:
    """For what must not be told to anybody but the operator, who finds it in the log."""
    return AwsError(
        "ServiceException",
        "AWS Organizations can't complete your request because of an internal service error. Try again later.",
        500,
    )
