"""``casemate explain``: why a call was allowed or refused."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from casemate.cli.journal import opened_data, printable, records
from casemate.cli.problems import CommandError

if TYPE_CHECKING:
    from casemate.server.replay import Check, Replayed

_LATEST = 5
"""So many later changes are named."""

_CHANGING = (
    "Grant",
    "Policy",
    "Policies",
    "Tag",
    "Role",
    "User",
    "Group",
    "Key",
    "Alias",
    "Account",
    "Provider",
)


def explain(options: argparse.Namespace) -> int:
    """Each statement that was considered, and what decided."""
    from casemate.server.composition import gate_at_rest
    from casemate.server.replay import GIVING, Replay, Unknown

    with opened_data(options) as opened:
        found: dict[str, Any] | None = None
        given: list[dict[str, Any]] = []
        later: list[dict[str, Any]] = []
        for record in records(opened):
            if record["eventName"] in GIVING and not record.get("errorCode"):
                given.append(record)
            if found is None and options.event in (record["eventID"], record["requestID"]):
                found = record
            elif found is not None and _may_change_policies(record):
                later.append(record)
        if found is None:
            raise CommandError(
                f"the journal has no event {options.event}",
                "`casemate audit tail --json` shows events with their eventID.",
            )
        event = found
        replay = Replay(gate_at_rest(opened), given)
        for line in _then(event):
            print(printable(line))
        try:
            replayed = opened.store.read(lambda tx: replay.look(event, tx))
        except Unknown as unknown:
            print(printable(f"now      not looked at: {unknown}"))
            return 0
    for line in (
        *_now(event, replayed, later),
        *(line for check in replayed.checks for line in _lines(check)),
    ):
        print(printable(line))
    return 0


def _then(record: Mapping[str, Any]) -> Iterator[str]:
    who = record["userIdentity"]
    service = record["eventSource"].partition(".")[0]
    yield f"call     {service}:{record['eventName']} at {record['eventTime']} in {record['awsRegion']}"
    yield f"by       {who.get('arn') or who.get('userName') or who.get('accessKeyId') or who['type']}"
    for resource in record.get("resources") or ():
        yield f"on       {resource['ARN']}"
    yield f"then     {_outcome(record)}"


def _outcome(record: Mapping[str, Any]) -> str:
    from casemate.server.replay import REFUSED

    code = record.get("errorCode")
    if code is None:
        return "allowed"
    said = f"{code}: {record['errorMessage']}" if record.get("errorMessage") else code
    return f"refused: {said}" if code in REFUSED else f"failed, not for want of permission: {said}"


def _now(record: Mapping[str, Any], replayed: Replayed, later: list[dict[str, Any]]) -> Iterator[str]:
    from casemate.server.replay import REFUSED

    if not replayed.checks:
        yield "now      allowed: it needs no permission"
        return
    refused = [check for check in replayed.checks if not check.decision.allowed]
    yield (
        "now      allowed"
        if not refused
        else f"now      refused {refused[0].decision.reason(refused[0].action)}"
    )
    if replayed.allowed is (record.get("errorCode") in REFUSED):
        yield "changed  what stands now decides otherwise than what stood then: what follows is of now"
    elif later:
        yield "changed  it is decided as then, but policies may have changed since: what follows is of now"
    for change in later[-_LATEST:]:
        who = change["userIdentity"]
        service = change["eventSource"].partition(".")[0]
        yield f"since    {change['eventTime']} {service}:{change['eventName']} by {who.get('arn', who['type'])}"
    if len(later) > _LATEST:
        yield f"since    and {len(later) - _LATEST} changes before these"
    for note in replayed.notes:
        yield f"note     {note}"


def _lines(check: Check) -> Iterator[str]:
    decision = check.decision
    yield ""
    yield f"{check.action} on {check.resource.arn}"
    heading = ""
    for each in check.considered:
        statement = each.statement
        policy = f"  {statement.policy_kind} {statement.policy}".rstrip()
        if policy != heading:
            heading = policy
            yield policy
        decided = statement in decision.statements
        name = f" {statement.sid!r}" if statement.sid else ""
        text = "applies" if each.applies else f"does not apply: {each.why}"
        if each.applies and statement.effect == "Allow" and not decided:
            text = _reach(each.grade.name)
        yield f"  {'→' if decided else ' '}   statement {statement.index + 1}{name}: {statement.effect}, {text}"
    if check.resource.missing is not None:
        yield "    this resource is no more"
    if decision.statements:
        named = decision.statements[0]
        yield f"    decided by the {named.effect} in the {decision.policy_kind} {named.policy}".rstrip()
    elif decision.allowed:
        yield "    allowed without a statement: by the root user's own rights, or by a grant"
    else:
        yield f"    refused: no {decision.policy_kind} allows it"


def _reach(grade: str) -> str:
    if grade == "ACCOUNT":
        return "applies to the account, whose identity policies decide"
    return "applies"


def _may_change_policies(record: Mapping[str, Any]) -> bool:
    if record["readOnly"] or record.get("errorCode"):
        return False
    source, name = record["eventSource"], record["eventName"]
    if source in ("iam.amazonaws.com", "organizations.amazonaws.com"):
        return True
    return any(name.endswith((word, word + "s", "Resource")) for word in _CHANGING)
