"""What EventBridge sends by HTTP: events to API destinations, and requests for the tokens of OAuth.

In the transaction that takes an event, an attempt to give it to an API destination becomes a row; threads that wait
for nobody's transaction send it (casemate/gate/turns.py). What fails goes the way of all targets' failures. Source:
"API destinations as targets in Amazon EventBridge", which answers are tried again.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Mapping
from functools import partial
from http.client import HTTPException
from typing import Any, Final, NamedTuple

from casemate.api import secretsmanager
from casemate.engine.egress.exchange import Answer, exchange
from casemate.engine.egress.hosts import Hosts, Unreachable
from casemate.engine.envelope.errors import Tampered
from casemate.errors import AwsError
from casemate.gate import turns
from casemate.gate.acting import Actor, in_background, perform
from casemate.gate.call import Call
from casemate.gate.gate import Gate
from casemate.gate.regions import partition_of
from casemate.gate.turns import Senders
from casemate.services.events.authorization import OAUTH
from casemate.services.events.failures import Attempt, failed
from casemate.services.events.http_requests import Request, of_authorization, of_destination
from casemate.services.events.resources import called
from casemate.services.events.store import Place, Thing, Things
from casemate.store.database import Tx
from casemate.store.ids import new_id

log = logging.getLogger("casemate.events")

SERVICE: Final = "apidestinations.events.amazonaws.com"
_ROLE: Final = "AWSServiceRoleForAmazonEventBridgeApiDestinations"
TABLE: Final = "events_calls"
_PURPOSE: Final = "events call"
_INVOKE, _AUTHORISE = "invoke", "authorise"

_SECONDS: Final = 5.0
"""That an endpoint has for all of its answer."""
_KEPT: Final = 300.0
"""Seconds for which a secret is kept in memory."""
_MOST_KEPT: Final = 1_000
_LARGEST_TOKEN: Final = 64 * 1024
_EARLY: Final = 30.0
"""Seconds before its end from which on a token is not used."""
_RETRIED: Final = frozenset({401, 407, 408, 409, 429})
"""And all from 500 on."""


class Told(turns.Told):
    """Whether one of this process's transactions has put something there: ``call.part(Told)``."""


def role_of(account: str, region: str) -> str:
    """The service-linked role by which secrets are read."""
    return f"arn:{partition_of(region)}:iam::{account}:role/aws-service-role/{SERVICE}/{_ROLE}"


def put(base: Call, attempt: Attempt) -> None:
    """Let an API destination be sent an event, by and by."""
    sending = attempt.sending
    _put(base, sending.account, new_id(), [_INVOKE, attempt, 0.0], base.now)


def authorise(call: Call, connection: Thing) -> None:
    """Let it be found out whether a connection's authorization server gives it a token."""
    place, version = connection.place, connection.says["version"]
    _put(call, place.account, new_id(), [_AUTHORISE, place, version], call.now)


def _put(call: Call, account: str, row_id: str, what: list[Any], due: float) -> None:
    _store(call.tx, call.part(Things), account, row_id, what, due)
    call.committed(call.part(Told).event.set)


def _store(tx: Tx, things: Things, account: str, row_id: str, what: list[Any], due: float) -> None:
    sealed = things.keyring.account_key(account, tx).wrap(json.dumps(what).encode(), _PURPOSE, row_id)
    turns.put(tx, TABLE, row_id, account, due, sealed)


class _Token(NamedTuple):
    text: str
    until: float


