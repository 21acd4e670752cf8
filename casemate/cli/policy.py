"""``casemate policy generate``: the least policy for what somebody was seen to do."""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Mapping
from functools import partial
from typing import Any

from casemate.cli.journal import opened_data, records
from casemate.cli.problems import CommandError

_Condition = tuple[tuple[str, str], ...]


def generate(options: argparse.Namespace) -> int:
    """Print an identity policy that allows what the journal's calls of a principal needed, and nothing else."""
    from casemate.server.composition import gate_at_rest
    from casemate.server.replay import GIVING, REFUSED, Replay, Unknown

    with opened_data(options) as opened:
        given: list[dict[str, Any]] = []
        theirs: list[dict[str, Any]] = []
        for record in records(opened):
            if record["eventName"] in GIVING and not record.get("errorCode"):
                given.append(record)
            if _is_of(record["userIdentity"], options.from_audit):
                theirs.append(record)
        if not theirs:
            raise CommandError(
                f"the journal has no call of {options.from_audit}",
                "Name a user or a role by its ARN, or by its name.",
            )
        replay = Replay(gate_at_rest(opened), given)
        used: defaultdict[tuple[str, _Condition], set[str]] = defaultdict(set)
        counted = refused = unknown = 0
        for record in theirs:
            code = record.get("errorCode")
            if code in REFUSED:
                refused += 1
                continue
            if code is not None:
                continue
            try:
                replayed = opened.store.read(partial(replay.look, record))
            except Unknown:
                unknown += 1
                continue
            counted += 1
            for check in replayed.checks:
                used[check.resource.arn, _through(record, check.action)].add(check.action)
    print(json.dumps(_policy(used), indent=2))
    first, last = theirs[0]["eventTime"], theirs[-1]["eventTime"]
    print(f"from {counted} calls between {first} and {last}", file=sys.stderr)
    if refused:
        print(f"left out: {refused} calls that were refused", file=sys.stderr)
    if unknown:
        print(f"left out: {unknown} calls whose needs cannot be told any more", file=sys.stderr)
    return 0


def _is_of(who: Mapping[str, Any], principal: str) -> bool:
    """Whether somebody is the user, or a session of the role, of that ARN or name."""
    issuer = (who.get("sessionContext") or {}).get("sessionIssuer") or {}
    names = (who.get("arn"), who.get("userName"), issuer.get("arn"), issuer.get("userName"))
    return principal in names


def _through(record: Mapping[str, Any], action: str) -> _Condition:
    """What a service asked on the caller's behalf is allowed through that service only."""
    invoked = record["userIdentity"].get("invokedBy")
    if not invoked:
        return ()
    if action.startswith("kms:"):
        service = invoked.removesuffix(".amazonaws.com")
        return (("kms:ViaService", f"{service}.{record['awsRegion']}.amazonaws.com"),)
    return (("aws:CalledViaLast", invoked),)


def _policy(used: Mapping[tuple[str, _Condition], set[str]]) -> dict[str, Any]:
    """One statement for all resources on which the same actions were used."""
    groups: defaultdict[tuple[tuple[str, ...], _Condition], list[str]] = defaultdict(list)
    for (resource, condition), actions in used.items():
        groups[tuple(sorted(actions)), condition].append(resource)
    statements = []
    for (names, condition), resources in sorted(groups.items()):
        statement: dict[str, Any] = {
            "Effect": "Allow",
            "Action": list(names),
            "Resource": sorted(resources),
        }
        if condition:
            statement["Condition"] = {"StringEquals": dict(condition)}
        statements.append(statement)
    return {"Version": "2012-10-17", "Statement": statements}
