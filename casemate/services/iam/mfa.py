"""Second factors: what a virtual MFA device's codes prove, and how a device is given to a user.

By the machine's time, as signatures are: devices do not know of a clock that was moved. A code counts once, and none
that is older than it afterwards. Source: "AWS Multi-factor authentication in IAM".
"""

from __future__ import annotations

import os
from base64 import b64decode, b64encode
from dataclasses import replace

from casemate.engine import one_time
from casemate.errors import AwsError
from casemate.services.iam.entities import Link, MfaDevice, unique_id
from casemate.services.iam.store import Entities
from casemate.store.database import Tx

MOST_OF_USER = 8
_NEAR = 2
"""Steps by which a code may be early or late."""
_FAR = 1_440
"""The same for two codes in a row, which are rarely a chance: half a day, for a device whose clock is wrong."""

_FREE_TRIES = 5

_PURPOSE = "iam mfa seed"


def new_device(
    entities: Entities, tx: Tx, account: str, name: str, path: str, now: float, tags: dict[str, str]
) -> tuple[MfaDevice, bytes]:
    """A device that is nobody's yet, not stored; and its seed, which is shown this once."""
    seed = os.urandom(one_time.SEED_BYTES)
    name_of = unique_id(MfaDevice.PREFIX)
    wrapped = entities.keyring.account_key(account, tx).wrap(seed, _PURPOSE, name_of)
    return (
        MfaDevice(
            account=account,
            name=name,
            path=path,
            id=name_of,
            created=now,
            tags=tags,
            seed=b64encode(wrapped).decode(),
        ),
        seed,
    )


def devices_of(entities: Entities, tx: Tx, account: str, owner: str) -> list[MfaDevice]:
    """A user's devices, by name. owner: the user's id, the account's for the root user. The device's own row says
    whose it is; links only help to find it, and are not sealed."""
    found = entities.referring(tx, MfaDevice, account, Link("user", owner))
    return [device for device in found if device.owner == owner]


def give(
    entities: Entities,
    tx: Tx,
    device: MfaDevice,
    owner: str,
    codes: tuple[str, str],
    machine: float,
    now: float,
) -> None:
    """Let a user have the device, whose two codes in a row prove that they hold it. Raises
    InvalidAuthenticationCode."""
    step = _step_of(entities, tx, device, codes, machine)
    entities.save(
        tx, replace(device, owner=owner, enabled=now, step=step, drift=step - one_time.step_at(machine))
    )


def settle(entities: Entities, tx: Tx, device: MfaDevice, codes: tuple[str, str], machine: float) -> None:
    """Learn how far a device's clock is off. Raises InvalidAuthenticationCode."""
    step = _step_of(entities, tx, device, codes, machine)
    entities.save(tx, replace(device, step=step, drift=step - one_time.step_at(machine)))


def take_back(entities: Entities, tx: Tx, device: MfaDevice) -> None:
    """The device is nobody's any more."""
    entities.save(tx, replace(device, owner="", enabled=0.0, step=0, drift=0, failures=0, failed=0.0))


def proves(
    entities: Entities, tx: Tx, account: str, owner: str, serial: str, code: str, machine: float
) -> bool:
    """Whether it is the code of the user's device now; then it is used up. After a few wrong codes none is looked at
    for a while, twice as long with each more: there are only a million."""
    device = next((each for each in devices_of(entities, tx, account, owner) if each.arn == serial), None)
    if device is None or machine < device.failed + _pause(device.failures):
        return False
    now = one_time.step_at(machine) + device.drift
    steps = [step for step in range(now - _NEAR, now + _NEAR + 1) if step > device.step]
    step = one_time.matching(_seed(entities, tx, device), steps, code)
    if step is None:
        entities.save(tx, replace(device, failures=device.failures + 1, failed=machine))
        return False
    entities.save(tx, replace(device, step=step, failures=0, failed=0.0))
    return True


def _pause(failures: int) -> float:
    """Seconds for which no code is looked at after so many wrong ones."""
    return 0.0 if failures < _FREE_TRIES else min(30.0 * 2 ** (failures - _FREE_TRIES), 3600.0)


def _step_of(entities: Entities, tx: Tx, device: MfaDevice, codes: tuple[str, str], machine: float) -> int:
    now = one_time.step_at(machine)
    # The nearest first: a pair may stand in more than one place, one in a thousand million times.
    steps = sorted(range(now - _FAR, now + _FAR), key=lambda step: abs(step - now))
    # None that was used, or is older than one that was, proves anything again.
    steps = [step for step in steps if step > device.step]
    step = one_time.consecutive(_seed(entities, tx, device), steps, *codes)
    if step is None:
        raise AwsError("InvalidAuthenticationCode", "Authentication code for device is not valid.", 403)
    return step


def _seed(entities: Entities, tx: Tx, device: MfaDevice) -> bytes:
    wrapped = b64decode(device.seed)
    return entities.keyring.account_key(device.account, tx).unwrap(wrapped, _PURPOSE, device.id)
