"""Log groups: CreateLogGroup, DeleteLogGroup, DescribeLogGroups, ListLogGroups, retention and protection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from casemate.api import logs
from casemate.errors import AwsError
from casemate.gate.markers import read_marker, write_marker
from casemate.gate.operation import Need
from casemate.services.logs import retention
from casemate.services.logs.encryption import checked_key
from casemate.services.logs.groups import AccountWide, Group, GroupRow, Groups
from casemate.services.logs.naming import group_arn
from casemate.services.logs.quotas import GROUPS, must_be_within
from casemate.services.logs.refusals import bad_token, invalid
from casemate.services.logs.tags import checked_tags
from casemate.services.logs.targets import (
    NewGroup,
    account_wide,
    identified_group,
    named_group,
    new_group,
    wildcard_arn,
)

if TYPE_CHECKING:
    from casemate.gate.call import Call
    from casemate.store.database import Tx

_RETENTION = frozenset(
    (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653)
)
_CLASSES = frozenset(("STANDARD", "INFREQUENT_ACCESS"))


@logs.CreateLogGroup.writes(
    new_group,
    Need("logs:CreateLogGroup"),
    Need("logs:TagResource", lambda new: new.tagged),
)
def create_log_group(
    call: Call, req: logs.CreateLogGroupRequest, group: NewGroup
) -> logs.CreateLogGroupResponse:
    """Make a group."""
    if req["logGroupName"].lower().startswith("aws/"):
        raise invalid("Log groups starting with AWS/ are reserved for AWS.")
    of_class = req.get("logGroupClass", "STANDARD")
    if of_class not in _CLASSES:
        raise invalid(f"Log groups of the class {of_class} are not supported.")
    settings: dict[str, Any] = {}
    if of_class != "STANDARD":
        settings["class"] = of_class
    tags = req.get("tags")
    if tags:
        settings["tags"] = checked_tags(tags)
    if req.get("deletionProtectionEnabled"):
        settings["protected"] = True
    groups = call.part(Groups)
    must_be_within(call, GROUPS, groups.count(call.tx, call.account, call.region) + 1, "log groups")
    made = groups.create(call.tx, group.row.place, int(call.now * 1000), settings)
    if made is None:
        raise AwsError("ResourceAlreadyExistsException", "The specified log group already exists")
    if "kmsKeyId" in req:
        groups.configure(call.tx, made, kms_key=checked_key(call, made, req["kmsKeyId"]))
    return {}


@logs.DeleteLogGroup.writes(named_group)
def delete_log_group(
    call: Call, req: logs.DeleteLogGroupRequest, group: Group
) -> logs.DeleteLogGroupResponse:
    """Remove a group with its streams and events. The events' rows go by and by; nobody finds them any more."""
    if group.setting("protected"):
        raise invalid("The log group is protected from deletion.")
    call.part(Groups).delete(call.tx, group.row)
    retention.cancel(call.tx, group.row)
    retention.schedule_removal(call.tx, group.row, call.now)
    return {}


@logs.PutLogGroupDeletionProtection.writes(identified_group)
def put_log_group_deletion_protection(
    call: Call, req: logs.PutLogGroupDeletionProtectionRequest, group: Group
) -> logs.PutLogGroupDeletionProtectionResponse:
    """Protect a group from being deleted, or no longer."""
    call.part(Groups).configure(call.tx, group.row, protected=req["deletionProtectionEnabled"] or None)
    return {}


@logs.PutRetentionPolicy.writes(named_group)
def put_retention_policy(
    call: Call, req: logs.PutRetentionPolicyRequest, group: Group
) -> logs.PutRetentionPolicyResponse:
    """Let events expire after so many days."""
    days = req["retentionInDays"]
    if days not in _RETENTION:
        raise invalid(f"Invalid retentionInDays value: {days}")
    call.part(Groups).configure(call.tx, group.row, retention=days)
    retention.schedule(call.tx, group.row, call.now)
    return {}


