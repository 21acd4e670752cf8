"""A server for EventBridge's tests and clients of it; and a gate in this process with toy targets."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from acting_support import ACCOUNT, REGION, Household, document, household_in
from botocore.loaders import Loader
from botocore.model import ServiceModel
from server_support import Server
from server_support import refused as refused

from casemate.api import events
from casemate.engine.policy import Policy, parse
from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.gate.operation import Api, Operation
from casemate.gate.resource import Resource
from casemate.server import composition
from casemate.services.iam.identities import AccessKey

OTHER_ACCOUNT = "444455556666"

ALL = {"Effect": "Allow", "Action": "*", "Resource": "*"}


def bus_arn(name: str, account: str = ACCOUNT) -> str:
    return f"arn:aws:events:{REGION}:{account}:event-bus/{name}"


def rule_arn(name: str, account: str = ACCOUNT) -> str:
    return f"arn:aws:events:{REGION}:{account}:rule/{name}"


def queue_arn(name: str) -> str:
    return f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"


# --- a server


def access_key(user: str) -> AccessKey:
    return AccessKey(f"AKIATEST{user.upper():X<12}", f"secret-of-{user}-0123456789")


def seed() -> dict[str, Any]:
    """In two accounts an administrator each; and users with less."""
    people: Mapping[str, tuple[str, list[Any]]] = {
        "admin": (ACCOUNT, [ALL]),
        "nobody": (ACCOUNT, []),
        "stranger": (OTHER_ACCOUNT, [ALL]),
        "putter": (ACCOUNT, [{"Effect": "Allow", "Action": "events:PutEvents", "Resource": "*"}]),
        "picky": (
            ACCOUNT,
            [
                {
                    "Effect": "Allow",
                    "Action": ["events:PutEvents", "events:PutRule"],
                    "Resource": "*",
                    "Condition": {"StringEquals": {"events:source": "com.mine"}},
                },
                {
                    "Effect": "Allow",
                    "Action": "events:PutTargets",
                    "Resource": "*",
                    "Condition": {"ArnLike": {"events:TargetArn": bus_arn("allowed")}},
                },
                {"Effect": "Allow", "Action": "events:TagResource", "Resource": "*"},
            ],
        ),
        "unpassing": (
            ACCOUNT,
            [{"Effect": "Allow", "Action": "events:*", "Resource": "*"}],
        ),
    }
    accounts: dict[str, Any] = {
        account: {"id": account, "name": account, "users": []} for account in (ACCOUNT, OTHER_ACCOUNT)
    }
    for name, (account, statements) in people.items():
        key = access_key(name)
        accounts[account]["users"].append(
            {
                "name": name,
                "inline_policies": {"own": document(*statements)} if statements else {},
                "access_keys": [{"id": key.id, "secret": key.secret}],
            }
        )
    return {"accounts": list(accounts.values())}


class Events:
    """A running server's EventBridge, as its users see it."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.role = self._role()

    def of(self, user: str = "admin", service: str = "events", region: str = REGION) -> Any:
        return self.server.client(service, access_key(user), region=region)

    def _role(self) -> str:
        """A role by which rules put events on any bus."""
        iam = self.of(service="iam")
        trust = {
            "Effect": "Allow",
            "Principal": {"Service": "events.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
        arn: str = iam.create_role(RoleName="forwarder", AssumeRolePolicyDocument=document(trust))["Role"][
            "Arn"
        ]
        allow = {"Effect": "Allow", "Action": "events:PutEvents", "Resource": "*"}
        iam.put_role_policy(RoleName="forwarder", PolicyName="own", PolicyDocument=document(allow))
        return arn


# --- in this process, with toy queues and functions


class Toys:
    """Queues and functions that keep what they are given. policies: by ARN, of those that there are; failing: what
    SendMessage raises, by queue."""

    def __init__(self) -> None:
        self.messages: dict[str, list[dict[str, Any]]] = {}
        self.invoked: list[bytes] = []
        self.policies: dict[str, Policy] = {}
        self.failing: dict[str, AwsError] = {}
        send = Operation[Any, Any]("sqs", "SendMessage")
        invoke = Operation[Any, Any]("lambda", "Invoke")

        @send.writes(self._queue)
        def send_message(call: Call, req: Any, queue: Resource) -> Any:
            name = queue.arn.rpartition(":")[2]
            if name in self.failing:
                raise self.failing[name]
            self.messages.setdefault(name, []).append({**req, "by": call.identity.principal.arn})
            return {"MessageId": "1", "MD5OfMessageBody": "0" * 32}

        @invoke.writes(self._function)
        def invoke_function(call: Call, req: Any, function: Resource) -> Any:
            self.invoked.append(req["Payload"])
            return {"StatusCode": 202}

        self.apis = (_api("sqs", send), _api("lambda", invoke))

    def _of(self, arn: str) -> Resource:
        missing = None if arn in self.policies else AwsError("QueueDoesNotExist", "There is no such queue.")
        return Resource(arn, ACCOUNT, policy=self.policies.get(arn), missing=missing)

    def _queue(self, call: Call, req: Mapping[str, Any]) -> Resource:
        return self._of(queue_arn(req["QueueUrl"].rpartition("/")[2]))

    def _function(self, call: Call, req: Mapping[str, Any]) -> Resource:
        return self._of(req["FunctionName"])

    def queue(self, name: str, **condition: Any) -> str:
        """A queue that lets EventBridge send; its ARN."""
        return self._allow(queue_arn(name), "sqs:SendMessage", condition)

    def function(self, name: str) -> str:
        return self._allow(f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}", "lambda:Invoke", {})

    def _allow(self, arn: str, action: str, condition: Mapping[str, Any]) -> str:
        allow = {
            "Effect": "Allow",
            "Principal": {"Service": "events.amazonaws.com"},
            "Action": action,
            "Resource": arn,
            **({"Condition": condition} if condition else {}),
        }
        self.policies[arn] = parse(document(allow), "resource")
        return arn

    def bodies(self, name: str) -> list[Any]:
        """What a queue holds, read as JSON."""
        return [json.loads(message["MessageBody"]) for message in self.messages.get(name, ())]


def _api(service: str, operation: Operation[Any, Any]) -> Api:
    loader = Loader([Loader.BUILTIN_DATA_PATH], include_default_search_paths=False)
    model = ServiceModel(loader.load_service_model(service, "service-2"), service)
    return Api(
        service=service,
        signing_name=model.signing_name,
        target_prefix=str(model.metadata.get("targetPrefix", "")),
        version=str(model.api_version),
        protocols=tuple(model.metadata.get("protocols") or [model.metadata["protocol"]]),
        operations=(operation,),
    )


class EventsHouse:
    """A household with toy targets, whose events are sent when the test says so."""

    def __init__(self, house: Household, toys: Toys) -> None:
        self.house = house
        self.toys = toys

    def ask(self, operation: Operation[Any, Any], **request: Any) -> Any:
        return self.house.by_admin(lambda call: operation.ask(call, request))

    def rule(self, name: str, pattern: Any, *targets: Mapping[str, Any], **more: Any) -> str:
        """A rule with targets; its ARN."""
        arn: str = self.ask(events.PutRule, Name=name, EventPattern=json.dumps(pattern), **more)["RuleArn"]
        if targets:
            bus = {name: more[name] for name in ("EventBusName",) if name in more}
            self.ask(events.PutTargets, Rule=name, Targets=list(targets), **bus)
        return arn

    def put(self, detail: Any, source: str = "com.shop", kind: str = "Order Placed", **more: Any) -> str:
        """PutEvents of one event; its id."""
        entry = {"Source": source, "DetailType": kind, "Detail": json.dumps(detail), **more}
        (answer,) = self.ask(events.PutEvents, Entries=[entry])["Entries"]
        event_id: str = answer["EventId"]
        return event_id

    def send(self) -> int:
        """Send all that waits and is due; how many events and retries that were."""
        sent = 0
        while done := self.house.worker.dispatcher.run_once():
            sent += done
        return sent

    def count(self, table: str) -> int:
        row = self.house.gate.store.read(lambda tx: tx.one(f"SELECT COUNT(*) FROM {table}"))
        assert row is not None
        return int(row[0])


@contextmanager
def events_house_in(
    folder: Path, clock: Callable[[], float] | None = None, database: str = ""
) -> Iterator[EventsHouse]:
    toys = Toys()
    apis = tuple(api for api in composition.APIS if api.service not in ("sqs", "lambda"))
    with patch.object(composition, "APIS", (*apis, *toys.apis)), household_in(folder, database) as house:
        if clock is not None:
            house.worker.opened.clock.now = clock  # type: ignore[method-assign]
        yield EventsHouse(house, toys)
