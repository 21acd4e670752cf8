"""The IAM policy language: parsing with AWS's errors, evaluation in AWS's order, and partial evaluation.

    policy = parse(document, "key").named("arn:aws:kms:...")
    residual = prepare(Question(principal, attached, "kms:Encrypt", key_arn, account, policy, guarded=True,
                                known=principal_keys(principal)))
    decision = residual.decide(request_keys.get)
    if not decision.allowed:
        ... decision.reason("kms:Encrypt")

Pure: no I/O, no clock, nothing but the standard library.
"""

from __future__ import annotations

from casemate.engine.policy.decision import Decision, Matched
from casemate.engine.policy.document import parse
from casemate.engine.policy.errors import Kind, PolicyError
from casemate.engine.policy.evaluate import Considered, decide, explain
from casemate.engine.policy.model import Policy, Statement
from casemate.engine.policy.naming import with_names
from casemate.engine.policy.plan import Plan, prepare
from casemate.engine.policy.principals import (
    Grade,
    Principal,
    PrincipalElement,
    canonical_name,
    names_of,
    principal_keys,
)
from casemate.engine.policy.question import Attached, Question
from casemate.engine.policy.residual import Residual
from casemate.engine.policy.variables import Lookup, Value

__all__ = [
    "Attached",
    "Considered",
    "Decision",
    "Grade",
    "Kind",
    "Lookup",
    "Matched",
    "Plan",
    "Policy",
    "PolicyError",
    "Principal",
    "PrincipalElement",
    "Question",
    "Residual",
    "Statement",
    "Value",
    "canonical_name",
    "decide",
    "explain",
    "names_of",
    "parse",
    "prepare",
    "principal_keys",
    "with_names",
]
