"""kill -9 while events are put and sent: every one that was acknowledged comes to its target, and none is left."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

from acting_support import ACCOUNT, REGION, document
from botocore.exceptions import BotoCoreError, ClientError
from events_support import access_key, bus_arn, seed
from server_support import Server, running_server

from casemate.server.composition import open_data
from casemate.server.config import Config
from casemate.services.events.buses import Buses
from casemate.services.events.outbox import Outbox

PATTERN = '{"source": ["com.shop"]}'


def prepare(server: Server) -> None:
    """A rule that puts events on a second bus, where they are archived."""
    iam, client = (server.client(service, access_key("admin")) for service in ("iam", "events"))
    trust = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sts:AssumeRole"}
    role = iam.create_role(RoleName="forwarder", AssumeRolePolicyDocument=document(trust))["Role"]["Arn"]
    allow = {"Effect": "Allow", "Action": "events:PutEvents", "Resource": "*"}
    iam.put_role_policy(RoleName="forwarder", PolicyName="own", PolicyDocument=document(allow))
    client.create_event_bus(Name="second")
    client.create_archive(ArchiveName="kept", EventSourceArn=bus_arn("second"))
    client.put_rule(Name="r", EventPattern=PATTERN)
    client.put_targets(Rule="r", Targets=[{"Id": "1", "Arn": bus_arn("second"), "RoleArn": role}])


def load(server: Server, acknowledged: list[str]) -> None:
    """Put events until the server is gone."""
    client = server.client("events", access_key("admin"))
    entry = {"Source": "com.shop", "DetailType": "t", "Detail": "{}"}
    try:
        while True:
            answer = client.put_events(Entries=[entry] * 3)
            acknowledged += [each["EventId"] for each in answer["Entries"]]
    except (BotoCoreError, ClientError):
        return


def test_what_was_acknowledged_is_sent_after_a_kill(tmp_path: Path) -> None:
    (tmp_path / "seed.json").write_text(json.dumps(seed()))
    options = ("--dev", "--seed", str(tmp_path / "seed.json"))
    acknowledged: list[str] = []
    for number in range(2):
        with running_server(tmp_path, *options) as server:
            if number == 0:
                prepare(server)
            threads = [threading.Thread(target=load, args=(server, acknowledged)) for _ in range(2)]
            for thread in threads:
                thread.start()
            before = len(acknowledged)
            while len(acknowledged) < before + 60 and all(thread.is_alive() for thread in threads):
                threads[0].join(0.01)
            server.kill()
            for thread in threads:
                thread.join()
    with running_server(tmp_path, *options) as server:
        client = server.client("events", access_key("admin"))
        for _ in range(2_000):
            if client.describe_archive(ArchiveName="kept")["EventCount"] >= len(acknowledged):
                break
        server.stop()
    sent = archived(tmp_path / "data")
    assert len(acknowledged) >= 120
    assert set(acknowledged) <= set(sent), "an event that was acknowledged is lost"
    assert len(sent) == len(set(sent)), "a bus has an event twice"


def archived(data: Path) -> list[str]:
    """The ids of the events in the archive; there must be none left to be sent."""
    opened = open_data(Config(data=data, dev=True))
    try:
        assert opened.store.read(lambda tx: tx.all("SELECT id FROM events_outbox")) == []
        outbox = Outbox(Buses(opened.store, opened.keyring), opened.keyring)

        def find(tx: Any) -> list[str]:
            rows = outbox.archived(tx, ACCOUNT, REGION, "kept", after=(0.0, ""), until=1e12, most=1_000_000)
            return [event["id"] for _, _, event in rows]

        return opened.store.read(find)
    finally:
        opened.close()
