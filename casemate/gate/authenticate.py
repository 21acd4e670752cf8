"""Step 3: who calls. The signature says which access key it claims; the directory has the secret to check it."""

from __future__ import annotations

import time

from casemate.gate.auth_errors import auth_error
from casemate.gate.body import Signed
from casemate.gate.call import Call
from casemate.gate.claim import read_claim
from casemate.gate.identity import ANONYMOUS, Credential, Directory, unknown_caller
from casemate.gate.regions import regions
from casemate.gate.router import Route
from casemate.gate.signature import body_hash, check_body, check_scope, payload_of, verify


def authenticate(call: Call, route: Route, directory: Directory) -> bool:
    """Check the request's signature and put the caller into the call. False: the request is not signed.

    Raises AWS's refusal for everything that is wrong with a signature, and Miss when the access key is not in
    memory and may not be fetched here. Until all checks have passed, the caller is unknown; the access key that
    they claim is only kept for the audit. A body that has not come yet is checked while it is read (``Call.body``).
    """
    exchange = call.exchange
    headers = exchange.headers
    family = route.family
    claim = read_claim(exchange.method, exchange.query, headers, family)
    if claim is None:
        return False
    scope = claim.scope
    try:
        check_scope(claim, family, route.signing_name, regions())
        if claim.session_token is None:
            credential = directory.credential(scope.access_key_id, call.transaction)
            if credential is None:
                raise auth_error(family, "unknown-key", AWSAccessKeyId=scope.access_key_id)
            if not credential.active:
                raise auth_error(family, "inactive-key", AWSAccessKeyId=scope.access_key_id)
        else:
            credential = _of_session(call, route, directory, scope.access_key_id, claim.session_token)
        payload = payload_of(claim, family, headers)
        computed = b""
        if family == "s3":
            if payload.kind == "hash" and call.body_is_held:
                check_body(family, payload, body_hash(exchange.body))
        else:
            computed = body_hash(exchange.body)
            check_body(family, payload, computed)
        verify(
            claim,
            credential.secret,
            family,
            exchange.method,
            exchange.path,
            exchange.query,
            headers,
            payload.declared or computed,
            time.time(),
        )
    except Exception:
        call.identity = unknown_caller(scope.access_key_id)
        raise
    call.identity = credential.identity
    call.account = credential.identity.account
    call.region = route.region or scope.region
    if family == "s3":
        call.signed = Signed(payload, claim, credential.secret, family)
    directory.used(credential.user, call.account, call.now, route.signing_name, call.region)
    return True


def admit_anonymous(call: Call, route: Route) -> None:
    """An unsigned request, where policies may allow it: S3's. Raises AwsError for all others."""
    if route.family != "s3":
        raise auth_error(route.family, "missing-token")
    payload = payload_of(None, route.family, call.exchange.headers)
    if payload.kind == "hash" and call.body_is_held:
        check_body(route.family, payload, body_hash(call.exchange.body))
    call.signed = Signed(payload, None, "", route.family)
    call.identity = ANONYMOUS


def _of_session(call: Call, route: Route, directory: Directory, access_key_id: str, token: str) -> Credential:
    """The temporary credentials that a request names by their token, which must be of its access key."""
    found = directory.session(token, call.transaction)
    if found is None or found.access_key_id != access_key_id or route.signing_name in found.barred:
        raise auth_error(route.family, "invalid-token")
    if found.expires <= call.now:
        raise auth_error(route.family, "expired-token")
    return found
