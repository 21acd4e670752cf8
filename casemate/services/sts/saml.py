"""AssumeRoleWithSAML: a session of a role, for whom a SAML identity provider vouches.

Source: "AssumeRoleWithSAML", "Configure SAML assertions for the authentication response", "Available keys for
SAML-based AWS STS federation".
"""

from __future__ import annotations

import re
import time
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from hashlib import sha1
from typing import Any

from casemate.api import sts
from casemate.engine.policy import Attached, Principal, Value, principal_keys
from casemate.engine.saml.assertion import Assertion, check
from casemate.engine.saml.documents import SamlError, is_available
from casemate.engine.saml.metadata import read_metadata
from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.gate.identity import Identity
from casemate.gate.operation import Need
from casemate.services.sts.assumable import NAMING, TAGGING, AssumableRole, find_role, role_named
from casemate.services.sts.issue import denied, issue, session_policies, session_tags
from casemate.services.sts.roles import USUAL, assumed_role_user, check_duration, role_session

_AWS = "https://aws.amazon.com/SAML/Attributes/"
_TAG = _AWS + "PrincipalTag:"
_NAME = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII)
_TAG_TEXT = re.compile(r"[\w\s.:/=+@-]*").fullmatch
_MOST_TAGS = 50
_LEAST_SECONDS, _MOST_SECONDS = 900, 43_200

_KEPT = frozenset({"saml:sub", "saml:sub_type", "saml:namequalifier", "saml:iss", "saml:aud"})
"""Keys that stay with the session."""


@dataclass(frozen=True, slots=True)
class Asserted:
    """What an assertion says of its bearer. given: what it asks of the session, by the names of AssumeRole's
    parameters; longest: seconds, by its SessionDuration, None without one."""

    assertion: Assertion
    provider: str
    qualifier: str
    kind: str
    given: Mapping[str, Any]
    longest: int | None


class SamlUser(Identity):
    """Somebody whom a SAML identity provider vouches for, who has no identity in AWS yet."""

    __slots__ = ("asserted",)

    def __init__(self, asserted: Asserted, account: str, keys: Mapping[str, Value]) -> None:
        provider, assertion = asserted.provider, asserted.assertion
        principal = Principal(
            kind="saml",
            arn=provider,
            account="",
            id=f"{asserted.qualifier}:{assertion.subject}",
            federated=provider,
        )
        audit = {
            "type": "SAMLUser",
            "principalId": principal.id,
            "userName": assertion.subject,
            "identityProvider": assertion.issuer,
        }
        super().__init__(principal, Attached(), {**principal_keys(principal), **keys}, audit)
        # Where the call acts, and is audited.
        self.account = account
        self.asserted = asserted


def bearer(call: Call, request: sts.AssumeRoleWithSAMLRequest) -> Identity:
    """Who brings the assertion, once the certificates of its issuer, an identity provider of the role's account, have
    proved it. Raises InvalidIdentityToken, ExpiredTokenException."""
    if not is_available():
        raise AwsError("NotImplemented", "SAML is served where Casemate's extra saml is installed.", 501)
    account, _ = role_named(request["RoleArn"])
    arn = request["PrincipalArn"]
    metadata = call.gate.directory.saml_metadata(account, arn, call.transaction)
    if metadata is None:
        raise _invalid("Specified provider doesn't exist")
    # In a thread, for it takes long; by the machine's time, as signatures: the identity provider knows no other.
    checked = call.before("the assertion", partial(_checked, request["SAMLAssertion"], metadata, time.time()))
    if isinstance(checked, SamlError):
        code = "ExpiredTokenException" if checked.expired else "InvalidIdentityToken"
        raise AwsError(code, checked.text, 400)
    if not _names(checked, request["RoleArn"], arn):
        raise denied("Not authorized to perform sts:AssumeRoleWithSAML")
    try:
        asserted = _asserted(checked, account, arn, request)
    except SamlError as error:
        raise _invalid(error.text) from None
    return SamlUser(asserted, account, _keys(asserted))


def role_to_assume(call: Call, request: Mapping[str, Any]) -> AssumableRole:
    """The role that RoleArn names."""
    return find_role(call, request["RoleArn"], _of(call).given)


