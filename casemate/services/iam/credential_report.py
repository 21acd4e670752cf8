"""GenerateCredentialReport, GetCredentialReport: who can sign in to an account, and by what.

AWS makes reports in the background. Here one is made when the call returns, whose answer says no more than AWS's.
Source: "Generate credential reports for your AWS account".
"""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta

from casemate.api import iam
from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.gate.resource import Resource
from casemate.services.iam import access_key_rows, mfa
from casemate.services.iam.access_key_rows import KeyRow
from casemate.services.iam.entities import LoginProfile, User
from casemate.services.iam.identities import ACTIVE
from casemate.services.iam.password_policy import policy_of
from casemate.services.iam.shapes import when
from casemate.services.iam.store import Entities
from casemate.services.iam.targets import account_wide
from casemate.services.iam.uses import Uses

KEPT = 4 * 3600.0
"""Seconds for which a report is the account's latest, and another is not made."""

_COLUMNS = (
    *("user", "arn", "user_creation_time"),
    *(
        "password_enabled",
        "password_last_used",
        "password_last_changed",
        "password_next_rotation",
        "mfa_active",
    ),
    *(
        f"access_key_{number}_{what}"
        for number in (1, 2)
        for what in ("active", "last_rotated", "last_used_date", "last_used_region", "last_used_service")
    ),
    *(f"cert_{number}_{what}" for number in (1, 2) for what in ("active", "last_rotated")),
)
_NO_KEY = ("false", "N/A", "N/A", "N/A", "N/A")
_NO_CERTIFICATES = ("false", "N/A") * 2
_ROOT = "<root_account>"


@iam.GenerateCredentialReport.writes(account_wide)
def generate_credential_report(
    call: Call, req: iam.GenerateCredentialReportRequest, target: Resource
) -> iam.GenerateCredentialReportResponse:
    """Have a report made, unless there is one of the last four hours."""
    row = call.tx.one("SELECT made FROM iam_credential_reports WHERE account = ?", (call.account,))
    if row is not None and call.now < row[0] + KEPT:
        return {"State": "COMPLETE"}
    call.tx.run(
        "INSERT INTO iam_credential_reports (account, made, content) VALUES (?, ?, ?) "
        "ON CONFLICT (account) DO UPDATE SET made = excluded.made, content = excluded.content",
        (call.account, call.now, _report(call)),
    )
    return {
        "State": "STARTED",
        "Description": "No report exists. Starting a new report generation task",
    }


@iam.GetCredentialReport.reads(account_wide)
def get_credential_report(
    call: Call, req: iam.GetCredentialReportRequest, target: Resource
) -> iam.GetCredentialReportResponse:
    """The account's latest report, as CSV."""
    row = call.tx.one("SELECT made, content FROM iam_credential_reports WHERE account = ?", (call.account,))
    if row is None:
        raise AwsError("ReportNotPresent", "Please use GenerateCredentialReport to start report generation.")
    if call.now >= row[0] + KEPT:
        raise AwsError("ReportExpired", "The report has expired. Please use GenerateCredentialReport again.")
    return {"Content": row[1].encode(), "ReportFormat": "text/csv", "GeneratedTime": when(row[0])}


def _report(call: Call) -> str:
    entities = call.part(Entities)
    lines = io.StringIO()
    written = csv.writer(lines, lineterminator="\n")
    written.writerow(_COLUMNS)
    row = call.tx.one("SELECT created FROM accounts WHERE id = ?", (call.account,))
    created = 0.0 if row is None else row[0]
    root = User(account=call.account, name="", id=call.account, created=created)
    written.writerow(
        [
            *(_ROOT, f"arn:aws:iam::{call.account}:root", _time(created)),
            *("not_supported", "no_information", "not_supported", "not_supported"),
            *_keys_and_devices(call, root),
        ]
    )
    for user in entities.page(call.tx, User, call.account):
        written.writerow(
            [user.name, user.arn, _time(user.created), *_password(call, user), *_keys_and_devices(call, user)]
        )
    return lines.getvalue().removesuffix("\n")


def _password(call: Call, user: User) -> list[str]:
    entities = call.part(Entities)
    profile = entities.find(call.tx, LoginProfile, call.account, user.id)
    if profile is None:
        return ["false", "N/A", "N/A", "N/A"]
    policy = policy_of(entities, call.tx, call.account)
    rotation = "N/A"
    if policy is not None and policy.age:
        rotation = _time(profile.changed + timedelta(days=policy.age).total_seconds())
    return ["true", "no_information", _time(profile.changed), rotation]


def _keys_and_devices(call: Call, user: User) -> list[str]:
    """mfa_active and all that follows it."""
    devices = mfa.devices_of(call.part(Entities), call.tx, call.account, user.id)
    rows = sorted(access_key_rows.of_user(call.tx, call.account, user.name), key=lambda row: row.created)
    keys = [*(_key(call, row) for row in rows[:2]), _NO_KEY, _NO_KEY][:2]
    return [_yes(bool(devices)), *keys[0], *keys[1], *_NO_CERTIFICATES]


def _key(call: Call, row: KeyRow) -> tuple[str, ...]:
    use = call.part(Uses).last(call.tx, row.id)
    used = ("N/A", "N/A", "N/A") if use is None else (_time(use.last), use.region, use.service)
    return (_yes(row.status == ACTIVE), _time(row.created), *used)


def _yes(value: bool) -> str:
    return "true" if value else "false"


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).isoformat()
