"""Changes of parameters, as EventBridge's archives take them up."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from ssm_support import ACCOUNT, REGION, Ssm, arn


def watch(ssm: Ssm, name: str, kind: str, detail: Mapping[str, Any]) -> None:
    """Have an archive take up events of a kind with these details."""
    pattern = {
        "source": ["aws.ssm"],
        "detail-type": [kind],
        "resources": [arn(detail.get("name") or detail["parameter-name"])],
        "detail": {key: [value] for key, value in detail.items()},
    }
    ssm.of(service="events").create_archive(
        ArchiveName=name,
        EventSourceArn=f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/default",
        EventPattern=json.dumps(pattern),
    )


def count(ssm: Ssm, name: str, wanted: int) -> int:
    """How many an archive has, once there are so many."""
    end = time.monotonic() + 20
    while True:
        found: int = ssm.of(service="events").describe_archive(ArchiveName=name)["EventCount"]
        if found >= wanted or time.monotonic() > end:
            return found
        time.sleep(0.02)


def test_changes_are_events(timed: Ssm) -> None:
    about = {"name": "/told/one", "type": "SecureString", "description": "of the database"}
    operations = ("Create", "Update", "LabelParameterVersion", "Delete")
    for operation in operations:
        watch(timed, f"ssm-{operation}", "Parameter Store Change", {"operation": operation, **about})
    timed.put("/told/one", "hunter2", Type="SecureString", Description="of the database")
    for value in ("hunter3", "hunter4"):
        timed.put("/told/one", value, Type="SecureString", Overwrite=True)
    timed.of().label_parameter_version(Name="/told/one", Labels=["prod"])
    timed.of().delete_parameters(Names=["/told/one", "/told/none"])
    assert [count(timed, f"ssm-{operation}", 1 + (operation == "Update")) for operation in operations] == [
        1,
        2,
        1,
        1,
    ]


def test_what_policies_do_is_events(timed: Ssm) -> None:
    expires = datetime.fromtimestamp(timed.now(), UTC) + timedelta(days=20)
    stamp = expires.strftime("%Y-%m-%dT%H:%M:%SZ")
    policies = [
        {"Type": "Expiration", "Version": "1.0", "Attributes": {"Timestamp": stamp}},
        {"Type": "ExpirationNotification", "Version": "1.0", "Attributes": {"Before": "10", "Unit": "Days"}},
    ]
    for each in policies:
        detail = {
            "parameter-name": "/told/policy",
            "parameter-type": "String",
            "policy-type": each["Type"],
            "policy-content": json.dumps(each, separators=(",", ":")),
            "action-status": "Success",
        }
        watch(timed, f"ssm-{each['Type']}", "Parameter Store Policy Action", detail)
    watch(timed, "ssm-gone", "Parameter Store Change", {"operation": "Delete", "name": "/told/policy"})
    timed.put("/told/policy", Tier="Advanced", Policies=json.dumps(policies))
    timed.advance("11d")
    assert count(timed, "ssm-ExpirationNotification", 1) == 1
    assert count(timed, "ssm-Expiration", 0) == 0
    timed.advance("10d")
    assert [count(timed, f"ssm-{kind}", 1) for kind in ("ExpirationNotification", "Expiration", "gone")] == [
        1,
        1,
        1,
    ]
