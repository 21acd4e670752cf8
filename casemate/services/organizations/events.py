"""What Organizations tells the management account's trail of accounts, beside the calls that cause it.

An event is a job that is scheduled in the transaction of what it tells, so that it tells nothing that was not done.
Source: "Logging and monitoring in AWS Organizations".
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from casemate.gate.call import Call
from casemate.gate.conditions import iso_time
from casemate.gate.resource import Resource
from casemate.services.organizations.model import Creation, Organization
from casemate.store.database import Tx
from casemate.store.jobs import Job, schedule

if TYPE_CHECKING:
    from casemate.gate.gate import Gate

KIND = "organizations.event"

LEFT, REMOVED, CLEANED = "LEFT", "REMOVED", "CLEANED"


def joined(call: Call, organization: Organization, account: str, method: str) -> None:
    """method: as the account's JoinedMethod."""
    details = {"joinedMethod": method, "joinedTime": iso_time(call.now), "accountId": account}
    _plan(call.tx, call.now, organization, account, "AccountJoinedOrganization", details)


def departed(tx: Tx, now: float, organization: Organization, account: str, method: str) -> None:
    details = {"departureMethod": method, "departureTime": iso_time(now), "accountId": account}
    _plan(tx, now, organization, account, "AccountDepartedOrganization", details)


def created(call: Call, organization: Organization, creation: Creation) -> None:
    """What became of a request to make an account."""
    status = {
        "id": creation.id,
        "state": "SUCCEEDED" if creation.account else "FAILED",
        "accountName": "****",
        "requestedTimestamp": _spelled(creation.requested),
        "completedTimestamp": _spelled(creation.completed),
        **({"accountId": creation.account} if creation.account else {"failureReason": creation.reason}),
    }
    details = {"createAccountStatus": status}
    _plan(call.tx, call.now, organization, creation.account, "CreateAccountResult", details)


def closed(call: Call, organization: Organization, account: str) -> None:
    status = {
        "accountId": account,
        "state": "SUCCEEDED",
        "requestedTimestamp": _spelled(call.now),
        "completedTimestamp": _spelled(call.now),
    }
    details = {"closeAccountStatus": status}
    _plan(call.tx, call.now, organization, account, "CloseAccountResult", details)


def _spelled(seconds: float) -> str:
    """Jun 21, 2018 10:06:27 PM"""
    return time.strftime("%b %d, %Y %I:%M:%S %p", time.gmtime(seconds))


def _plan(
    tx: Tx, now: float, organization: Organization, account: str, name: str, details: Mapping[str, Any]
) -> None:
    payload = {
        "management": organization.management,
        "arn": organization.arn_of("account", account) if account else organization.arn,
        "name": name,
        "details": details,
    }
    schedule(tx, KIND, now, payload)


def teller(gate: Gate) -> Callable[[Job], None]:
    """The job's handler."""

    def run(job: Job) -> None:
        if not gate.audits:
            raise RuntimeError("the audit takes no records")
        told = job.payload
        resource = Resource(told["arn"], told["management"], type="AWS::Organizations::Account")
        gate.record_event(
            "organizations.amazonaws.com",
            told["name"],
            told["management"],
            "us-east-1",
            resource,
            told["details"],
        )

    return run
