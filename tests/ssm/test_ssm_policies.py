"""Parameter policies: what they may be, and what becomes of parameters with time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ssm_support import ACCOUNT, REGION, Ssm, arn, refused

from casemate.engine.envelope.hierarchy import RootKey
from casemate.gate.announcing import ServiceEvent
from casemate.gate.keyring import Keyring
from casemate.services.ssm.naming import Place
from casemate.services.ssm.parameter import Parameter
from casemate.services.ssm.parameters import Parameters
from casemate.services.ssm.policies import parsed
from casemate.services.ssm.policy_jobs import KIND, Enforcement, enforcer, plan
from casemate.services.ssm.rows import ADVANCED, Row, Version
from casemate.store.database import Store, Tx, open_store
from casemate.store.jobs import Jobs
from casemate.store.migrate import discover


def policy(kind: str, **attributes: str) -> dict[str, Any]:
    return {"Type": kind, "Version": "1.0", "Attributes": attributes}


def expiration(moment: datetime) -> dict[str, Any]:
    return policy("Expiration", Timestamp=moment.strftime("%Y-%m-%dT%H:%M:%S.000Z"))


FAR = policy("Expiration", Timestamp="2090-12-02T21:34:33.000Z")
NOTICE = policy("ExpirationNotification", Before="15", Unit="Days")
NO_CHANGE = policy("NoChangeNotification", After="20", Unit="Days")


def put(ssm: Ssm, name: str, *policies: Any, **more: Any) -> Any:
    return ssm.put(name, Tier="Advanced", Policies=json.dumps(list(policies)), **more)


def described(ssm: Ssm, name: str) -> Any:
    listed = ssm.of().describe_parameters(ParameterFilters=[{"Key": "Name", "Values": [name]}])["Parameters"]
    return listed[0] if listed else None


def statuses(ssm: Ssm, name: str) -> dict[str, str]:
    return {each["PolicyType"]: each["PolicyStatus"] for each in described(ssm, name)["Policies"]}


@pytest.mark.parametrize(
    ("policies", "code"),
    [
        ([policy("Rotation", Days="1")], "InvalidPolicyTypeException"),
        ([{"Version": "1.0"}], "InvalidPolicyTypeException"),
        ([{**FAR, "Version": "2.0"}], "InvalidPolicyAttributeException"),
        ([{**FAR, "More": "x"}], "InvalidPolicyAttributeException"),
        ([policy("Expiration", Timestamp="tomorrow")], "InvalidPolicyAttributeException"),
        ([policy("Expiration", Timestamp="2090-13-02T21:34:33.000Z")], "InvalidPolicyAttributeException"),
        ([policy("Expiration", Timestamp="2020-12-02T21:34:33.000Z")], "InvalidPolicyAttributeException"),
        ([policy("Expiration", Before="1", Unit="Days")], "InvalidPolicyAttributeException"),
        ([policy("NoChangeNotification", After="20", Unit="Weeks")], "InvalidPolicyAttributeException"),
        ([policy("NoChangeNotification", After="-1", Unit="Days")], "InvalidPolicyAttributeException"),
        ([policy("NoChangeNotification", After="0", Unit="Days")], "InvalidPolicyAttributeException"),
        (
            [{"Type": "NoChangeNotification", "Version": "1.0", "Attributes": {"After": 20, "Unit": "Days"}}],
            "InvalidPolicyAttributeException",
        ),
        ("no list", "InvalidPolicyAttributeException"),
        ([1], "InvalidPolicyAttributeException"),
        ([NOTICE], "IncompatiblePolicyException"),
        ([FAR, policy("Expiration", Timestamp="2091-12-02T21:34:33.000Z")], "IncompatiblePolicyException"),
        ([NO_CHANGE, NO_CHANGE], "IncompatiblePolicyException"),
        (
            [policy("NoChangeNotification", After=str(days), Unit="Days") for days in range(1, 12)],
            "PoliciesLimitExceededException",
        ),
    ],
)
def test_policies_that_are_none(ssm: Ssm, policies: Any, code: str) -> None:
    with refused(code):
        ssm.put("/policies/bad", Tier="Advanced", Policies=json.dumps(policies))
    assert described(ssm, "/policies/bad") is None


def test_what_is_no_json(ssm: Ssm) -> None:
    with refused("InvalidPolicyAttributeException", "The policies must be a JSON array."):
        ssm.put("/policies/bad", Tier="Advanced", Policies="{")


def test_policies_are_shown_kept_replaced_and_removed(ssm: Ssm) -> None:
    name = "/policies/shown"
    put(ssm, name, FAR, NOTICE, NO_CHANGE)
    shown = described(ssm, name)["Policies"]
    assert [json.loads(each["PolicyText"]) for each in shown] == [FAR, NOTICE, NO_CHANGE]
    assert {each["PolicyStatus"] for each in shown} == {"Pending"}
    ssm.put(name, "newer", Overwrite=True)
    assert set(statuses(ssm, name)) == {"Expiration", "ExpirationNotification", "NoChangeNotification"}
    put(ssm, name, NO_CHANGE, Overwrite=True)
    assert set(statuses(ssm, name)) == {"NoChangeNotification"}
    put(ssm, name, {}, Overwrite=True)
    assert statuses(ssm, name) == {}
    history = ssm.of().get_parameter_history(Name=name)["Parameters"]
    assert [len(each["Policies"]) for each in history] == [3, 3, 1, 0]
    offset = policy("Expiration", Timestamp="2090-11-01T22:13:48.87+10:30:00")
    put(ssm, name, offset, Overwrite=True)


def test_parameters_expire(timed: Ssm) -> None:
    now = datetime.fromtimestamp(timed.now(), UTC)
    put(timed, "/expires/soon", expiration(now + timedelta(days=2)))
    put(timed, "/expires/later", expiration(now + timedelta(days=30)), NO_CHANGE)
    put(timed, "/expires/not", expiration(now + timedelta(days=2)))
    put(timed, "/expires/not", {}, Overwrite=True)
    timed.advance("3d")
    assert described(timed, "/expires/soon") is None
    with refused("ParameterNotFound"):
        timed.of().get_parameter(Name="/expires/soon")
    assert statuses(timed, "/expires/later") == {
        "Expiration": "Pending",
        "NoChangeNotification": "Pending",
    }
    assert described(timed, "/expires/not")
    events = [each for each in timed.all_events("DeleteParameter") if each["eventType"] == "AwsServiceEvent"]
    assert arn("/expires/soon") in [each["resources"][0]["ARN"] for each in events]
    timed.advance("18d")
    assert statuses(timed, "/expires/later")["NoChangeNotification"] == "Finished"
    timed.of().put_parameter(Name="/expires/later", Value="changed", Overwrite=True)
    assert statuses(timed, "/expires/later")["NoChangeNotification"] == "Pending"
    timed.advance("10d")
    assert described(timed, "/expires/later") is None
    assert timed.put("/expires/later")["Version"] == 1


# --- what is told, without a server


class Listener:
    """EventBridge's place."""

    def __init__(self) -> None:
        self.events: list[ServiceEvent] = []

    def announce(self, tx: Tx, event: ServiceEvent) -> None:
        self.events.append(event)