@sts.AssumeRoleWithSAML.reads(
    role_to_assume, Need("sts:AssumeRoleWithSAML"), TAGGING, NAMING, recorded=True, proof=bearer
)
def assume_role_with_saml(
    call: Call, req: sts.AssumeRoleWithSAMLRequest, target: AssumableRole
) -> sts.AssumeRoleWithSAMLResponse:
    """Temporary credentials of a role for the bearer of a SAML assertion, without a signature: for an hour unless
    told otherwise, and no longer than the assertion says."""
    role = target.role
    asserted = _of(call)
    assertion = asserted.assertion
    seconds = req.get("DurationSeconds", asserted.longest or USUAL)
    if asserted.longest is not None:
        seconds = min(seconds, asserted.longest)
    check_duration(seconds, role)
    now = int(call.now)
    if assertion.until is not None:
        seconds = min(seconds, max(0, int(assertion.until) - int(time.time())))
    policy, arns = session_policies(call, role.account, req)
    session = role_session(
        role,
        now,
        seconds,
        session=asserted.given["RoleSessionName"],
        policy=policy,
        policy_arns=arns,
        tags=session_tags(asserted.given.get("Tags", ())),
        transitive=tuple(asserted.given.get("TransitiveTagKeys", ())),
        source_identity=asserted.given.get("SourceIdentity", ""),
        provider=asserted.provider,
        claims={
            key: value for key, value in call.identity.known.items() if value is not None and key in _KEPT
        },
    )
    issued = issue(call, session, req.get("MinimumSessionTokenSize", 0))
    response: sts.AssumeRoleWithSAMLResponse = {
        "Credentials": issued.credentials,
        "AssumedRoleUser": assumed_role_user(session),
        "Subject": assertion.subject,
        "SubjectType": asserted.kind,
        "Issuer": assertion.issuer,
        "Audience": assertion.recipient,
        "NameQualifier": asserted.qualifier,
        "SessionTokenSize": issued.size,
        "SessionTokenUtilization": issued.used,
    }
    if issued.packed is not None:
        response["PackedPolicySize"] = issued.packed
    if session.source_identity:
        response["SourceIdentity"] = session.source_identity
    return response


def _of(call: Call) -> Asserted:
    identity = call.identity
    assert isinstance(identity, SamlUser)
    return identity.asserted


def _checked(response: str, metadata: str, now: float) -> Assertion | SamlError:
    try:
        return check(response, read_metadata(metadata.encode()), now)
    except SamlError as error:
        return error


def _names(assertion: Assertion, role: str, provider: str) -> bool:
    """Whether the assertion is for this role of this provider: the two ARNs with a comma, in either order."""
    wanted = {role, provider}
    return any(
        {part.strip() for part in value.split(",")} == wanted
        for value in assertion.attributes.get(_AWS + "Role", ())
    )


def _asserted(assertion: Assertion, account: str, provider: str, request: Mapping[str, Any]) -> Asserted:
    """Raises SamlError."""
    name = assertion.only(_AWS + "RoleSessionName")
    if name is None:
        raise SamlError("RoleSessionName is required in AuthnResponse")
    if not _NAME.fullmatch(name):
        raise SamlError("RoleSessionName in AuthnResponse must match [\\w+=,.@-]{2,64}")
    given: dict[str, Any] = {**request, "RoleSessionName": name}
    tags = [
        {"Key": key.removeprefix(_TAG), "Value": assertion.only(key) or ""}
        for key in assertion.attributes
        if key.startswith(_TAG)
    ]
    transitive = list(assertion.attributes.get(_AWS + "TransitiveTagKeys", ()))
    keys = {each["Key"] for each in tags}
    fits = all(
        1 <= len(each["Key"]) <= 128 and len(each["Value"]) <= 256 and _TAG_TEXT(each["Key"] + each["Value"])
        for each in tags
    )
    if len(tags) > _MOST_TAGS or not fits or not keys.issuperset(transitive):
        raise SamlError("The session tags in AuthnResponse cannot be read.")
    if tags:
        given |= {"Tags": tags, "TransitiveTagKeys": transitive}
    source = assertion.only(_AWS + "SourceIdentity")
    if source is not None:
        if not _NAME.fullmatch(source):
            raise SamlError("SourceIdentity in AuthnResponse must match [\\w+=,.@-]{2,64}")
        given["SourceIdentity"] = source
    seconds = assertion.only(_AWS + "SessionDuration")
    if seconds is not None and not (
        re.fullmatch(r"[0-9]{1,6}", seconds) and _LEAST_SECONDS <= int(seconds) <= _MOST_SECONDS
    ):
        raise SamlError("SessionDuration in AuthnResponse must be a number from 900 to 43200")
    friendly = provider.rpartition("/")[2]
    qualifier = sha1(f"{assertion.issuer}{account}/{friendly}".encode(), usedforsecurity=False).digest()
    kind = assertion.format.rpartition(":")[2]
    return Asserted(
        assertion,
        provider,
        b64encode(qualifier).decode(),
        kind if kind in ("persistent", "transient") else assertion.format,
        given,
        None if seconds is None else int(seconds),
    )


def _keys(asserted: Asserted) -> dict[str, Value]:
    assertion = asserted.assertion
    return {
        "aws:federatedprovider": asserted.provider,
        "saml:aud": assertion.recipient,
        "saml:doc": asserted.provider.split(":")[4] + "/" + asserted.provider.rpartition("/")[2],
        "saml:iss": assertion.issuer,
        "saml:namequalifier": asserted.qualifier,
        "saml:sub": assertion.subject,
        "saml:sub_type": asserted.kind,
    }


def _invalid(text: str) -> AwsError:
    return AwsError("InvalidIdentityToken", text, 400)
