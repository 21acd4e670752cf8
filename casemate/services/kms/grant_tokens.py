"""Grant tokens: what CreateGrant gives to name a new grant by. Source: "Grant token", "Using a grant token".

A grant counts from its creation on, so that nobody needs its token to use it. A token that is given must still be one
that KMS gave, of a grant that is there. It holds the grant's place, sealed under the key owner's account key: nothing
is stored for it, and nobody can make one.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from typing import Any

from casemate.engine.envelope.errors import Tampered
from casemate.gate.call import Call
from casemate.services.kms.grant import Grant
from casemate.services.kms.keys import Keys
from casemate.services.kms.refusals import invalid_grant_token

_PURPOSE = "kms-grant-token"
_ACCOUNT = 12


def token_of(call: Call, grant: Grant) -> str:
    """A token of the grant, another one each time."""
    account, region, key_id, grant_id = grant[:4]
    key = call.part(Keys).account_key(call.tx, account)
    sealed = key.wrap(f"{region} {key_id} {grant_id}".encode(), _PURPOSE)
    return urlsafe_b64encode(account.encode() + sealed).decode()


def granted_by(call: Call, token: str) -> Grant:
    """The grant that the token names. Raises InvalidGrantTokenException for what is none of the Region's, and for a
    grant that is gone."""
    try:
        text = urlsafe_b64decode(token.encode("ascii"))
        account = text[:_ACCOUNT].decode("ascii")
    except ValueError:
        raise invalid_grant_token() from None
    # Only an account that has a key has grants: none is made for what a client has written there.
    known = len(account) == _ACCOUNT and account.isdigit()
    if not known or urlsafe_b64encode(text).decode() != token or not _has_keys(call, account):
        raise invalid_grant_token()
    try:
        key = call.part(Keys).account_key(call.tx, account)
        region, key_id, grant_id = key.unwrap(text[_ACCOUNT:], _PURPOSE).decode().split(" ")
    except Tampered:
        raise invalid_grant_token() from None
    grant = None
    if region == call.region:
        grant = call.part(Keys).grants.find(call.tx, (account, region, key_id), grant_id)
    if grant is None:
        raise invalid_grant_token()
    return grant


def _has_keys(call: Call, account: str) -> bool:
    return call.tx.one("SELECT 1 FROM kms_keys WHERE account = ? LIMIT 1", (account,)) is not None


def check_tokens(call: Call, request: Mapping[str, Any]) -> None:
    """Raises InvalidGrantTokenException unless all GrantTokens are good."""
    for token in request.get("GrantTokens") or ():
        granted_by(call, token)
