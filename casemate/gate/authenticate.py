"""Step 3: who calls. The signature says which access key it claims; the directory has the secret to check it."""

from __future__ import annotations

import hmac
import time
from collections.abc import Mapping
from typing import Any

from casemate.gate.auth_errors import auth_error, shown
from casemate.gate.body import Signed
from casemate.gate.call import Call
from casemate.gate.claim import (
    ALGORITHM,
    SIGNATURE_SIZE,
    Claim,
    Presigned,
    Scope,
    parse_credential,
    read_claim,
    read_date,
    remembered,
)
from casemate.gate.identity import ANONYMOUS, Credential, Directory, Identity, unknown_caller
from casemate.gate.regions import regions
from casemate.gate.router import Route
from casemate.gate.signature import (
    Proven,
    body_hash,
    check_body,
    check_scope,
    payload_of,
    proven,
    signing_key,
    verify,
)

_MEMO_KEPT = 16
_Kept = tuple[Route, Scope, Credential, Proven]


def authenticate(call: Call, route: Route, directory: Directory) -> bool:
    """Check the request's signature and put the caller into the call. False: the request is not signed.

    Raises AWS's refusal for everything that is wrong with a signature, and Miss when the access key is not in
    memory and may not be fetched here. Until all checks have passed, the caller is unknown; the access key that
    they claim is only kept for the audit. A body that has not come yet is checked while it is read (``Call.body``).
    """
    exchange = call.exchange
    memo = exchange.memo
    if memo is not None and _like_before(call, route, directory, memo):
        return True
    headers = exchange.headers
    family = route.family
    claim = read_claim(exchange.method, exchange.query, headers, family)
    if claim is None:
        return False
    scope = claim.scope
    signed: Signed | None = None
    try:
        if scope.service_checked != route.signing_name:
            check_scope(claim, family, route.signing_name, regions())
            scope.service_checked = route.signing_name
        credential = _credential(call, route, directory, scope.access_key_id, claim.session_token)
        if family == "s3":
            payload = payload_of(claim, family, headers)
            last_line = payload.declared or b""
            if payload.kind == "hash" and call.body_is_held:
                check_body(family, payload, body_hash(exchange.body))
            signed = Signed(payload, claim, credential.secret, family)
        else:
            last_line = body_hash(exchange.body)
            if b"x-amz-content-sha256" in headers or claim.presigned is not None:
                payload = payload_of(claim, family, headers)
                check_body(family, payload, last_line)
                last_line = payload.declared or last_line
        verify(
            claim,
            credential.secret,
            family,
            exchange.method,
            exchange.path,
            exchange.query,
            headers,
            last_line,
            time.time(),
        )
    except Exception:
        call.identity = unknown_caller(scope.access_key_id)
        raise
    identity = call.identity = credential.identity
    account = call.account = identity.account
    region = call.region = route.region or scope.region
    if signed is not None:
        call.signed = signed
    elif memo is not None:
        _keep(memo, call, route, claim, credential)
    directory.used(credential.user, account, call.now, route.signing_name, region)
    return True


def _like_before(call: Call, route: Route, directory: Directory, memo: dict[bytes, Any]) -> bool:
    """The straight way for a request that is like one before it but for its payload. False where anything is not as
    it was: then the general way says what is wrong, if anything is."""
    exchange = call.exchange
    headers = exchange.headers
    authorization = headers[b"authorization"]
    kept: _Kept | None = memo.get(authorization[:-SIGNATURE_SIZE])
    if kept is None:
        return False
    of_route, scope, credential, proof = kept
    # The directory has another object as soon as anything has changed that credentials rest on.
    if of_route is not route or directory.credential(scope.access_key_id, call.transaction) is not credential:
        return False
    if not proof.proves(authorization[-SIGNATURE_SIZE:], headers, exchange.body, time.time()):
        return False
    identity = call.identity = credential.identity
    account = call.account = identity.account
    region = call.region = route.region or scope.region
    directory.used(credential.user, account, call.now, route.signing_name, region)
    return True


