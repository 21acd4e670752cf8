"""S3: buckets, who may use them, and objects. Importing it attaches its handlers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from casemate.services.s3 import (
    access_logs,
    acls,
    attributes,
    completing,
    control,
    control_points,
    copying,
    cors,
    creating,
    deleting,
    encryption,
    getting,
    inventory,
    lifecycle,
    listing,
    listing_objects,
    listing_uploads,
    multipart,
    notifications,
    object_tagging,
    ownership,
    policies,
    posting,
    public_access,
    putting,
    reencrypting,
    replication,
    request_payment,
    restoring,
    retention,
    tagging,
    unconfigured,
    versioning,
)
from casemate.services.s3.access_delivery import DELIVER_LOGS, deliverer
from casemate.services.s3.bodies import Bodies
from casemate.services.s3.buckets import Buckets
from casemate.services.s3.collecting import COLLECT, SWEEP, collector, sweeper
from casemate.services.s3.lifecycle_job import LIFECYCLE, applier
from casemate.services.s3.notices import NOTIFY, notifier
from casemate.services.s3.object_rows import Objects
from casemate.services.s3.restoring import RESTORE, restorer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from casemate.gate.gate import Gate
    from casemate.services.s3.resources import Bucket
    from casemate.store.jobs import Job

__all__ = [
    "access_logs",
    "acls",
    "attributes",
    "completing",
    "control",
    "control_points",
    "copying",
    "cors",
    "creating",
    "deleting",
    "encryption",
    "getting",
    "inventory",
    "jobs",
    "lifecycle",
    "listing",
    "listing_objects",
    "listing_uploads",
    "multipart",
    "notifications",
    "object_tagging",
    "ownership",
    "policies",
    "posting",
    "public_access",
    "putting",
    "reencrypting",
    "replication",
    "request_payment",
    "restoring",
    "retention",
    "tagging",
    "unconfigured",
    "versioning",
]


def jobs(gate: Gate) -> dict[str, Callable[[Job], None]]:
    """The handlers of S3's background jobs, by kind."""

    def record(bucket: Bucket, told: Mapping[str, Any]) -> None:
        gate.record_event(
            "s3.amazonaws.com", "ApplyLifecycleRules", bucket.account, bucket.region, bucket, told
        )

    buckets, objects = gate.parts[Buckets], gate.parts[Objects]
    bodies = gate.parts[Bodies]
    return {
        COLLECT: collector(gate.store, bodies, gate.clock),
        DELIVER_LOGS: deliverer(gate, buckets),
        LIFECYCLE: applier(
            gate.store, buckets, objects, gate.clock, record, lambda: gate.audits, gate.announcer
        ),
        NOTIFY: notifier(gate, buckets),
        RESTORE: restorer(gate.store, buckets, objects, gate.announcer),
        SWEEP: sweeper(gate.store, bodies),
    }
