"""EventBridge's errors, all of them with status 400."""

from __future__ import annotations

from casemate.errors import AwsError


def invalid(message: str) -> AwsError:
    return AwsError("ValidationException", message)


def absent(message: str) -> AwsError:
    return AwsError("ResourceNotFoundException", message)


def no_bus(name: str) -> AwsError:
    return absent(f"Event bus {name} does not exist.")


def no_rule(name: str, bus: str) -> AwsError:
    return absent(f"Rule {name} does not exist on EventBus {bus}.")


def exists(what: str) -> AwsError:
    return AwsError("ResourceAlreadyExistsException", f"{what} already exists.")


def too_many(message: str = "The requested resource exceeds the maximum number allowed.") -> AwsError:
    return AwsError("LimitExceededException", message)


def bad_pattern(reason: str) -> AwsError:
    return AwsError("InvalidEventPatternException", f"Event pattern is not valid. Reason: {reason}")


def managed(service: str) -> AwsError:
    return AwsError(
        "ManagedRuleException",
        f"This rule was created by an AWS service ({service}) on behalf of your account. To delete or change it, use "
        "Force, if the service does not need it any more.",
    )


def not_served(what: str) -> AwsError:
    return AwsError("NotImplemented", f"{what} not served by Casemate.", 501)