def _keep(memo: dict[bytes, Any], call: Call, route: Route, claim: Claim, credential: Credential) -> None:
    """Remember a request whose signature was verified."""
    exchange, scope = call.exchange, claim.scope
    prefix = exchange.headers[b"authorization"][:-SIGNATURE_SIZE]
    if remembered(prefix) is not scope:
        # The signature does not stand last.
        return
    method, path, query, headers = exchange.method, exchange.path, exchange.query, exchange.headers
    proof = proven(claim, credential.secret, method, path, query, headers)
    if proof is not None:
        if len(memo) >= _MEMO_KEPT:
            memo.clear()
        memo[prefix] = (route, scope, credential, proof)


def authenticate_form(call: Call, route: Route, fields: Mapping[str, str]) -> Identity:
    """Who signed a browser's form: fields by name in lower case, policy and x-amz-* among them. Raises AWS's refusal,
    and Miss. Source: "Authenticating Requests in Browser-Based Uploads Using POST"."""
    directory, family = call.gate.directory, route.family
    algorithm = fields["x-amz-algorithm"].encode()
    if algorithm != ALGORITHM:
        raise auth_error(family, "unsupported-algorithm", presigned=True, algorithm=shown(algorithm))
    scope = Scope(parse_credential(fields["x-amz-credential"].encode(), family, presigned=True), b"host")
    timestamp, epoch = read_date(fields["x-amz-date"].encode(), family, presigned=True)
    token, signature = fields.get("x-amz-security-token"), fields["x-amz-signature"].encode()
    claim = Claim(scope, signature, timestamp, epoch, token, None, Presigned(None, []))
    try:
        check_scope(claim, family, route.signing_name, regions())
        credential = _credential(call, route, directory, scope.access_key_id, token)
        if not timestamp.startswith(scope.day):
            raise auth_error(
                family,
                "scope-date",
                presigned=True,
                scope_date=scope.date,
                day=timestamp[:8].decode(),
                date=timestamp.decode(),
            )
        policy = fields["policy"].encode()
        if not hmac.compare_digest(signing_key(scope, credential.secret).sign(policy), signature):
            raise auth_error(
                family,
                "signature-mismatch",
                AWSAccessKeyId=scope.access_key_id,
                StringToSign=fields["policy"],
                SignatureProvided=shown(signature),
            )
    except Exception:
        call.identity = unknown_caller(scope.access_key_id)
        raise
    call.region = scope.region
    directory.used(credential.user, credential.identity.account, call.now, route.signing_name, call.region)
    return credential.identity


def admit_anonymous(call: Call, route: Route) -> None:
    """An unsigned request, where policies may allow it: S3's. Raises AwsError for all others."""
    if route.family != "s3":
        raise auth_error(route.family, "missing-token")
    payload = payload_of(None, route.family, call.exchange.headers)
    if payload.kind == "hash" and call.body_is_held:
        check_body(route.family, payload, body_hash(call.exchange.body))
    call.signed = Signed(payload, None, "", route.family)
    call.identity = ANONYMOUS


def _credential(
    call: Call, route: Route, directory: Directory, access_key_id: str, token: str | None
) -> Credential:
    """What a claim's access key is good for. Raises AwsError."""
    if token is not None:
        return _of_session(call, route, directory, access_key_id, token)
    credential = directory.credential(access_key_id, call.transaction)
    if credential is None:
        raise auth_error(route.family, "unknown-key", AWSAccessKeyId=access_key_id)
    if not credential.active:
        raise auth_error(route.family, "inactive-key", AWSAccessKeyId=access_key_id)
    return credential


def _of_session(call: Call, route: Route, directory: Directory, access_key_id: str, token: str) -> Credential:
    """The temporary credentials that a request names by their token, which must be of its access key."""
    found = directory.session(token, call.transaction)
    if found is None or found.access_key_id != access_key_id or route.signing_name in found.barred:
        raise auth_error(route.family, "invalid-token")
    if found.expires <= call.now:
        raise auth_error(route.family, "expired-token")
    return found
