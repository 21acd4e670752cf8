"""Step 7: may this caller do this to that resource? The engine decides; here its question is put together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from casemate.engine.authorization_message import AuthorizationMessages, content_of
from casemate.engine.policy import Decision, Grade, Plan, Question, Residual, prepare
from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.gate.conditions import context_of, lookup_for
from casemate.gate.identity import MAX_PLANS, MAX_RESIDUALS, Identity
from casemate.gate.operation import Served
from casemate.gate.resource import Resource

# How each protocol family names a refusal, and with which HTTP status.
_DENIED = {
    "json": ("AccessDeniedException", 400),
    "rest-json": ("AccessDeniedException", 403),
    "query": ("AccessDenied", 403),
    "ec2": ("UnauthorizedOperation", 403),
    "s3": ("AccessDenied", 403),
}

# Services that name it otherwise than others of their protocol.
_DENIED_BY = {"sns": ("AuthorizationError", 403)}

# As if there were no such resource, whatever its policy and its grants say.
_ABSENT = Decision(False, False, "resource-based policy")
_OF_CLOSED_ACCOUNT = Residual(_ABSENT, lambda _lookup: _ABSENT)


def authorise(call: Call, served: Served, target: Any, request: Mapping[str, Any]) -> None:
    """Raise unless the caller holds every permission that the operation needs of the target.

    Raises AWS's refusal with its reason; or, to a caller who would be allowed, the target's own error when it
    does not exist.
    """
    absent: AwsError | None = None
    for need in served.needs:
        resource: Resource | None = target if need.of is None else need.of(target)
        if resource is None:
            continue
        if resource not in call.resources:
            call.resources = (*call.resources, resource)
        decision = decide(call, need.action, resource, request)
        if not decision.allowed:
            raise denied(call, need.action, resource, decision)
        absent = absent or resource.missing
    if absent is not None:
        raise absent


def decide(call: Call, action: str, resource: Resource, request: Mapping[str, Any]) -> Decision:
    """The engine's decision, by way of the residual that is kept with the caller's identity. Grants are looked at
    only where policies neither allow nor deny."""
    decision = _decide(call, action, resource, request)
    if resource.beyond is None or not decision.allowed:
        return decision
    return decide(call, action, resource.beyond, request)


def _decide(call: Call, action: str, resource: Resource, request: Mapping[str, Any]) -> Decision:
    residual = _residual(call, action, resource, 0)
    constant = residual.constant
    decision = residual.decide(lookup_for(call, resource, request)) if constant is None else constant
    if decision.allowed or decision.explicit:
        return decision
    granted = resource.granted(action, call, request)
    if granted is Grade.NONE:
        return decision
    return _residual(call, action, resource, int(granted)).decide(lookup_for(call, resource, request))


def _residual(call: Call, action: str, resource: Resource, granted: int) -> Residual:
    """granted: a Grade, as the plain number, whose hash is quicker than an enumeration's."""
    identity = call.identity
    key = (action, resource.arn, granted)
    entry = identity.residuals.get(key)
    # Policies are compiled once per text, so the same object means that nothing the residual rests on changed.
    if entry is not None and entry[0] is resource.policy and entry[1] == resource.account:
        return entry[2]
    question = question_of(call, action, resource, Grade(granted))
    if question is None:
        return _OF_CLOSED_ACCOUNT
    if identity.principal.kind == "anonymous":
        # The same identity for ever: no change of IAM or of an organisation makes it anew.
        return prepare(question)
    residual = _plan(identity, question).residual(question)
    if len(identity.residuals) >= MAX_RESIDUALS:
        identity.residuals.clear()
    identity.residuals[key] = (resource.policy, resource.account, residual)
    return residual


def _plan(identity: Identity, question: Question) -> Plan:
    # What else a plan rests on is the identity's own: an organisation's change makes identities anew.
    key = (question.action, question.resource_account, question.rcps)
    plan = identity.plans.get(key)
    if plan is None:
        if len(identity.plans) >= MAX_PLANS:
            identity.plans.clear()
        plan = identity.plans[key] = Plan(question)
    return plan


def question_of(call: Call, action: str, resource: Resource, granted: Grade = Grade.NONE) -> Question | None:
    """What the engine is asked; None for a resource of a closed account, which nobody reaches."""
    identity = call.identity
    standing_of = call.gate.organizations.standing
    scps = standing_of(identity.account, call.transaction).scps
    owner = standing_of(resource.holder, call.transaction)
    if owner.closed:
        return None
    return Question(
        principal=identity.principal,
        attached=replace(identity.attached, scps=scps) if scps else identity.attached,
        action=action,
        resource=resource.arn,
        resource_account=resource.account,
        resource_policy=resource.policy,
        rcps=() if resource.outside_rcps else owner.rcps,
        guarded=resource.guarded,
        known=identity.known,
        granted=granted,
    )


def denied(call: Call, action: str, resource: Resource, decision: Decision) -> AwsError:
    """AWS's refusal: who, what, on which resource, and the kind of policy that decided."""
    assert call.route is not None
    code, status = _DENIED_BY.get(call.route.signing_name) or _DENIED[call.route.family]
    principal = call.identity.principal
    if principal.kind in ("web-identity", "saml"):
        # They have no name in AWS.
        return AwsError(code, f"Not authorized to perform {action}", status)
    if principal.kind == "anonymous":
        return AwsError(code, "Access Denied", status)
    shown = resource.shown
    if call.route.family == "s3":
        # S3 tells its reasons to the resource's own account alone. Source: "Troubleshoot access denied (403
        # Forbidden) errors in Amazon S3".
        if principal.account != resource.account:
            return AwsError(code, "Access Denied", status)
        shown = f'"{shown}"'
    message = (
        f"User: {principal.arn} is not authorized to perform: {action} on resource: {shown} "
        f"{decision.reason(action)}"
    )
    if call.route.family == "ec2":
        sealed = _sealed_reason(call, action, resource, decision)
        message = (
            f"You are not authorized to perform this operation. {message}. "
            f"Encoded authorization failure message: {sealed}"
        )
    return AwsError(code, message, status)


def _sealed_reason(call: Call, action: str, resource: Resource, decision: Decision) -> str:
    """Why, for those who may know: ``sts:DecodeAuthorizationMessage`` opens it."""
    content = content_of(decision, call.identity.principal, action, resource.arn, context_of(call))
    return call.part(AuthorizationMessages).seal(call.account, content)
