"""A gate over a real store and a real journal, with toy operations on the wire formats of services that Casemate
does not serve, and an event loop that the test turns by hand."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.loaders import Loader
from botocore.model import ServiceModel

from casemate.api import kms as kms_api
from casemate.clock import SystemClock
from casemate.engine.authorization_message import AuthorizationMessages
from casemate.engine.envelope.hierarchy import RootKey
from casemate.engine.policy import Attached, Policy, Principal, parse, principal_keys
from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.gate.cors import Cors
from casemate.gate.gate import Gate
from casemate.gate.http import Exchange, Tls
from casemate.gate.identity import Credential, Identity, OidcIssuer, RoleEntry, SessionCredential
from casemate.gate.keyring import Keyring
from casemate.gate.operation import Api, Operation
from casemate.gate.organization import NoOrganizations, Oversight
from casemate.gate.resource import Resource
from casemate.gate.throttle import Throttle
from casemate.server.journal_cipher import JournalCipher
from casemate.services import kms
from casemate.services.kms.grant_store import Grants
from casemate.services.kms.keys import Keys
from casemate.store.cache import Cache, Miss
from casemate.store.database import Store, Tx, open_store
from casemate.store.journal import Journal
from casemate.store.journal_reader import read_journal
from casemate.store.migrate import Migration, Migrations, discover

assert kms.__doc__, "importing the service attaches its handlers"

ACCOUNT, OTHER_ACCOUNT = "111122223333", "444455556666"
REGION = "us-east-1"
CLIENT_AGENT = "gate-test/1.0"
SOURCE = f"arn:aws:ssm:us-east-1:{ACCOUNT}:parameter/toy"
"""On whose behalf ssm asks KMS."""

SEALED = "the-plaintext-that-nobody-may-see"
"""A secret that must be found nowhere but in the reply."""

MESSAGES = AuthorizationMessages(RootKey(bytes(32)))
"""Opens what refusals of EC2's kind hold."""

_HANG_SECONDS = 20.0

_TABLE = Migration(
    1,
    "toys",
    "CREATE TABLE toys (account TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, writes INTEGER NOT NULL, "
    "PRIMARY KEY (account, name)) STRICT",
)


# --- who calls


class User(NamedTuple):
    name: str
    account: str
    policies: tuple[Mapping[str, Any], ...]
    active: bool = True

    @property
    def key_id(self) -> str:
        return f"AKIA{self.name.upper():X<16}"

    @property
    def secret(self) -> str:
        return f"the-secret-access-key-of-{self.name}"

    @property
    def arn(self) -> str:
        return f"arn:aws:iam::{self.account}:user/{self.name}"


