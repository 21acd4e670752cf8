"""What is wrong with a policy document, in the words of the AWS service that would have refused it."""

from __future__ import annotations

from typing import Final, Literal

#: Where a policy is attached. "boundary" and "session" are identity policies under another name.
Kind = Literal["identity", "resource", "key", "trust", "scp", "rcp", "boundary", "session"]

#: The services that check documents, each with its own texts: IAM for identity policies, IAM for role trust
#: policies, Amazon S3 (whose texts stand for resource policies in general), AWS KMS, AWS Organizations.
Dialect = Literal["iam", "trust", "resource", "key", "organizations"]

DIALECTS: Final[dict[Kind, Dialect]] = {
    "identity": "iam",
    "boundary": "iam",
    "session": "iam",
    "trust": "trust",
    "resource": "resource",
    "key": "key",
    "scp": "organizations",
    "rcp": "organizations",
}

_SYNTAX: Final = "Syntax errors in policy."
_LEGACY: Final = "The policy failed legacy parsing"
_ORGANIZATIONS: Final = (
    "The provided policy document does not meet the requirements of the specified policy type."
)

#: fault -> the text of role trust policies and resource policies, then of those that differ from it.
_TEXTS: Final[dict[str, tuple[str, dict[Dialect, str]]]] = {
    "json": (
        "Policies must be valid JSON and the first byte must be '{{'",
        {"iam": _SYNTAX, "trust": "This policy contains invalid Json", "key": _SYNTAX},
    ),
    "syntax": ("Invalid policy syntax.", {"iam": _SYNTAX, "trust": _SYNTAX, "key": _SYNTAX}),
    "unknown-field": ("Unknown field {0}", {"iam": _SYNTAX}),
    "version": (
        "The policy must contain a valid version string",
        {"iam": _SYNTAX, "trust": _SYNTAX, "key": _SYNTAX},
    ),
    "old-version": ("Policy document must be version 2012-10-17 or greater.", {}),
    "no-statement": ("Could not parse the policy: Statement is empty!", {"iam": _SYNTAX, "key": _SYNTAX}),
    "effect": ("Invalid effect: {0}", {"iam": _SYNTAX}),
    "effect-case": ("Invalid effect: {0}", {"iam": _LEGACY}),
    "missing": ("Missing required field {0}", {"iam": _SYNTAX}),
    "no-actions": ("Missing required field Action", {"iam": "Policy statement must contain actions."}),
    "no-resources": ("Missing required field Resource", {"iam": "Policy statement must contain resources."}),
    "prohibited": ("Has prohibited field {0}", {}),
    "principal-prohibited": (
        "Has prohibited field {0}",
        {"iam": "Policy document should not specify a principal."},
    ),
    "principal": (
        "Invalid principal in policy",
        {
            "trust": 'Invalid principal in policy: "{0}":"{1}"',
            "key": "Policy contains a statement with one or more invalid principals.",
        },
    ),
    "sid": (
        "Statement IDs (SID) must be alpha-numeric. "
        "Check that your input satisfies the regular expression [0-9A-Za-z]*",
        {},
    ),
    "duplicate-sid": ("Statement IDs (SID) in a single policy must be unique.", {}),
    "no-vendor": ("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.", {}),
    "vendor": ("Vendor {0} is not valid", {}),
    "colons": ("Actions/Condition can contain only one colon.", {}),
    "not-sts": ("AssumeRole policy may only specify STS AssumeRole actions.", {}),
    "legacy": (_LEGACY, {}),
    "not-an-arn": ('Resource {0} must be in ARN format or "*".', {}),
    "partition": ('Partition "{0}" is not valid for resource "{1}".', {}),
    "resource-vendor": ("Resource vendor must be fully qualified and cannot contain regexes.", {}),
    "iam-region": ("IAM resource {0} cannot contain region information.", {}),
    "s3-region": ("Resource {0} can not contain region information.", {}),
    "iam-path": (
        'IAM resource path must either be "*" or start with user/, federated-user/, role/, group/, '
        "instance-profile/, mfa/, server-certificate/, policy/, sms-mfa/, saml-provider/, oidc-provider/, "
        "report/, access-report/.",
        {},
    ),
    "operator": ("Invalid Condition type : {0}.", {"iam": _SYNTAX}),
    "condition-value": ("Invalid Condition value : {0}.", {"iam": _LEGACY}),
    "organizations": (_ORGANIZATIONS, {}),
}


class PolicyError(ValueError):
    """A policy document that AWS would not accept. ``message`` is what AWS says; ``fault`` names the rule."""

    def __init__(self, message: str, fault: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.fault = fault


def refusal(fault: str, kind: Kind, *details: str) -> PolicyError:
    """The error for a rule of _TEXTS that a document of this kind breaks."""
    dialect = DIALECTS[kind]
    if dialect == "organizations":
        return PolicyError(_ORGANIZATIONS, fault)
    usual, others = _TEXTS[fault]
    return PolicyError(others.get(dialect, usual).format(*(detail[:500] for detail in details)), fault)
