"""AssumeRoleWithWebIdentity: a session of a role, for whom an OpenID Connect identity provider vouches.

Source: "AssumeRoleWithWebIdentity", "Available keys for AWS OIDC federation", "Passing session tags using
AssumeRoleWithWebIdentity".
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from casemate.api import sts
from casemate.engine.oidc.errors import OidcError, Refusal
from casemate.engine.oidc.id_token import audiences, check, issuer_of, key_of
from casemate.engine.policy import Attached, Principal, Value, principal_keys
from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.gate.identity import Identity, OidcIssuer
from casemate.gate.operation import Need
from casemate.services.sts.assumable import NAMING, TAGGING, AssumableRole, find_role, role_named
from casemate.services.sts.issue import issue, session_policies, session_tags
from casemate.services.sts.issuer_keys import IssuerKeys
from casemate.services.sts.roles import USUAL, assumed_role_user, check_duration, role_session

_TAGS = "https://aws.amazon.com/tags"
_SOURCE_IDENTITY = "https://aws.amazon.com/source_identity"

_KEPT = frozenset({"amr", "aud", "email", "oaud", "sub"})
"""Claims that stay condition keys of the session."""

_MOST_TAGS = 50
_NAME = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII)
_TAG_TEXT = re.compile(r"[\w\s.:/=+@-]*").fullmatch

_CODES = {
    Refusal.INVALID: "InvalidIdentityToken",
    Refusal.EXPIRED: "ExpiredTokenException",
    Refusal.UNREACHABLE: "IDPCommunicationError",
}


@dataclass(frozen=True, slots=True)
class Vouched:
    """What a token says of its bearer. given: what it asks of the session, by the names of AssumeRole's
    parameters."""

    issuer: OidcIssuer
    subject: str
    audience: str
    given: Mapping[str, Any]


class WebIdentity(Identity):
    """Somebody whom an identity provider vouches for, who has no identity in AWS yet."""

    __slots__ = ("vouched",)

    def __init__(self, vouched: Vouched, keys: Mapping[str, Value]) -> None:
        issuer = vouched.issuer
        principal = Principal(
            kind="web-identity",
            arn=issuer.arn,
            account="",
            id=f"{issuer.arn}:{vouched.audience}:{vouched.subject}",
            federated=issuer.arn,
        )
        audit = {
            "type": "WebIdentityUser",
            "principalId": principal.id,
            "userName": vouched.subject,
            "identityProvider": issuer.arn,
        }
        super().__init__(principal, Attached(), {**principal_keys(principal), **keys}, audit)
        # Where the call acts, and is audited.
        self.account = issuer.account
        self.vouched = vouched


def bearer(call: Call, request: sts.AssumeRoleWithWebIdentityRequest) -> Identity:
    """Who brings the token, once the keys of its issuer, an identity provider of the role's account, have proved it.

    Raises InvalidIdentityToken, ExpiredTokenException, IDPCommunicationError; NotImplemented for an OAuth 2.0 access
    token.
    """
    if "ProviderId" in request:
        raise AwsError("NotImplemented", "OAuth 2.0 access tokens are not served by Casemate.", 501)
    account, _ = role_named(request["RoleArn"])
    token = request["WebIdentityToken"]
    try:
        url = issuer_of(token)
        issuer = call.gate.directory.oidc_issuer(account, url, call.transaction)
        if issuer is None:
            raise OidcError(
                Refusal.INVALID, f"No OpenIDConnect provider found in your account for {url[:255]}"
            )
        keys = call.part(IssuerKeys).of(call, issuer, *key_of(token))
        # By the machine's time, as signatures: the issuer knows no other.
        claims = check(token, keys, issuer.url, issuer.clients, time.time())
    except OidcError as error:
        raise AwsError(_CODES[error.refusal], error.text, 400) from None
    given = {**request, **_asked(claims)}
    vouched = Vouched(issuer, claims["sub"], audiences(claims)[0], given)
    return WebIdentity(vouched, {**_keys(issuer, claims), "aws:federatedprovider": issuer.arn})


def role_to_assume(call: Call, request: Mapping[str, Any]) -> AssumableRole:
    """The role that RoleArn names."""
    return find_role(call, request["RoleArn"], _vouched(call).given)


@sts.AssumeRoleWithWebIdentity.reads(
    role_to_assume, Need("sts:AssumeRoleWithWebIdentity"), TAGGING, NAMING, recorded=True, proof=bearer
)
def assume_role_with_web_identity(
    call: Call, req: sts.AssumeRoleWithWebIdentityRequest, target: AssumableRole
) -> sts.AssumeRoleWithWebIdentityResponse:
    """Temporary credentials of a role for the bearer of an ID token, without a signature: for an hour unless told
    otherwise."""
    role = target.role
    vouched = _vouched(call)
    seconds = req.get("DurationSeconds", USUAL)
    check_duration(seconds, role)
    policy, arns = session_policies(call, role.account, req)
    tags = session_tags(vouched.given.get("Tags", ()))
    prefix = _prefix(vouched.issuer)
    session = role_session(
        role,
        int(call.now),
        seconds,
        session=req["RoleSessionName"],
        policy=policy,
        policy_arns=arns,
        tags=tags,
        transitive=tuple(vouched.given.get("TransitiveTagKeys", ())),
        source_identity=vouched.given.get("SourceIdentity", ""),
        provider=vouched.issuer.arn,
        claims={
            key: value
            for key, value in call.identity.known.items()
            if value is not None and key.startswith(prefix) and key[len(prefix) :] in _KEPT
        },
    )
    issued = issue(call, session, req.get("MinimumSessionTokenSize", 0))
    response: sts.AssumeRoleWithWebIdentityResponse = {
        "Credentials": issued.credentials,
        "SubjectFromWebIdentityToken": vouched.subject,
        "AssumedRoleUser": assumed_role_user(session),
        "Provider": vouched.issuer.arn,
        "Audience": vouched.audience,
        "SessionTokenSize": issued.size,
        "SessionTokenUtilization": issued.used,
    }
    if issued.packed is not None:
        response["PackedPolicySize"] = issued.packed
    if session.source_identity:
        response["SourceIdentity"] = session.source_identity
    return response


def _vouched(call: Call) -> Vouched:
    identity = call.identity
    assert isinstance(identity, WebIdentity)
    return identity.vouched


def _prefix(issuer: OidcIssuer) -> str:
    return issuer.url.removeprefix("https://").lower() + ":"


def _keys(issuer: OidcIssuer, claims: Mapping[str, Any]) -> dict[str, Value]:
    """The condition keys of a token: its claims under its issuer's name, as far as they are texts, numbers, truth
    values or lists of texts. None of an issuer whose host has no dot: https://aws would say what is the server's to
    say of a request (aws:SourceIp)."""
    prefix = _prefix(issuer)
    if "." not in prefix.partition("/")[0].partition(":")[0]:
        return {}
    keys: dict[str, Value] = {}
    for name, value in claims.items():
        if isinstance(value, bool):
            keys[name.lower()] = "true" if value else "false"
        elif isinstance(value, str | int):
            keys[name.lower()] = str(value)
        elif isinstance(value, list) and value and all(isinstance(each, str) for each in value):
            keys[name.lower()] = tuple(value)
    audience = audiences(claims)
    keys["aud"] = audience[0] if len(audience) == 1 else tuple(audience)
    if "azp" in claims and isinstance(claims.get("aud"), str):
        keys["oaud"] = claims["aud"]
    return {prefix + name: value for name, value in keys.items()}


def _asked(claims: Mapping[str, Any]) -> dict[str, Any]:
    """What a token asks of the session: tags, those of them that are transitive, a source identity.

    Raises InvalidIdentityToken.
    """
    asked: dict[str, Any] = {}
    tags = claims.get(_TAGS)
    if tags is not None:
        principal = tags.get("principal_tags") if isinstance(tags, dict) else None
        transitive = tags.get("transitive_tag_keys", []) if isinstance(tags, dict) else None
        if not isinstance(principal, dict) or not isinstance(transitive, list):
            raise _unreadable(_TAGS)
        if len(principal) > _MOST_TAGS or not all(key in principal for key in transitive):
            raise _unreadable(_TAGS)
        asked["Tags"] = [_tag(key, value) for key, value in principal.items()]
        asked["TransitiveTagKeys"] = transitive
    source = claims.get(_SOURCE_IDENTITY)
    if source is not None:
        if not isinstance(source, str) or not _NAME.fullmatch(source):
            raise _unreadable(_SOURCE_IDENTITY)
        asked["SourceIdentity"] = source
    return asked


def _tag(key: str, value: Any) -> dict[str, str]:
    """A tag, whose value is a text or a list of one."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if (
        not isinstance(value, str)
        or len(value) > 256
        or not 1 <= len(key) <= 128
        or not _TAG_TEXT(key + value)
    ):
        raise _unreadable(_TAGS)
    return {"Key": key, "Value": value}


def _unreadable(claim: str) -> AwsError:
    return AwsError("InvalidIdentityToken", f"The claim {claim} cannot be read.", 400)