class Caller(Senders):
    """One worker's threads that send by HTTP, and the secrets and tokens that they have."""

    def __init__(self, gate: Gate) -> None:
        super().__init__(gate, TABLE, gate.parts[Told], self._call)
        self._things: Things = gate.parts[Things]
        self._hosts: Hosts = gate.parts[Hosts]
        self._secrets: dict[tuple[str, str], tuple[Mapping[str, Any], float]] = {}
        self._tokens: dict[tuple[str, str], _Token] = {}
        self._kept = threading.Lock()

    def __repr__(self) -> str:
        return "<Caller>"

    def _call(self, row_id: str, account: str, sealed: bytes) -> None:
        gate = self._gate
        key = gate.store.read(lambda tx: self._things.keyring.account_key(account, tx))
        try:
            what, *of = json.loads(key.unwrap(sealed, _PURPOSE, row_id))
        except Tampered as error:
            log.error("a call of account %s is dropped: %s", account, error)
            gate.store.write(lambda tx: turns.remove(tx, TABLE, row_id))
            return
        if what == _AUTHORISE:
            self._authorise(row_id, Place(*of[0]), of[1])
        else:
            self._invoke(row_id, Attempt.read(row_id, of[0]), of[1])

    # --- events

    def _invoke(self, row_id: str, attempt: Attempt, turn: float) -> None:
        sending = attempt.sending
        error, wait = None, 0.0
        try:
            destination, connection = self._gate.store.read(
                lambda tx: found(tx, self._things, sending.target["Arn"])
            )
            if not self._arranged(row_id, attempt, destination, turn):
                return
            answer = self._sent(connection, partial(_request, attempt, destination, connection))
            error, wait = _refusal(answer)
            if answer.status in (401, 407):
                self._forget_token(connection)
        except AwsError as refusal:
            error = refusal
        if error is None:
            self._gate.store.write(lambda tx: turns.remove(tx, TABLE, row_id))
            return
        why = error

        def give_back(base: Call) -> None:
            turns.remove(base.tx, TABLE, row_id)
            failed(base, attempt, why, wait)

        in_background(self._gate, give_back)

    def _arranged(self, row_id: str, attempt: Attempt, destination: Thing, turn: float) -> bool:
        """Whether it may be now: so many a second at most are, each of which waits for its turn."""
        now, account = self._gate.clock.now(), attempt.sending.account
        if 0 < turn <= now:
            return True

        def arrange(tx: Tx) -> bool:
            turn = turns.turn(tx, "events_paces", account, destination.arn, destination.says["rate"], now)
            if turn <= now:
                return True
            _store(tx, self._things, account, row_id, [_INVOKE, attempt, turn], turn)
            return False

        return self._gate.store.write(arrange)

    def _sent(self, connection: Thing, request_of: Callable[[Mapping[str, Any], str], Request]) -> Answer:
        """What is answered to a request by a connection. Raises AwsError."""
        secret = self._secret(connection)
        token = self._token(connection, secret) if connection.says["kind"] == OAUTH else ""
        try:
            request = request_of(secret, token)
        except (ValueError, KeyError) as wrong:
            raise AwsError("ValidationException", f"The request cannot be sent: {wrong}.") from None
        return self._exchanged(request)

    def _exchanged(self, request: Request, largest: int = 0) -> Answer:
        method, url, headers, body = request
        try:
            return exchange(method, url, headers, body, hosts=self._hosts, seconds=_SECONDS, largest=largest)
        except Unreachable as error:
            code = "InvalidParameterValue" if error.forbidden else "ServiceUnavailable"
            raise AwsError(
                code, f"The endpoint cannot be reached: {error}.", 400 if error.forbidden else 503
            ) from None
        except (HTTPException, OSError, ValueError) as error:
            name = type(error).__name__
            raise AwsError("ServiceUnavailable", f"The endpoint cannot be reached: {name}.", 503) from None

    # --- what authorises

    def _secret(self, connection: Thing) -> Mapping[str, Any]:
        """The content of a connection's secret, read by the service-linked role. Raises AwsError."""
        says, place = connection.says, connection.place
        key, now = (connection.arn, says["version"]), self._gate.clock.now()
        with self._kept:
            kept = self._secrets.get(key)
        if kept is not None and 0 <= now - kept[1] < _KEPT:
            return kept[0]
        role = role_of(place.account, place.region)
        actor = Actor(SERVICE, place.account, place.region, connection.arn, role=role, session=place.name)
        answer = perform(
            self._gate,
            actor,
            lambda call: secretsmanager.GetSecretValue.ask(call, {"SecretId": says["secret"]}),
        )
        try:
            content = json.loads(answer.get("SecretString", ""))
        except ValueError:
            content = None
        if not isinstance(content, dict):
            raise AwsError("ValidationException", "The connection's secret is not what was put there.")
        with self._kept:
            _bound(self._secrets)
            self._secrets[key] = (content, now)
        return content

    def _token(self, connection: Thing, secret: Mapping[str, Any]) -> str:
        """A token for a connection by OAuth: one that is kept, or a new one. Raises AwsError."""
        key = (connection.arn, connection.says["version"])
        with self._kept:
            kept = self._tokens.get(key)
        now = self._gate.clock.now()
        if kept is not None and now < kept.until:
            return kept.text
        try:
            request = of_authorization(secret)
        except (ValueError, KeyError):
            raise AwsError("ValidationException", "The authorization request cannot be sent.") from None
        answer = self._exchanged(request, _LARGEST_TOKEN)
        token = _token_in(answer, now)
        with self._kept:
            _bound(self._tokens)
            self._tokens[key] = token
        return token.text

    def _forget_token(self, connection: Thing) -> None:
        with self._kept:
            self._tokens.pop((connection.arn, connection.says["version"]), None)

    def _authorise(self, row_id: str, place: Place, version: str) -> None:
        """Find out whether the authorization server gives a token, and say so of the connection."""
        connection = self._gate.store.read(lambda tx: self._things.find(tx, place))
        reason = ""
        if connection is not None and connection.says["version"] == version:
            try:
                self._token(connection, self._secret(connection))
            except AwsError as error:
                reason = error.message

        def note(tx: Tx) -> None:
            turns.remove(tx, TABLE, row_id)
            now = self._things.find(tx, place)
            if now is None or now.says["version"] != version or now.says["state"] != "AUTHORIZING":
                return
            state: dict[str, Any] = {"state": "DEAUTHORIZED", "reason": reason[:512]}
            if not reason:
                state = {"state": "AUTHORIZED", "reason": "", "authorized": self._gate.clock.now()}
            self._things.save(tx, now._replace(says={**now.says, **state}))

        self._gate.store.write(note)