class Clock:
    def __init__(self) -> None:
        self.moment = 1_800_000_000.0

    def now(self) -> float:
        return self.moment


@contextmanager
def opened(tmp_path: Path) -> Iterator[Store]:
    store = open_store(
        f"sqlite://{tmp_path}/x.db", migrations=[discover("casemate.gate"), discover("casemate.services.ssm")]
    )
    try:
        yield store
    finally:
        store.close()


def test_what_policies_do_is_told(tmp_path: Path) -> None:
    listener, clock, expired = Listener(), Clock(), list[Parameter]()
    with opened(tmp_path) as store:
        parameters = Parameters(store, Keyring(RootKey.generate()))
        place = Place(ACCOUNT, REGION, "/told")
        ends = datetime.fromtimestamp(clock.now(), UTC) + timedelta(days=30)
        policies = parsed(json.dumps([expiration(ends), NOTICE, NO_CHANGE]), clock.now())

        def make(tx: Tx) -> None:
            version = Version(1, clock.now(), "arn:x", "String", "value", ADVANCED, policies=policies)
            row = Row(place, "/told", 1, policies=policies)
            parameters.put(tx, row, version, None)
            plan(tx, row)

        store.write(make)
        jobs = Jobs(
            store,
            clock,
            {KIND: enforcer(Enforcement(store, parameters, clock, listener, expired.append, lambda: True))},
        )
        told = []
        for day in range(31):
            assert jobs.run_due() == (1 if day in (15, 20, 30) else 0), day
            told += [(day, event.detail_type, event.detail.get("policy-type")) for event in listener.events]
            listener.events.clear()
            clock.moment += 86_400
        assert store.read(lambda tx: parameters.load(tx, place)) is None
    assert told == [
        (15, "Parameter Store Policy Action", "ExpirationNotification"),
        (20, "Parameter Store Policy Action", "NoChangeNotification"),
        (30, "Parameter Store Policy Action", "Expiration"),
        (30, "Parameter Store Change", None),
    ]
    assert [each.arn for each in expired] == [place.arn]


def test_nothing_expires_while_it_cannot_be_audited(tmp_path: Path) -> None:
    clock = Clock()
    with opened(tmp_path) as store:
        parameters = Parameters(store, Keyring(RootKey.generate()))
        place = Place(ACCOUNT, REGION, "/kept")
        ends = datetime.fromtimestamp(clock.now(), UTC) + timedelta(days=1)
        policies = parsed(json.dumps([expiration(ends)]), clock.now())

        def make(tx: Tx) -> None:
            row = Row(place, "/kept", 1, policies=policies)
            parameters.put(tx, row, Version(1, clock.now(), "arn:x", "String", "value", ADVANCED), None)
            plan(tx, row)

        store.write(make)
        enforcement = Enforcement(store, parameters, clock, Listener(), lambda _: None, lambda: False)
        clock.moment += 2 * 86_400
        assert Jobs(store, clock, {KIND: enforcer(enforcement)}).run_due() == 1
        assert store.read(lambda tx: parameters.load(tx, place)) is not None
