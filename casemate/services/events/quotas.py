"""EventBridge's quotas, per account and Region. Source: "Amazon EventBridge quotas"."""

from __future__ import annotations

from casemate.gate.quotas import Quota, ServiceQuotas

RULES = Quota("events", "L-CM000501", "Rules", 300, description="Rules on one event bus.")
TARGETS = Quota("events", "L-CM000502", "Targets per rule", 5, description="Targets of one rule.")
BUSES = Quota("events", "L-CM000503", "Event buses", 100, description="Event buses besides the default one.")
REPLAYS = Quota(
    "events",
    "L-CM000504",
    "Concurrent replays",
    10,
    adjustable=False,
    description="Replays that run at a time.",
)
CONNECTIONS = Quota(
    "events", "L-CM000506", "Connections", 3_000, description="Connections to HTTP endpoints in this account."
)
DESTINATIONS = Quota(
    "events", "L-CM000507", "API destinations", 3_000, description="API destinations in this account."
)
POLICY = 10_240
"""Characters of a bus's policy."""

_LARGE_REGIONS = {"us-east-1": 10_000.0, "us-west-2": 10_000.0, "eu-west-1": 10_000.0}

QUOTAS = ServiceQuotas(
    "events",
    "Amazon EventBridge (CloudWatch Events)",
    (
        RULES,
        TARGETS,
        BUSES,
        REPLAYS,
        CONNECTIONS,
        DESTINATIONS,
        Quota(
            "events",
            "L-CM000505",
            "PutEvents throttle limit in transactions per second",
            600,
            by_region=_LARGE_REGIONS,
            counts="PutEvents",
            description="PutEvents a second.",
        ),
    ),
)