@logs.DeleteRetentionPolicy.writes(named_group)
def delete_retention_policy(
    call: Call, req: logs.DeleteRetentionPolicyRequest, group: Group
) -> logs.DeleteRetentionPolicyResponse:
    """Keep events for ever."""
    call.part(Groups).configure(call.tx, group.row, retention=None)
    retention.cancel(call.tx, group.row)
    return {}


@logs.DescribeLogGroups.reads(account_wide)
def describe_log_groups(
    call: Call, req: logs.DescribeLogGroupsRequest, target: AccountWide
) -> logs.DescribeLogGroupsResponse:
    """The account's groups by name."""
    if req.get("includeLinkedAccounts") or req.get("accountIdentifiers"):
        raise invalid("Cross-account observability is not supported.")
    prefix, pattern = req.get("logGroupNamePrefix"), req.get("logGroupNamePattern")
    if prefix is not None and pattern is not None:
        raise invalid("Cannot specify both logGroupNamePrefix and logGroupNamePattern.")
    found, more = _page(
        call,
        "DescribeLogGroups",
        req.get("nextToken"),
        req.get("limit", 50),
        prefix or "",
        (pattern or "").lower(),
        req.get("logGroupClass"),
    )
    return {"logGroups": [_described(call.tx, row) for row in found], **more}  # type: ignore[typeddict-item]


@logs.ListLogGroups.reads(account_wide)
def list_log_groups(
    call: Call, req: logs.ListLogGroupsRequest, target: AccountWide
) -> logs.ListLogGroupsResponse:
    """The account's groups by name, without what they hold."""
    if req.get("includeLinkedAccounts") or req.get("accountIdentifiers") or req.get("dataSources"):
        raise invalid("Only groups of the account itself are listed, of all data sources.")
    pattern = req.get("logGroupNamePattern", "")
    # "^" asks for a beginning.
    prefix, within = (pattern[1:], "") if pattern.startswith("^") else ("", pattern.lower())
    found, more = _page(
        call,
        "ListLogGroups",
        req.get("nextToken"),
        req.get("limit", 50),
        prefix,
        within,
        req.get("logGroupClass"),
    )
    shown: list[logs.LogGroupSummary] = [
        {
            "logGroupName": row.name,
            "logGroupArn": group_arn(*row.place),
            "logGroupClass": row.settings.get("class", "STANDARD"),
        }
        for row in found
    ]
    return {"logGroups": shown, **more}  # type: ignore[typeddict-item]


def _page(
    call: Call, operation: str, token: str | None, limit: int, prefix: str, within: str, of_class: str | None
) -> tuple[list[GroupRow], dict[str, Any]]:
    """Groups whose names begin with the prefix and hold the text, in whatever case; and the member that tells of
    more."""
    after = "" if token is None else read_marker(operation, token)
    if after is None:
        raise bad_token()
    groups, found = call.part(Groups), list[GroupRow]()
    while len(found) <= limit:
        rows = groups.after(call.tx, call.account, call.region, after, prefix, limit + 1)
        found += [
            row
            for row in rows
            if within in row.name.lower()
            and (of_class is None or row.settings.get("class", "STANDARD") == of_class)
        ]
        if len(rows) <= limit:
            break
        after = rows[-1].name
    if len(found) <= limit:
        return found, {}
    shown = found[:limit]
    return shown, {"nextToken": write_marker(operation, shown[-1].name)}


def _described(tx: Tx, row: GroupRow) -> logs.LogGroup:
    stored = tx.one("SELECT coalesce(SUM(stored), 0) FROM logs_streams WHERE group_id = ?", (row.id,))
    assert stored is not None
    shown: logs.LogGroup = {
        "logGroupName": row.name,
        "creationTime": row.created,
        "metricFilterCount": len(row.settings.get("metric_filters", ())),
        "arn": wildcard_arn(row),
        "storedBytes": int(stored[0]),
        "logGroupClass": row.settings.get("class", "STANDARD"),
        "logGroupArn": group_arn(*row.place),
        "deletionProtectionEnabled": bool(row.settings.get("protected")),
    }
    if "retention" in row.settings:
        shown["retentionInDays"] = row.settings["retention"]
    if "kms_key" in row.settings:
        shown["kmsKeyId"] = row.settings["kms_key"]
    return shown
