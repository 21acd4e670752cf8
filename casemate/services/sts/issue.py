"""Temporary credentials: what the operations that give them have in common.

Source: "AssumeRole", "GetSessionToken" and "GetFederationToken" (AWS STS API reference), "Pass session tags in AWS
STS", "IAM and AWS STS quotas".
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from casemate.engine.policy import PolicyError, parse
from casemate.engine.session_token import LONGEST_TOKEN, Session, SessionTokens, TooLarge
from casemate.errors import AwsError
from casemate.gate.call import Call

if TYPE_CHECKING:
    from casemate.api import sts

MOST_POLICY_ARNS = 10
MOST_POLICY_TEXT = 2048
"""Characters of an inline session policy and the ARNs of managed ones together."""

_POLICY_ARN = re.compile(r"arn:aws[a-z-]*:iam::(\d{12}|aws):policy/[\w+=,.@/-]{1,600}", re.ASCII)


class Issued(NamedTuple):
    """What an answer tells of a new session. packed: percent of the room for policies and tags that is used, None
    where there are none; size: characters of the token; used: the same in percent of what is allowed."""

    credentials: sts.Credentials
    packed: int | None
    size: int
    used: int


def issue(call: Call, session: Session, smallest: int = 0) -> Issued:
    """The credentials of a new session. Raises PackedPolicyTooLarge."""
    try:
        token = call.part(SessionTokens).seal(session, smallest)
    except TooLarge as error:
        raise AwsError(
            "PackedPolicyTooLarge",
            f"Packed policy consumes {error.percent}% of allotted space, please use smaller policy.",
            400,
        ) from None
    credentials: sts.Credentials = {
        "AccessKeyId": session.access_key_id,
        "SecretAccessKey": session.secret,
        "SessionToken": token,
        "Expiration": datetime.fromtimestamp(session.expires, UTC),
    }
    return Issued(credentials, session.packed_percent, len(token), len(token) * 100 // LONGEST_TOKEN)


def long_term(call: Call, operation: str) -> None:
    """Refuse callers who have temporary credentials themselves."""
    if call.identity.session is not None:
        raise denied(f"Cannot call {operation} with session credentials")


def session_policies(
    call: Call, account: str, request: Mapping[str, Any]
) -> tuple[str | None, tuple[str, ...]]:
    """The inline session policy, and the ARNs of managed ones, which must be the account's or AWS's.

    Raises MalformedPolicyDocument, ValidationError, PackedPolicyTooLarge.
    """
    document: str | None = request.get("Policy")
    arns = tuple(dict.fromkeys(each["arn"] for each in request.get("PolicyArns", ()) if "arn" in each))
    if len(arns) > MOST_POLICY_ARNS:
        raise invalid(
            f"Value at 'policyArns' failed to satisfy constraint: Member must have length less than or equal to "
            f"{MOST_POLICY_ARNS}"
        )
    text = len(document or "") + sum(map(len, arns))
    if text > MOST_POLICY_TEXT:
        percent = -(-text * 100 // MOST_POLICY_TEXT)
        message = f"Packed policy consumes {percent}% of allotted space, please use smaller policy."
        raise AwsError("PackedPolicyTooLarge", message, 400)
    if document is not None:
        try:
            parse(document, "session")
        except PolicyError as error:
            raise AwsError("MalformedPolicyDocument", error.message, 400) from None
    for arn in arns:
        found = _POLICY_ARN.fullmatch(arn)
        if found is None:
            raise invalid(f"ARN {arn} is not valid.")
        if (
            found[1] not in (account, "aws")
            or call.gate.directory.policy(account, arn, call.transaction) is None
        ):
            raise invalid(f"Policy {arn} does not exist or is not attachable.")
    return document, arns


def session_tags(given: Sequence[sts.Tag]) -> dict[str, str]:
    """Session tags, of whose keys no two differ in case only. Raises InvalidParameterValue, ValidationError."""
    tags = {tag["Key"]: tag["Value"] for tag in given}
    if len({key.lower() for key in tags}) < len(given):
        raise bad_value("Duplicate tag keys found. Please note that Tag keys are case insensitive.")
    if any(key.lower().startswith("aws:") for key in tags):
        raise bad_value("Tag keys that begin with aws: are reserved for system use.")
    return tags


def transitive_tags(
    call: Call, tags: Mapping[str, str], transitive: Sequence[str]
) -> tuple[dict[str, str], tuple[str, ...]]:
    """All tags of the next session, with those that come down the chain of roles, and the keys of those that go on.

    Source: "Chaining roles with session tags". Raises InvalidParameterValue.
    """
    before = call.identity.session
    inherited = {} if before is None else {key: before.tags[key] for key in before.transitive}
    taken = {key.lower() for key in inherited}
    if any(key.lower() in taken for key in (*tags, *transitive)):
        raise bad_value(
            "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key "
            "from the calling session."
        )
    by_name = {key.lower(): key for key in tags}
    if any(key.lower() not in by_name for key in transitive):
        raise bad_value("The specified transitive tag key must be included in the requested tags.")
    keys = dict.fromkeys((*inherited, *(by_name[key.lower()] for key in transitive)))
    return {**inherited, **tags}, tuple(keys)


def second_factor(call: Call, request: Mapping[str, Any]) -> None:
    """Let the caller prove a second factor, if the request has the code of their MFA device.

    A resolver's business, for conditions ask for it (``Call.second_factor``). Raises AccessDenied for a code that is
    not the device's, or was used before.
    """
    serial, code = request.get("SerialNumber"), request.get("TokenCode")
    if serial is None and code is None:
        return
    if serial is None or code is None:
        raise denied(
            "MultiFactorAuthentication failed, must provide both MFA serial number and one time pass code."
        )
    gate, user = call.gate, call.identity.principal
    # A transaction of its own: the code is used up whatever becomes of the request.
    right = call.before(
        "second factor",
        lambda: gate.store.write(lambda tx: gate.directory.second_factor(tx, user, serial, code)),
    )
    if not right:
        raise denied(
            "MultiFactorAuthentication failed, unable to validate MFA code.  Please verify your MFA serial number is "
            "valid and associated with this user."
        )
    call.second_factor = True


def denied(message: str) -> AwsError:
    return AwsError("AccessDenied", message, 403)


def invalid(message: str) -> AwsError:
    return AwsError("ValidationError", message, 400)


def bad_value(message: str) -> AwsError:
    return AwsError("InvalidParameterValue", message, 400)