def allow(*actions: str, effect: str = "Allow", resource: str = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": effect, "Action": list(actions), "Resource": resource, **more}


ALICE = User("alice", ACCOUNT, (allow("*"),))
BOB = User("bob", ACCOUNT, ())
CAROL = User("carol", OTHER_ACCOUNT, (allow("*"),))
RETIRED = User("retired", ACCOUNT, (allow("*"),), active=False)
VIA_ONLY = User(
    "viaonly",
    ACCOUNT,
    (
        allow("ssm:*"),
        allow("secretsmanager:*", Condition={"StringEquals": {"aws:CalledVia": "ssm.amazonaws.com"}}),
    ),
)
"""May use secrets only by way of ssm."""
ASKS_IN_VAIN = User("asksinvain", ACCOUNT, (allow("ssm:*"),))
"""May ask ssm, which then may not ask secretsmanager."""
USERS = (ALICE, BOB, CAROL, RETIRED, VIA_ONLY, ASKS_IN_VAIN)


def _identity(user: User) -> Identity:
    principal = Principal(kind="user", arn=user.arn, account=user.account, id=f"AIDA{user.name.upper():X<16}")
    policies = tuple(
        parse(json.dumps({"Version": "2012-10-17", "Statement": [statement]}), "identity")
        for statement in user.policies
    )
    known = {key: value for key, value in principal_keys(principal).items() if value is not None}
    audit = {
        "type": "IAMUser",
        "principalId": principal.id,
        "arn": user.arn,
        "accountId": user.account,
        "accessKeyId": user.key_id,
        "userName": user.name,
    }
    return Identity(principal, Attached(identity=policies), known, audit)


class ToyDirectory:
    """cold: as after a start, a key is in memory only once it was asked for with a transaction."""

    def __init__(self) -> None:
        self.cold = False
        self.uses: list[tuple[str, str, str, str]] = []
        self._all = {
            user.key_id: Credential(user.key_id, user.secret, user.active, _identity(user)) for user in USERS
        }
        self._warm: set[str] = set()

    def credential(self, access_key_id: str, tx: Tx | None) -> Credential | None:
        if tx is not None:
            self._warm.add(access_key_id)
        elif self.cold and access_key_id not in self._warm:
            raise Miss
        return self._all.get(access_key_id)

    def session(self, token: str, tx: Tx | None) -> SessionCredential | None:
        return None

    def role(self, account: str, name: str, tx: Tx | None) -> RoleEntry | None:
        return None

    def oidc_issuer(self, account: str, url: str, tx: Tx | None) -> OidcIssuer | None:
        return None

    def saml_metadata(self, account: str, arn: str, tx: Tx | None) -> str | None:
        return None

    def policy(self, account: str, arn: str, tx: Tx | None) -> Policy | None:
        return None

    def principal_ids(self, tx: Tx, policy: Policy) -> Mapping[str, str | None]:
        return {}

    def principal_names(self, tx: Tx, ids: Mapping[str, str]) -> Mapping[str, str]:
        return {}

    def root_features(self, tx: Tx, organization: Oversight) -> tuple[str, ...]:
        return ()

    def second_factor(self, tx: Tx, user: Principal, serial: str, code: str) -> bool:
        return False

    def used(self, user: str, account: str, now: float, service: str, region: str) -> None:
        self.uses.append((user, account, service, region))


# --- HTTP


class FakeExchange(Exchange):
    """Holds its reply for the test. The loop's thread is the one that made it."""

    __slots__ = ("answer", "memo", "thread")

    def __init__(
        self,
        method: str,
        path: bytes,
        query: bytes,
        headers: Mapping[bytes, bytes],
        body: bytes,
        tls: Tls | None = None,
    ) -> None:
        self.method = method
        self.path = path
        self.query = query
        self.headers = dict(headers)
        self.body = body
        self.peer = "192.0.2.7"
        self.tls = tls
        self.memo = None
        self.replied = False
        self.answer: Answer | None = None
        self.thread = threading.get_ident()

    def reply(self, status: int, head: bytes, body: bytes) -> None:
        assert threading.get_ident() == self.thread, "a reply from outside the event loop"
        if self.replied:
            raise RuntimeError("a second reply")
        self.replied = True
        headers: dict[str, str] = {}
        assert head == b"" or head.endswith(b"\r\n"), head
        for line in head.split(b"\r\n")[:-1]:
            name, colon, value = line.partition(b": ")
            assert colon, line
            headers[name.decode("ascii").lower()] = value.decode("latin-1")
        self.answer = Answer(status, headers, body)

    def read(self) -> AsyncIterator[bytes]:
        raise AssertionError("no body is a stream here")

    async def start(self, status: int, head: bytes, length: int | None) -> None:
        raise AssertionError("no answer is a stream here")

    async def write(self, data: bytes | memoryview) -> None:
        raise AssertionError("no answer is a stream here")

    async def finish(self) -> None:
        raise AssertionError("no answer is a stream here")


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The error's code of a JSON answer, '' of a success."""
        return "" if self.status == 200 else str(self.json["__type"]).rpartition("#")[2]

    @property
    def message(self) -> str:
        found = self.json
        return str(found.get("message", found.get("Message", "")))

    @property
    def request_id(self) -> str:
        return self.headers["x-amzn-requestid"]


def request(
    url: str = "http://localhost:4566/",
    *,
    method: str = "POST",
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    user: User | None = ALICE,
    secret: str | None = None,
    service: str = "secretsmanager",
    region: str = REGION,
    token: str | None = None,
    tls: Tls | None = None,
) -> FakeExchange:
    """A request as botocore signs it now; unsigned without a user."""
    asked = AWSRequest(method, url, headers={"User-Agent": CLIENT_AGENT, **(headers or {})}, data=body)
    if user is not None:
        credentials = Credentials(user.key_id, secret or user.secret, token)
        SigV4Auth(credentials, service, region).add_auth(asked)
    parts = urlsplit(url)
    sent = {b"host": parts.netloc.encode()}
    for name, value in asked.headers.items():
        sent[name.lower().encode()] = value if isinstance(value, bytes) else value.encode()
    return FakeExchange(method, parts.path.encode(), parts.query.encode(), sent, body, tls)


def json_request(
    target: str,
    parameters: Mapping[str, Any] | bytes,
    *,
    more_headers: Mapping[str, str] | None = None,
    **options: Any,
) -> FakeExchange:
    """target: 'secretsmanager.GetSecretValue'. parameters: bytes are sent as they are."""
    body = parameters if isinstance(parameters, bytes) else json.dumps(parameters).encode()
    prefix, _, name = target.partition(".")
    options.setdefault("service", {"TrentService": "kms", "AmazonSSM": "ssm"}.get(prefix, prefix))
    return request(
        body=body,
        headers={
            "X-Amz-Target": f"{prefix}.{name}",
            "Content-Type": "application/x-amz-json-1.1",
            **(more_headers or {}),
        },
        **options,
    )


def form(**fields: str) -> bytes:
    return urlencode(fields).encode()


# --- the toy services


@cache
def _empty_api(service: str) -> Api:
    loader = Loader([Loader.BUILTIN_DATA_PATH], include_default_search_paths=False)
    model = ServiceModel(loader.load_service_model(service, "service-2"), service)
    return Api(
        service=service,
        signing_name=model.signing_name,
        target_prefix=str(model.metadata.get("targetPrefix", "")),
        version=str(model.api_version),
        protocols=tuple(model.metadata.get("protocols") or [model.metadata["protocol"]]),
        operations=(),
    )


def _api(service: str, *operations: Operation[Any, Any]) -> Api:
    return _empty_api(service)._replace(operations=operations)


class Toy(Resource):
    """value: what the toy holds; '' of one that is absent."""

    __slots__ = ("value",)
    value: str


def secret_arn(name: str, account: str = ACCOUNT) -> str:
    return f"arn:aws:secretsmanager:{REGION}:{account}:secret:{name}"


def _of_value(call: Call, req: Any, toy: Toy) -> list[tuple[str, str]]:
    """What counts for the toy's value, once here and twice in another Region."""
    return [(f"Of{toy.value}", call.region), *[(f"Of{toy.value}", "eu-west-1")] * 2]


class Toys:
    """The toy services over one store: ``secretsmanager`` keeps values, ``ssm`` asks it and kms, others answer
    without state, each in its protocol. Every call of a handler is noted in ``ran``."""

    def __init__(self, store: Store) -> None:
        self.ran: list[str] = []
        self.repeat_writes = False
        """Writes behave as on a database where the first run of a transaction meets a conflict."""
        self.shared_policy: Policy | None = parse(
            json.dumps(
                {
                    "Version": "2012-10-17",
                    "Statement": [
                        {
                            "Effect": "Allow",
                            "Principal": {"AWS": OTHER_ACCOUNT},
                            "Action": "secretsmanager:*",
                            "Resource": "*",
                        }
                    ],
                }
            ),
            "resource",
        )
        self.cache: Cache[tuple[str, str], str | None] = Cache(store, "toy", _load)
        get = Operation[Any, Any]("secretsmanager", "GetSecretValue")
        put = Operation[Any, Any]("secretsmanager", "PutSecretValue")
        delete = Operation[Any, Any]("secretsmanager", "DeleteSecret")
        rotate = Operation[Any, Any]("secretsmanager", "RotateSecret")
        listing = Operation[Any, Any]("secretsmanager", "ListSecrets")
        random = Operation[Any, Any]("secretsmanager", "GetRandomPassword")
        describe = Operation[Any, Any]("secretsmanager", "DescribeSecret")
        get_parameter = Operation[Any, Any]("ssm", "GetParameter")
        put_parameter = Operation[Any, Any]("ssm", "PutParameter")
        get_parameters = Operation[Any, Any]("ssm", "GetParameters")
        history = Operation[Any, Any]("ssm", "GetParameterHistory")
        restore = Operation[Any, Any]("secretsmanager", "RestoreSecret")
        restore_parameter = Operation[Any, Any]("ssm", "LabelParameterVersion")
        policy = Operation[Any, Any]("secretsmanager", "GetResourcePolicy")
        versions = Operation[Any, Any]("secretsmanager", "ListSecretVersionIds")
        tag = Operation[Any, Any]("secretsmanager", "TagResource")
        replicas = Operation[Any, Any]("secretsmanager", "StopReplicationToReplica")

        @get.reads(self.secret)
        def get_secret_value(call: Call, req: Any, toy: Toy) -> Any:
            self.ran.append("GetSecretValue")
            return {"ARN": toy.arn, "Name": toy.arn.rpartition(":")[2], "SecretString": toy.value}

        @put.writes(self.any_secret)
        def put_secret_value(call: Call, req: Any, toy: Toy) -> Any:
            self.ran.append("PutSecretValue")
            _store(call, call.account, req["SecretId"], req["SecretString"])
            return {"ARN": toy.arn, "Name": req["SecretId"], "VersionId": "1" * 32}

        @delete.writes(self.any_secret)
        def delete_secret(call: Call, req: Any, toy: Toy) -> Any:
            self.ran.append("DeleteSecret")
            _store(call, call.account, req["SecretId"], "half done")
            raise RuntimeError(f"a defect, and its text holds {SEALED}")

        @rotate.writes(self.any_secret)
        def rotate_secret(call: Call, req: Any, toy: Toy) -> Any:
            self.ran.append("RotateSecret")
            _store(call, call.account, req["SecretId"], "half done")
            return {"NotInTheModel": SEALED}

        @listing.reads(account_wide)
        def list_secrets(call: Call, req: Any, everything: Resource) -> Any:
            self.ran.append("ListSecrets")
            raise ValueError(f"a defect, and its text holds {SEALED}")

        @random.reads(account_wide, always_allowed=True, quota="Random")
        def get_random_password(call: Call, req: Any, everything: Resource) -> Any:
            self.ran.append("GetRandomPassword")
            return {"RandomPassword": SEALED}

        @get_parameter.reads(parameter)
        def read_parameter(call: Call, req: Any, target: Resource) -> Any:
            self.ran.append("GetParameter")
            found = get.ask(call, {"SecretId": req["Name"]}, via="ssm")
            return {"Parameter": {"Name": req["Name"], "Value": found["SecretString"]}}

        @put_parameter.writes(parameter)
        def write_parameter(call: Call, req: Any, target: Resource) -> Any:
            self.ran.append("PutParameter")
            _store(call, call.account, f"parameter {req['Name']}", "x")
            put.ask(call, {"SecretId": req["Name"], "SecretString": req["Value"]}, via="ssm")
            if req.get("Description") == "fail late":
                raise AwsError("ParameterLimitExceeded", "Too many toys.")
            return {"Version": 1, "Tier": "Standard"}

        @get_parameters.reads(account_wide)
        def seal_by_kms(call: Call, req: Any, target: Resource) -> Any:
            kms_api.Encrypt.ask(
                call, {"KeyId": req["Names"][0], "Plaintext": SEALED.encode()}, via="ssm", source_arn=SOURCE
            )
            return {"InvalidParameters": ["sealed"]}

        @history.reads(account_wide)
        def ask_what_is_not_served(call: Call, req: Any, target: Resource) -> Any:
            describe.ask(call, {"SecretId": req["Name"]}, via="ssm")
            return {}

        def first(call: Call, name: str) -> str:
            """What a slow thing gives, which is done before the request's transaction."""

            def do() -> str:
                self.ran.append("before")
                if name == "fails":
                    raise AwsError("LimitExceededException", "It cannot be done.")
                return str(store.write(lambda tx: tx.run("UPDATE toys SET writes = writes + 100", ())))

            return call.before(name, do)

        @restore.writes(self.any_secret)
        def write_after(call: Call, req: Any, toy: Toy) -> Any:
            self.ran.append("RestoreSecret")
            _store(call, call.account, "begun", "x")
            _store(call, call.account, req["SecretId"], first(call, req["SecretId"]))
            return {"ARN": toy.arn, "Name": req["SecretId"]}

        @versions.reads(self.secret, quota=_of_value)
        def list_secret_version_ids(call: Call, req: Any, toy: Toy) -> Any:
            self.ran.append("ListSecretVersionIds")
            return {"Name": toy.arn.rpartition(":")[2]}

        @tag.writes(self.secret, quota=_of_value)
        def tag_resource(call: Call, req: Any, toy: Toy) -> Any:
            self.ran.append("TagResource")
            return {}

        @restore_parameter.writes(parameter)
        def ask_write_after(call: Call, req: Any, target: Resource) -> Any:
            restore.ask(call, {"SecretId": req["Name"]}, via="ssm")
            return {"ParameterVersion": 1}

        @replicas.reads(self.any_secret, near=True)
        def read_rows(call: Call, req: Any, toy: Toy) -> Any:
            """Of "slow", what must not be done in the event loop."""
            self.ran.append("StopReplicationToReplica")
            if req["SecretId"] == "slow":
                first(call, "slow")
            found = call.tx.one("SELECT value FROM toys WHERE name = ?", (req["SecretId"],))
            if found is None:
                raise AwsError(
                    "ResourceNotFoundException", "Secrets Manager can't find the specified secret."
                )
            return {"ARN": str(found[0])}

        @policy.reads(self.secret)
        def read_after(call: Call, req: Any, toy: Toy) -> Any:
            self.ran.append("GetResourcePolicy")
            return {"ResourcePolicy": first(call, req["SecretId"]) + first(call, "another")}

        def static(service: str, name: str, answer: Mapping[str, Any]) -> Operation[Any, Any]:
            operation = Operation[Any, Any](service, name)

            @operation.reads(account_wide)
            def handler(call: Call, req: Any, target: Resource) -> Any:
                self.ran.append(name)
                return answer

            return operation

        self.apis = (
            _api(
                "secretsmanager",
                get,
                put,
                delete,
                rotate,
                listing,
                random,
                describe,
                restore,
                policy,
                versions,
                tag,
                replicas,
            ),
            _api("ssm", get_parameter, put_parameter, get_parameters, history, restore_parameter),
            _api("cloudwatch", static("cloudwatch", "ListDashboards", {"DashboardEntries": []})),
            _api(
                "sns", static("sns", "ListTopics", {"Topics": []}), Operation[Any, Any]("sns", "CreateTopic")
            ),
            _api("ec2", static("ec2", "DescribeRegions", {"Regions": []})),
            _api("guardduty", static("guardduty", "ListDetectors", {"DetectorIds": ["d1"]})),
            _api(
                "route53",
                static(
                    "route53",
                    "ListHostedZones",
                    {"HostedZones": [], "Marker": "", "IsTruncated": False, "MaxItems": "100"},
                ),
            ),
            kms_api.API,
        )

    def secret(self, call: Call, req: Mapping[str, Any]) -> Toy:
        """By name in the caller's account, or by ARN; absent ones are for whoever is allowed to know."""
        account, name = _named(call, req["SecretId"])
        value = call.fetch(self.cache, (account, name))
        missing = None
        if value is None:
            missing = AwsError(
                "ResourceNotFoundException", "Secrets Manager can't find the specified secret."
            )
        toy = Toy(
            secret_arn(name, account),
            account,
            policy=self.shared_policy if name.startswith("shared") and value is not None else None,
            type="AWS::SecretsManager::Secret",
            missing=missing,
        )
        toy.value = value or ""
        return toy

    def any_secret(self, call: Call, req: Mapping[str, Any]) -> Toy:
        """One to be written, whether there is one or not."""
        account, name = _named(call, req["SecretId"])
        toy = Toy(
            secret_arn(name, account),
            account,
            policy=self.shared_policy if name.startswith("shared") else None,
            type="AWS::SecretsManager::Secret",
        )
        toy.value = ""
        return toy


def _named(call: Call, text: str) -> tuple[str, str]:
    if text.startswith("arn:"):
        parts = text.split(":")
        return parts[4], parts[-1]
    return call.account, text


def account_wide(call: Call, req: Mapping[str, Any]) -> Resource:
    return Resource("*", call.account)


def parameter(call: Call, req: Mapping[str, Any]) -> Resource:
    return Resource(f"arn:aws:ssm:{call.region}:{call.account}:parameter/{req['Name']}", call.account)


def _store(call: Call, account: str, name: str, value: str) -> None:
    call.tx.run(
        "INSERT INTO toys (account, name, value, writes) VALUES (?, ?, ?, 1) "
        "ON CONFLICT (account, name) DO UPDATE SET value = excluded.value, writes = toys.writes + 1",
        (account, name, value),
    )
    call.tx.bump("toy")


def _load(tx: Tx, key: tuple[str, str]) -> str | None:
    row = tx.one("SELECT value FROM toys WHERE account = ? AND name = ?", key)
    return None if row is None else str(row[0])


class RepeatingStore:
    """A store whose writes run twice. As after a conflict, only the second run is committed; or (first_counts) as
    after a commit whose answer was lost: the second run meets the first one's mark, and the first one counts."""

    def __init__(self, store: Store, first_counts: bool) -> None:
        self._store = store
        self._first_counts = first_counts

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def submit(
        self,
        fn: Callable[[Tx], Any],
        done: Callable[[Any, BaseException | None], None],
        request_id: str | None = None,
        *,
        near: bool = False,
    ) -> None:
        def twice(tx: Tx) -> Any:
            class Undo(Exception):
                pass

            first = fn(tx) if self._first_counts else None
            try:
                with tx.savepoint():
                    fn(tx)
                    raise Undo
            except Undo:
                return first if self._first_counts else fn(tx)

        self._store.submit(twice, done, request_id, near=near)


# --- the rig


class Rig:
    """The gate with everything it stands on. ``ask`` sends a request and turns the loop until it is answered."""

    def __init__(
        self,
        folder: Path,
        *,
        rates: Mapping[str, float] | None = None,
        cors: Cors | None = None,
        relaxed: bool = False,
        repeat_writes: bool = False,
        first_counts: bool = False,
    ) -> None:
        store = open_store(
            f"sqlite://{folder}/casemate.db",
            migrations=[
                Migrations("toys", (_TABLE,)),
                discover("casemate.gate"),
                discover("casemate.services.kms"),
            ],
        )
        self.store = store
        root = RootKey(bytes(range(32)))
        keys = Keys(store, Keyring(root))
        self._cipher = JournalCipher(root)
        self._journal_folder = folder / "journal"
        self._loop: SimpleQueue[tuple[Callable[..., object], tuple[Any, ...]]] = SimpleQueue()
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="gate-test")
        self.directory = ToyDirectory()
        self.journal: Journal[Any] = Journal(
            self._journal_folder,
            self._cipher,
            lambda batch, error: self._in_loop(self.gate.release, batch, error),
            worker="test",
            retry_seconds=0.05,
        )
        self.toys = Toys(store)
        self.waited = 0
        """How often a request went on in a thread that may wait."""
        used: Any = RepeatingStore(store, first_counts) if repeat_writes else store
        self.gate = Gate(
            self.toys.apis,
            directory=self.directory,
            organizations=NoOrganizations(),
            store=used,
            journal=self.journal,
            clock=SystemClock(),
            throttle=Throttle(rates or {}),
            in_thread=self._in_thread,
            in_loop=self._in_loop,
            soon=self._in_loop,
            parts={AuthorizationMessages: MESSAGES, Keys: keys, Grants: keys.grants},
            cors=cors,
            relaxed=relaxed,
        )

    def close(self) -> None:
        self._threads.shutdown(wait=True)
        self.store.close()
        self.journal.close()

    def _in_loop(self, fn: Callable[..., object], *args: Any) -> None:
        self._loop.put((fn, args))

    def _in_thread(self, fn: Callable[..., object], *args: Any) -> object:
        self.waited += 1
        return self._threads.submit(fn, *args)

    def turn(self, until: Callable[[], bool], seconds: float = _HANG_SECONDS) -> bool:
        """Run what is to run in the event loop until the condition holds; False when it did not in time."""
        end = time.monotonic() + seconds
        while not until():
            try:
                fn, args = self._loop.get(timeout=min(0.05, max(0.0, end - time.monotonic())))
            except Empty:
                if time.monotonic() >= end:
                    return False
                continue
            fn(*args)
        return True

    def ask(self, exchange: FakeExchange) -> Answer:
        """The answer. Fails when there is none."""
        assert self.gate.accept(exchange) >= len(exchange.body)
        self.gate.handle(exchange)
        assert self.turn(lambda: exchange.replied), "the request hangs: nobody answered it"
        assert exchange.answer is not None
        return exchange.answer

    def json(self, target: str, parameters: Mapping[str, Any] | bytes, **options: Any) -> Answer:
        return self.ask(json_request(target, parameters, **options))

    def put(self, name: str, value: str = SEALED, user: User = ALICE) -> None:
        answer = self.json(
            "secretsmanager.PutSecretValue", {"SecretId": name, "SecretString": value}, user=user
        )
        assert answer.status == 200, answer

    def toy(self, name: str, account: str = ACCOUNT) -> str | None:
        return self.store.read(lambda tx: _load(tx, (account, name)))

    def raw_records(self) -> list[bytes]:
        return [record for _, record in read_journal(self._journal_folder, self._cipher)]

    def records(self) -> list[dict[str, Any]]:
        return [json.loads(record) for record in self.raw_records()]

    def records_of(self, answer: Answer) -> list[dict[str, Any]]:
        """Those of one request; after its reply they must be there."""
        return [record for record in self.records() if record["requestID"] == answer.request_id]


@contextmanager
def rig_in(folder: Path, **options: Any) -> Iterator[Rig]:
    rig = Rig(folder, **options)
    try:
        yield rig
    finally:
        rig.close()
