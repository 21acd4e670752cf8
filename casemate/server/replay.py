"""What a recorded call needed, and what the policies that stand now say to it.

The audit has who called, what for, with which parameters and from where; policies, tags and the like are those of
now. Nothing is carried out: only steps 6 and 7 of the way of a request are taken, in a read. What the audit does not
hold (blobs, hidden members, the claims of an identity provider's token) is not in the request that is looked at.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from casemate import wire
from casemate.api import kms as kms_api
from casemate.engine.envelope.errors import Tampered
from casemate.engine.policy import Considered, Decision, explain
from casemate.engine.session_token import Session
from casemate.errors import AwsError
from casemate.gate.authorise import decide, question_of
from casemate.gate.call import Call
from casemate.gate.conditions import lookup_for
from casemate.gate.http import Exchange, Tls
from casemate.gate.identity import Identity, session_of
from casemate.gate.operation import Operation, Served
from casemate.gate.resource import Resource
from casemate.gate.router import Router
from casemate.server.composition import APIS, Built
from casemate.store.cache import Miss
from casemate.store.database import Tx

Record = Mapping[str, Any]

GIVING = frozenset(
    {"AssumeRole", "AssumeRoleWithWebIdentity", "AssumeRoleWithSAML", "GetSessionToken", "GetFederationToken"}
)
"""The operations that give temporary credentials."""

REFUSED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"})
"""The error codes of a refusal by policies; some services give them for other reasons too."""


class Unknown(Exception):
    """A call that cannot be looked at again. The text says why."""


class Check(NamedTuple):
    """One permission that a call needs. considered: every statement of the policies that count."""

    action: str
    resource: Resource
    decision: Decision
    considered: list[Considered]


class Replayed(NamedTuple):
    """notes: what was not known of the call, and could make a difference."""

    checks: list[Check]
    notes: list[str]

    @property
    def allowed(self) -> bool:
        return all(check.decision.allowed for check in self.checks)


class _Recorded(Exchange):
    """The request that a record tells of. It has no answer."""

    __slots__ = ()

    def __init__(self, record: Record) -> None:
        tls = record.get("tlsDetails")
        self.method, self.path, self.query, self.body = "POST", b"/", b"", b""
        self.headers = {b"user-agent": str(record.get("userAgent", "")).encode("latin-1", "replace")}
        self.peer = str(record.get("sourceIPAddress", ""))
        self.tls = None if tls is None else Tls(tls["tlsVersion"], tls["cipherSuite"])
        self.replied = True

    def _never(self, *_: Any, **__: Any) -> Any:
        raise RuntimeError("a recorded call has no body to be read, and no answer")

    reply = read = start = write = finish = _never


class Replay:
    """Looks at recorded calls again. given: the records of calls that gave temporary credentials."""

    def __init__(self, built: Built, given: Iterable[Record]) -> None:
        self._built = built
        self._router = Router(APIS)
        self._operations = {
            (f"{api.signing_name}.amazonaws.com", operation.name): operation
            for api in APIS
            for operation in api.operations
        }
        self._protocols = {api.service: api.protocols[0] for api in APIS}
        self._given: dict[str, Record] = {}
        for record in given:
            credentials = (record.get("responseElements") or {}).get("credentials") or {}
            if credentials.get("accessKeyId"):
                self._given[credentials["accessKeyId"]] = record

    def look(self, record: Record, tx: Tx) -> Replayed:
        """What the call needed and what is said to it now. Raises Unknown."""
        operation = self._operations.get((record["eventSource"], record["eventName"]))
        if operation is None or operation.served is None:
            raise Unknown(f"{record['eventName']} is not an operation that is served")
        if record.get("requestParameters") is None and record.get("errorCode", "AccessDenied") not in REFUSED:
            raise Unknown(
                "it was refused before its parameters were read, hence before any policy was looked at"
            )
        notes: list[str] = []
        try:
            identity = self._caller(record, tx, notes)
        except Tampered as error:
            raise Unknown(str(error)) from None
        call = self._call(record, operation, identity, tx)
        needed = self._needed(call, operation.served, record)
        return Replayed([_check(call, action, resource) for action, resource in needed], notes)

    # --- who

    def _caller(self, record: Record, tx: Tx, notes: list[str]) -> Identity:
        who = record["userIdentity"]
        kind, key_id = who["type"], who.get("accessKeyId", "")
        found: Identity | None = None
        if kind == "Unknown":
            raise Unknown("the caller did not prove who they are, and no policy was looked at")
        if kind in ("WebIdentityUser", "SAMLUser"):
            raise Unknown("what the identity provider's token or assertion said is not recorded")
        if "sessionContext" in who:
            return self._of_session(record, tx, notes)
        credential = self._built.directory.credential(key_id, tx) if key_id else None
        if credential is not None and credential.identity.principal.arn == who["arn"]:
            return credential.identity
        if kind == "IAMUser":
            found = self._built.directory.user(who["accountId"], who["userName"], key_id, tx)
        if found is None or found.principal.id != who["principalId"]:
            raise Unknown(f"{who.get('arn', 'the caller')} is no more")
        return found

    def _of_session(self, record: Record, tx: Tx, notes: list[str]) -> Identity:
        who = record["userIdentity"]
        session = self._session(who)
        if session is not None:
            credential = self._built.directory.of_session(session, tx)
            if credential is None:
                raise Unknown(f"the role or user of {who['arn']} is no more")
            return credential.identity
        if who["type"] != "AssumedRole":
            raise Unknown("the call that gave these temporary credentials is not in the journal")
        issuer = who["sessionContext"]["sessionIssuer"]
        role = self._built.directory.role(issuer["accountId"], issuer["userName"], tx)
        if role is None or role.id != issuer["principalId"]:
            raise Unknown(f"the role {issuer['arn']} is no more")
        notes.append(
            "The call that gave this session is not in the journal: session policies and tags are not known."
        )
        began = _seconds(who["sessionContext"]["attributes"]["creationDate"])
        return session_of(role, who["arn"].rpartition("/")[2], who.get("accessKeyId", ""), began)

    def _session(self, who: Mapping[str, Any]) -> Session | None:
        """The session of temporary credentials, out of the record of the call that gave them."""
        giving = self._given.get(who.get("accessKeyId", ""))
        if giving is None:
            return None
        asked = giving["requestParameters"] or {}
        attributes = who["sessionContext"]["attributes"]
        issued = int(_seconds(attributes["creationDate"]))
        tags = {tag["key"]: tag["value"] for tag in asked.get("tags") or ()}
        before = None
        if "sessionContext" in giving["userIdentity"]:
            before = self._session(giving["userIdentity"])
        inherited = {} if before is None else {key: before.tags[key] for key in before.transitive}
        account, kind = who["accountId"], who["type"]
        issuer = who["sessionContext"].get("sessionIssuer") or who
        return Session(
            access_key_id=who["accessKeyId"],
            secret="",
            kind=_KINDS[kind],
            account=account,
            name=issuer.get("userName", ""),
            id="" if issuer["type"] == "Root" else issuer["principalId"],
            issued=issued,
            expires=issued,
            session=asked.get("roleSessionName") or asked.get("name") or "",
            policy=asked.get("policy"),
            policy_arns=tuple(each["arn"] for each in asked.get("policyArns") or ()),
            tags={**inherited, **tags},
            transitive=(*inherited, *(asked.get("transitiveTagKeys") or ())),
            source_identity=who["sessionContext"].get("sourceIdentity", ""),
            mfa=issued if attributes["mfaAuthenticated"] == "true" else None,
            provider=giving["userIdentity"].get("identityProvider", ""),
        )

    # --- what

    def _call(self, record: Record, operation: Operation[Any, Any], identity: Identity, tx: Tx) -> Call:
        now = _seconds(record["eventTime"])
        call = Call(self._built.gate, _Recorded(record), record["requestID"], time.perf_counter(), now)
        call.identity, call.account, call.region = identity, identity.account, record["awsRegion"]
        call.route, call.transaction = self._router.route_to(operation), tx
        codec = wire.codec(operation.service, operation.name, self._protocols[operation.service])
        call.request = codec.restore(record.get("requestParameters") or {})
        invoked = record["userIdentity"].get("invokedBy", "")
        call.via = (invoked.removesuffix(".amazonaws.com"),) if invoked else ()
        if call.request.get("TokenCode") is not None or call.request.get("SerialNumber") is not None:
            # A code is good for one time.
            call.request = {k: v for k, v in call.request.items() if k not in ("TokenCode", "SerialNumber")}
            call.second_factor = not record.get("errorCode")
        return call

    def _needed(self, call: Call, served: Served, record: Record) -> list[tuple[str, Resource]]:
        """The permissions, each with its resource."""
        try:
            target = served.resolver(call, call.request)
            resources = [target if need.of is None else need.of(target) for need in served.needs]
        except (AwsError, KeyError, Miss):
            # What names the resource is a blob, which the audit does not have; but it has the resource.
            recorded = [each for each in record.get("resources") or () if each["type"] == "AWS::KMS::Key"]
            describe = kms_api.DescribeKey.served
            if len(recorded) != len(served.needs) or describe is None:
                raise Unknown("what it acted on is not recorded") from None
            resources = [describe.resolver(call, {**call.request, "KeyId": each["ARN"]}) for each in recorded]
        return [
            (need.action, resource)
            for need, resource in zip(served.needs, resources, strict=True)
            if resource is not None
        ]


def _check(call: Call, action: str, resource: Resource) -> Check:
    decision = decide(call, action, resource, call.request)
    question = question_of(call, action, resource)
    considered = [] if question is None else explain(question, lookup_for(call, resource, call.request))
    return Check(action, resource, decision, considered)


_KINDS: Mapping[str, Any] = {
    "AssumedRole": "role",
    "IAMUser": "user",
    "Root": "root",
    "FederatedUser": "federated-user",
}


def _seconds(iso: str) -> float:
    return datetime.fromisoformat(iso).timestamp()
