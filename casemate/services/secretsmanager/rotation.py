"""The state of a secret's rotation, from one to the next, and the jobs that it wants.

    RotateSecret ─► AWSPENDING on a version without a value ─► createSecret, setSecret, testSecret, finishSecret
      ▲                                                            │ a step fails: all of them again, five times
      └── the next window ◄── AWSCURRENT is on that version ◄──────┘

Source: "Rotation by Lambda function".
"""

from __future__ import annotations

from typing import NamedTuple
from uuid import uuid4

from casemate.services.secretsmanager import labels, windows
from casemate.services.secretsmanager.labels import CURRENT, PENDING
from casemate.services.secretsmanager.rows import SecretRow
from casemate.services.secretsmanager.windows import DAY, Rules
from casemate.store.database import Tx
from casemate.store.jobs import cancel, schedule

DUE, TURN, TEST = (f"secretsmanager.{kind}" for kind in ("rotation_due", "rotate", "test_rotation"))
"""The jobs: the next window has begun; a rotation is to be done; a configuration is to be tried."""

ATTEMPTS = 5
"""So many times a rotation is tried; then it waits for the next window, or for whoever looks after it."""
_PAUSES = (10.0, 60.0, 300.0, 900.0)
"""Seconds between the attempts."""


class Rotation(NamedTuple):
    """As it is stored in a secret's row. function: the Lambda function's ARN; rules: those of ``windows.Rules``;
    shown_days: AutomaticallyAfterDays as it follows from a schedule, 0 until the first rotation by it; start, end: of
    the next window, 0 without one; last: when the secret was last rotated, 0 for never.

    pending: the version of the rotation that is in progress, '' of none; token: that rotation's own, which the
    function may show; attempts: how many failed.
    """

    function: str
    enabled: bool = True
    rules: Rules = Rules()
    shown_days: int = 0
    start: float = 0.0
    end: float = 0.0
    last: float = 0.0
    pending: str = ""
    token: str = ""
    attempts: int = 0


def rotation_of(row: SecretRow) -> Rotation | None:
    """None of a secret that was never configured to be rotated."""
    if not row.rotation:
        return None
    stored = dict(row.rotation)
    return Rotation(**{**stored, "rules": Rules(*stored["rules"])})


def with_rotation(row: SecretRow, rotation: Rotation) -> SecretRow:
    """The row with that rotation, in JSON's types."""
    return row._replace(rotation={**rotation._asdict(), "rules": list(rotation.rules)})


def in_progress(row: SecretRow) -> bool:
    """Whether a version waits to be the current one."""
    return row.labels.get(PENDING) not in (None, row.labels.get(CURRENT))


# --- from one state to the next


def begun(row: SecretRow, rotation: Rotation, version: str) -> SecretRow:
    """A rotation begins: the version is pending. It has no value yet."""
    labelled = row._replace(labels=labels.attached(row.labels, version, (PENDING,)))
    return with_rotation(labelled, rotation._replace(pending=version, token=str(uuid4()), attempts=0))


def failed(row: SecretRow, rotation: Rotation) -> SecretRow:
    """All steps are to be done again, unless that was the last attempt."""
    return with_rotation(row, rotation._replace(attempts=rotation.attempts + 1))


def succeeded(row: SecretRow, rotation: Rotation, now: float) -> SecretRow:
    """The pending version is the current one: what follows is the next window."""
    done = rotation._replace(last=now, pending="", token="", attempts=0)
    return with_rotation(row, scheduled(done, now))


def abandoned(row: SecretRow, rotation: Rotation) -> SecretRow:
    """The rotation ends without success."""
    kept = {stage: version for stage, version in row.labels.items() if stage != PENDING}
    return with_rotation(row._replace(labels=kept), rotation._replace(pending="", token="", attempts=0))


def scheduled(rotation: Rotation, now: float) -> Rotation:
    """With the window that follows a rotation at that time."""
    if not (rotation.rules.days or rotation.rules.schedule):
        return rotation
    window = windows.following(rotation.rules, now)
    if window is None:
        return rotation._replace(start=0.0, end=0.0)
    days = round((window.start - now) / DAY) if rotation.rules.schedule and rotation.last else 0
    return rotation._replace(start=window.start, end=window.end, shown_days=max(days, 1) if days else 0)


def by_hand(row: SecretRow, now: float) -> SecretRow:
    """Somebody gave the secret another current value, which is as good as a rotation. Source: "RotationRules"."""
    rotation = rotation_of(row)
    if rotation is None or not rotation.enabled or not windows.counts_from_rotation(rotation.rules):
        return row
    return with_rotation(row, scheduled(rotation, now))


# --- jobs


def plan(tx: Tx, row: SecretRow) -> None:
    """Rotate the secret when its next window begins; not at all where there is none."""
    rotation = rotation_of(row)
    cancel(tx, f"{DUE} {row.arn}")
    if rotation is None or not rotation.enabled or row.deletion is not None or row.is_replica:
        return
    if rotation.start:
        schedule(tx, DUE, rotation.start, _place(row), id=f"{DUE} {row.arn}")


def turn(tx: Tx, row: SecretRow, rotation: Rotation, now: float) -> None:
    """Do the pending rotation's steps, now or after a pause; not any more after the last attempt."""
    if rotation.attempts < ATTEMPTS:
        pause = _PAUSES[rotation.attempts - 1] if rotation.attempts else 0.0
        schedule(tx, TURN, now + pause, {**_place(row), "version": rotation.pending}, id=f"{TURN} {row.arn}")


def try_out(tx: Tx, row: SecretRow, version: str, now: float) -> None:
    """Try whether the function can log in by a version."""
    schedule(tx, TEST, now, {**_place(row), "version": version}, id=f"{TEST} {row.arn}")


def call_off(tx: Tx, row: SecretRow) -> None:
    """Do nothing by itself any more."""
    for kind in (DUE, TURN, TEST):
        cancel(tx, f"{kind} {row.arn}")


def _place(row: SecretRow) -> dict[str, str]:
    return {"account": row.account, "region": row.region, "name": row.name}
