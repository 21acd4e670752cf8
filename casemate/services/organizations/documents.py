"""What Organizations checks of a policy's document before it takes it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from casemate.engine.policy import PolicyError, parse
from casemate.errors import AwsError
from casemate.services.organizations import limits
from casemate.services.organizations.model import RCP, SCP
from casemate.services.organizations.refusals import constraint

_TOP: Final[Mapping[str, str]] = {
    "TAG_POLICY": "tags",
    "BACKUP_POLICY": "plans",
    "AISERVICES_OPT_OUT_POLICY": "services",
    "CHATBOT_POLICY": "chatbot",
    "DECLARATIVE_POLICY_EC2": "ec2_attributes",
    "SECURITYHUB_POLICY": "securityhub",
    "INSPECTOR_POLICY": "inspector",
}
"""What documents of a management policy's type begin with. Source: the types' pages of syntax and examples."""

MALFORMED: Final = "The provided policy document does not meet the requirements of the specified policy type."


def accepted(policy_type: str, document: str) -> str:
    """The document, if it may be one of the type's. Raises MalformedPolicyDocumentException, and
    ConstraintViolationException for one that is too long."""
    if len(document) > limits.most_characters(policy_type):
        raise constraint(
            "POLICY_CONTENT_LIMIT_EXCEEDED", "You have exceeded the allowed size of a policy document."
        )
    if policy_type in (SCP, RCP):
        _check_authorization(policy_type, document)
    else:
        _check_management(policy_type, document)
    return document


def _check_authorization(policy_type: str, document: str) -> None:
    try:
        policy = parse(document, "scp" if policy_type == SCP else "rcp")
    except PolicyError:
        raise malformed() from None
    if policy_type == RCP and any(statement.allow for statement in policy.statements):
        # To allow is RCPFullAWSAccess's own (AWS: "RCP syntax").
        raise malformed()


def _check_management(policy_type: str, document: str) -> None:
    content = loaded(document)
    top = _TOP.get(policy_type)
    if top is not None and set(content) - {"@@operators_allowed_for_child_policies"} != {top}:
        raise malformed()


def loaded(document: str) -> dict[str, Any]:
    """A management policy's document. Raises MalformedPolicyDocumentException."""

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise malformed()
        return found

    try:
        content = json.loads(document, object_pairs_hook=members)
    except (ValueError, RecursionError):
        raise malformed() from None
    if not isinstance(content, dict) or not content or "\0" in document:
        raise malformed()
    return content


def malformed() -> AwsError:
    return AwsError("MalformedPolicyDocumentException", MALFORMED)
