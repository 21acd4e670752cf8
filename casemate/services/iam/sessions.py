"""Who calls by temporary credentials: the session's own condition keys and policies, and how the audit shows it.

Source: "AWS global condition context keys", "CloudTrail userIdentity element", "Comparing the AWS STS credentials".
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson

from casemate.engine.policy import Policy, Principal, Value, principal_keys
from casemate.engine.session_token import Session
from casemate.gate.canonical_user import canonical_user
from casemate.gate.conditions import iso_time
from casemate.gate.identity import Identity, RoleEntry, SessionCredential, session_of, tag_keys

_WITHOUT_IAM = frozenset({"iam"})

Limit = tuple[Policy, ...] | None
"""Session policies; None where none were passed."""


def of_role(session: Session, role: RoleEntry, limit: Limit) -> SessionCredential:
    """A session of a role."""
    identity = session_of(
        role,
        session.session,
        session.access_key_id,
        session.issued,
        policies=limit,
        tags=session.tags,
        known=_keys(session),
        context=_context(session),
        session=session,
    )
    return SessionCredential(session, identity, role.id)


def of_user(session: Session, user: Identity) -> SessionCredential:
    """The user themselves (GetSessionToken). IAM takes such credentials only when a second factor was given."""
    audit = _audit(user) | {"sessionContext": _context(session)}
    identity = Identity(user.principal, user.attached, {**user.known, **_keys(session)}, audit, session)
    return SessionCredential(session, identity, session.id, _barred(session))


def of_root(session: Session, root: Identity, limit: Limit) -> SessionCredential:
    """The root user (GetSessionToken); with session policies, for a privileged task (AssumeRoot)."""
    context = _context(session)
    if limit is not None:
        context["assumedRoot"] = "true"
    audit = _audit(root) | {"sessionContext": context}
    attached = root.attached if limit is None else replace(root.attached, session=limit)
    identity = Identity(root.principal, attached, {**root.known, **_keys(session)}, audit, session)
    barred = _barred(session) if limit is None else frozenset[str]()
    return SessionCredential(session, identity, session.account, barred)


def of_federated(session: Session, issuer: Identity, limit: Limit) -> SessionCredential:
    """A federated user (GetFederationToken) of a user or the root user; without session policies it may nothing but
    what resource policies give it by its name. IAM never takes such credentials."""
    account = session.account
    principal = Principal(
        kind="federated-user",
        arn=f"arn:aws:sts::{account}:federated-user/{session.session}",
        account=account,
        id=f"{account}:{session.session}",
        issuer=issuer.principal.arn,
        issuer_id=issuer.principal.id,
        canonical=canonical_user(account),
    )
    tags = {key: value for key, value in issuer.known.items() if key.startswith("aws:principaltag/")}
    known = {**principal_keys(principal), **tags, **tag_keys(session.tags), **_keys(session)}
    of_issuer = _audit(issuer)
    of_issuer.pop("accessKeyId")
    audit = {
        "type": "FederatedUser",
        "principalId": principal.id,
        "arn": principal.arn,
        "accountId": account,
        "accessKeyId": session.access_key_id,
        "sessionContext": {"sessionIssuer": of_issuer, **_context(session)},
    }
    attached = replace(issuer.attached, session=limit or ())
    identity = Identity(principal, attached, known, audit, session)
    return SessionCredential(session, identity, session.id or account, _WITHOUT_IAM)


def _barred(session: Session) -> frozenset[str]:
    return _WITHOUT_IAM if session.mfa is None else frozenset()


def _keys(session: Session) -> dict[str, Value]:
    """The condition keys that temporary credentials add."""
    keys: dict[str, Value] = {
        **session.claims,
        "aws:tokenissuetime": iso_time(session.issued),
        "aws:multifactorauthpresent": "false" if session.mfa is None else "true",
    }
    if session.source_identity:
        keys["aws:sourceidentity"] = session.source_identity
    if session.provider:
        keys["aws:federatedprovider"] = session.provider
    return keys


def _context(session: Session) -> dict[str, Any]:
    """CloudTrail's sessionContext, without its issuer."""
    context: dict[str, Any] = {
        "attributes": {
            "creationDate": iso_time(session.issued),
            "mfaAuthenticated": "false" if session.mfa is None else "true",
        }
    }
    if session.source_identity:
        context["sourceIdentity"] = session.source_identity
    if ":oidc-provider/" in session.provider:
        context["webIdFederationData"] = {"federatedProvider": session.provider, "attributes": {}}
    return context


def _audit(identity: Identity) -> dict[str, Any]:
    audit: dict[str, Any] = orjson.loads(identity.audit)
    return audit