def found(tx: Tx, things: Things, arn: str) -> tuple[Thing, Thing]:
    """An API destination and its connection, which may be used. Raises ResourceNotFoundException, and
    ConflictException for a connection that authorises nothing now."""
    destination = called(tx, things, arn)
    if destination is None or destination.thing is None:
        raise AwsError("ResourceNotFoundException", "The API destination does not exist.")
    connection = called(tx, things, destination.thing.says["connection"])
    if connection is None or connection.thing is None:
        raise AwsError("ResourceNotFoundException", "The API destination's connection does not exist.")
    if connection.thing.says["state"] != "AUTHORIZED":
        raise AwsError("ConflictException", "The API destination's connection is not authorized.", 409)
    return destination.thing, connection.thing


def _request(
    attempt: Attempt, destination: Thing, connection: Thing, secret: Mapping[str, Any], token: str
) -> Request:
    sending = attempt.sending
    return of_destination(
        destination.says["endpoint"],
        destination.says["method"],
        sending.target.get("HttpParameters", {}),
        sending.event,
        sending.text,
        connection.says["kind"],
        secret,
        token,
    )


def _refusal(answer: Answer) -> tuple[AwsError | None, float]:
    """The error that an answer is, if it is one; and how many seconds are to be waited."""
    status = answer.status
    if 200 <= status < 300:
        return None, 0.0
    message = f"The endpoint answered HTTP {status}."
    if status >= 500:
        error = AwsError("ServiceUnavailable", message, 503)
    elif status == 429:
        error = AwsError("ThrottlingException", message, 429)
    elif status in _RETRIED:
        error = AwsError("RequestFailed", message)
    else:
        error = AwsError("InvalidParameterValue", message)
    wait = answer.headers.get("retry-after", "")
    return error, float(wait) if wait.isascii() and wait.isdigit() and len(wait) < 7 else 0.0


def _token_in(answer: Answer, now: float) -> _Token:
    """The token of an authorization server's answer. Raises AwsError."""
    if not 200 <= answer.status < 300:
        raise AwsError("RequestFailed", f"The authorization endpoint answered HTTP {answer.status}.")
    try:
        document = json.loads(answer.body)
        text, seconds = document["access_token"], document.get("expires_in", _KEPT)
        if not isinstance(text, str) or not text.isprintable() or not text:
            raise TypeError
        seconds = float(seconds)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise AwsError("RequestFailed", "The authorization endpoint answered without a token.") from None
    return _Token(text, now + max(0.0, seconds - _EARLY))


def _bound(kept: dict[Any, Any]) -> None:
    if len(kept) >= _MOST_KEPT:
        kept.clear()
