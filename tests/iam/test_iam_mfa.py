"""Virtual MFA devices by boto3, with an authenticator that is not ours on the other end."""

from __future__ import annotations

import base64
import json
import sqlite3
import struct
import time
import zlib
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from iam_support import ACCOUNT, Iam, arn, iam_server, name, policy, tags
from server_support import casemate, refused

from casemate.engine import one_time
from casemate.services.iam.identities import AccessKey

RFC_SEED = b"12345678901234567890"


class Authenticator:
    """An app that was given a seed. ahead: by how many seconds its clock is wrong."""

    def __init__(self, seed: bytes, ahead: float = 0.0) -> None:
        self._totp = TOTP(base64.b32decode(seed), 6, SHA1(), 30, enforce_key_length=False)
        self._ahead = ahead

    def code(self, later: int = 0) -> str:
        """What it shows now, or so many steps later."""
        return self._totp.generate(int(time.time() + self._ahead) + later * 30).decode()

    def pair(self) -> dict[str, str]:
        return {"AuthenticationCode1": self.code(), "AuthenticationCode2": self.code(1)}


def device(iam: Iam, **more: Any) -> tuple[str, Authenticator]:
    made = iam.admin.create_virtual_mfa_device(VirtualMFADeviceName=name("mfa"), **more)["VirtualMFADevice"]
    return made["SerialNumber"], Authenticator(made["Base32StringSeed"])


def owned(iam: Iam, user: str) -> tuple[str, Authenticator]:
    """A device that the user has. The next code that counts is the one after the next."""
    serial, app = device(iam)
    iam.admin.enable_mfa_device(UserName=user, SerialNumber=serial, **app.pair())
    return serial, app


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (59, "287082"),
        (1111111109, "081804"),
        (1111111111, "050471"),
        (1234567890, "005924"),
        (20000000000, "353130"),
    ],
)
def test_codes_are_those_of_rfc_6238(seconds: int, shown: str) -> None:
    assert one_time.code_at(RFC_SEED, one_time.step_at(seconds)) == shown


def test_a_new_device(iam: Iam) -> None:
    called = name("mfa")
    made = iam.admin.create_virtual_mfa_device(
        VirtualMFADeviceName=called, Path="/phones/", Tags=tags(team="red")
    )
    shown = made["VirtualMFADevice"]
    serial = arn("mfa", f"phones/{called}")
    assert shown["SerialNumber"] == serial
    assert len(base64.b32decode(shown["Base32StringSeed"])) == 40
    assert shown["QRCodePNG"].startswith(b"\x89PNG\r\n\x1a\n")
    assert iam.admin.list_mfa_device_tags(SerialNumber=serial)["Tags"] == tags(team="red")
    listed = iam.admin.list_virtual_mfa_devices(AssignmentStatus="Unassigned")["VirtualMFADevices"]
    assert {"SerialNumber": serial} in listed
    with refused("EntityAlreadyExists", "MFADevice entity at the same path and name already exists.", 409):
        iam.admin.create_virtual_mfa_device(VirtualMFADeviceName=called)
    iam.admin.delete_virtual_mfa_device(SerialNumber=serial)
    with refused("NoSuchEntity", f"VirtualMFADevice with serial number {serial} doesn't exist.", 404):
        iam.admin.delete_virtual_mfa_device(SerialNumber=serial)


def test_a_user_proves_to_hold_the_device(iam: Iam) -> None:
    user = iam.user()
    serial, app = device(iam)
    for codes in (("000000", "111111"), (app.code(), app.code()), (app.code(1), app.code())):
        with refused("InvalidAuthenticationCode", "Authentication code for device is not valid.", 403):
            iam.admin.enable_mfa_device(
                UserName=user, SerialNumber=serial, AuthenticationCode1=codes[0], AuthenticationCode2=codes[1]
            )
    assert iam.admin.list_mfa_devices(UserName=user)["MFADevices"] == []
    iam.admin.enable_mfa_device(UserName=user, SerialNumber=serial, **app.pair())
    (listed,) = iam.admin.list_mfa_devices(UserName=user)["MFADevices"]
    assert (listed["UserName"], listed["SerialNumber"]) == (user, serial)
    got = iam.admin.get_mfa_device(UserName=user, SerialNumber=serial)
    assert got["EnableDate"] == listed["EnableDate"]
    assigned = iam.admin.list_virtual_mfa_devices(AssignmentStatus="Assigned")["VirtualMFADevices"]
    assert next(each["User"]["UserName"] for each in assigned if each["SerialNumber"] == serial) == user
    with refused("EntityAlreadyExists", "MFA Device is already in use.", 409):
        iam.admin.enable_mfa_device(UserName=iam.user(), SerialNumber=serial, **app.pair())
    with refused("DeleteConflict", "MFA VirtualDevice in use. Must deactivate first.", 409):
        iam.admin.delete_virtual_mfa_device(SerialNumber=serial)
    with refused("DeleteConflict", "Cannot delete entity, must delete MFA device first.", 409):
        iam.admin.delete_user(UserName=user)
    with refused("NoSuchEntity", None, 404):
        iam.admin.deactivate_mfa_device(UserName=iam.user(), SerialNumber=serial)
    iam.admin.deactivate_mfa_device(UserName=user, SerialNumber=serial)
    iam.admin.delete_virtual_mfa_device(SerialNumber=serial)
    iam.admin.delete_user(UserName=user)


def test_eight_devices_are_enough(iam: Iam) -> None:
    user = iam.user()
    for _ in range(8):
        owned(iam, user)
    serial, app = device(iam)
    with refused("LimitExceeded", "Cannot exceed quota for MFADevicesPerUser: 8", 409):
        iam.admin.enable_mfa_device(UserName=user, SerialNumber=serial, **app.pair())


def session(iam: Iam, key: AccessKey, serial: str, code: str) -> Any:
    return iam.client("sts", key).get_session_token(SerialNumber=serial, TokenCode=code)["Credentials"]


def client_of(iam: Iam, service: str, credentials: Any) -> Any:
    import boto3

    made: Any = boto3.session.Session(
        credentials["AccessKeyId"], credentials["SecretAccessKey"], credentials["SessionToken"], "us-east-1"
    )
    return made.client(service, endpoint_url=iam.server.endpoint)


WITH_MFA = {"Bool": {"aws:MultiFactorAuthPresent": "true"}}
NOT_VALID = (
    "MultiFactorAuthentication failed, unable to validate MFA code.  Please verify your MFA serial number is valid "
    "and associated with this user."
)


def test_what_needs_a_second_factor(iam: Iam) -> None:
    user = iam.user(policy("iam:ListUsers", Condition=WITH_MFA))
    key = iam.key(user)
    serial, app = owned(iam, user)
    with refused("AccessDenied", None, 403):
        iam.client("iam", key).list_users()
    codes = [app.code(later) for later in (2, 1, 0)]
    credentials = session(iam, key, serial, codes[0])
    assert client_of(iam, "iam", credentials).list_users()["Users"]
    # A code counts once, and none before it counts afterwards.
    for code in codes:
        with refused("AccessDenied", NOT_VALID, 403):
            session(iam, key, serial, code)


def test_anothers_device_proves_nothing(iam: Iam) -> None:
    user, other = iam.user(), iam.user()
    serial, app = owned(iam, other)
    with refused("AccessDenied", NOT_VALID, 403):
        session(iam, iam.key(user), serial, app.code(2))
    assert session(iam, iam.key(other), serial, app.code(2))["SessionToken"]


def test_a_role_may_ask_for_a_second_factor(iam: Iam) -> None:
    user = iam.user(policy("sts:AssumeRole"))
    key = iam.key(user)
    serial, app = owned(iam, user)
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": ACCOUNT},
                "Action": "sts:AssumeRole",
                "Condition": {**WITH_MFA, "NumericLessThan": {"aws:MultiFactorAuthAge": "60"}},
            }
        ],
    }
    role = iam.role(AssumeRolePolicyDocument=json.dumps(trust))
    sts = iam.client("sts", key)
    asked = {"RoleArn": arn("role", role), "RoleSessionName": "mfa"}
    with refused("AccessDenied", None, 403):
        sts.assume_role(**asked)
    with refused("AccessDenied", NOT_VALID, 403):
        sts.assume_role(**asked, SerialNumber=serial, TokenCode="000000")
    assert sts.assume_role(**asked, SerialNumber=serial, TokenCode=app.code(2))["Credentials"]


def test_after_wrong_codes_even_the_right_one_has_to_wait(iam: Iam) -> None:
    user = iam.user()
    key = iam.key(user)
    serial, app = owned(iam, user)
    for _ in range(5):
        with refused("AccessDenied", NOT_VALID, 403):
            session(iam, key, serial, "000000")
    with refused("AccessDenied", NOT_VALID, 403):
        session(iam, key, serial, app.code(2))


def test_a_device_whose_clock_is_wrong(iam: Iam) -> None:
    user = iam.user()
    key = iam.key(user)
    made = iam.admin.create_virtual_mfa_device(VirtualMFADeviceName=name("mfa"))["VirtualMFADevice"]
    serial, seed = made["SerialNumber"], made["Base32StringSeed"]
    slow = Authenticator(seed, ahead=-3600)
    iam.admin.enable_mfa_device(UserName=user, SerialNumber=serial, **slow.pair())
    assert session(iam, key, serial, slow.code(2))
    right = Authenticator(seed)
    with refused("AccessDenied", NOT_VALID, 403):
        session(iam, key, serial, right.code())
    iam.admin.resync_mfa_device(UserName=user, SerialNumber=serial, **right.pair())
    assert session(iam, key, serial, right.code(2))
    with refused("InvalidAuthenticationCode", None, 403):
        iam.admin.resync_mfa_device(
            UserName=user, SerialNumber=serial, AuthenticationCode1="000000", AuthenticationCode2="000000"
        )


def test_used_codes_do_not_set_a_device_back(iam: Iam) -> None:
    user = iam.user()
    serial, app = device(iam)
    pair = app.pair()
    iam.admin.enable_mfa_device(UserName=user, SerialNumber=serial, **pair)
    with refused("InvalidAuthenticationCode", None, 403):
        iam.admin.resync_mfa_device(UserName=user, SerialNumber=serial, **pair)


def test_a_link_in_the_database_gives_nobody_a_device(tmp_path: Path) -> None:
    with iam_server(tmp_path) as server:
        mine, other = server.user(), server.user()
        serial, app = owned(server, mine)
        ids = [server.admin.get_user(UserName=user)["User"]["UserId"] for user in (mine, other)]
        key = server.key(other)
        with closing(sqlite3.connect(server.server.data / "casemate.db")) as database, database:
            moved = database.execute(
                "UPDATE iam_links SET target = ? WHERE relation = 'user' AND target = ?", ids[::-1]
            )
            assert moved.rowcount == 1
        with refused("AccessDenied", NOT_VALID, 403):
            session(server, key, serial, app.code(2))


def test_users_manage_their_own_devices(iam: Iam) -> None:
    """As AWS's own example policy lets them."""
    own = "arn:aws:iam::*:user/${aws:username}"
    user = name("user")
    iam.admin.create_user(UserName=user)
    document = policy("iam:EnableMFADevice", "iam:ListMFADevices", "iam:DeactivateMFADevice", resource=own)
    iam.admin.put_user_policy(UserName=user, PolicyName="mfa", PolicyDocument=document)
    mine = iam.client("iam", iam.key(user))
    serial, app = device(iam)
    with refused("AccessDenied", None, 403):
        mine.enable_mfa_device(UserName=iam.user(), SerialNumber=serial, **app.pair())
    mine.enable_mfa_device(UserName=user, SerialNumber=serial, **app.pair())
    assert len(mine.list_mfa_devices()["MFADevices"]) == 1
    mine.deactivate_mfa_device(UserName=user, SerialNumber=serial)


def test_a_seed_is_nowhere_in_the_clear(iam: Iam) -> None:
    made = iam.admin.create_virtual_mfa_device(VirtualMFADeviceName=name("mfa"))["VirtualMFADevice"]
    text = made["Base32StringSeed"]
    listed = casemate("audit", "tail", "--data", str(iam.server.data), "-n", "all", "--json").stdout
    assert "CreateVirtualMFADevice" in listed
    assert text.decode() not in listed
    secrets = (text, base64.b32decode(text), base64.b64encode(base64.b32decode(text)))
    for file in iam.server.data.glob("casemate.db*"):
        stored = file.read_bytes()
        assert not any(secret in stored for secret in secrets), f"{file.name} holds a seed"


def test_the_qr_code_is_a_picture(iam: Iam) -> None:
    made = iam.admin.create_virtual_mfa_device(VirtualMFADeviceName=name("mfa"))["VirtualMFADevice"]
    png = made["QRCodePNG"]
    width, height = struct.unpack(">II", png[16:24])
    assert width == height > 100
    start = png.index(b"IDAT")
    (length,) = struct.unpack(">I", png[start - 4 : start])
    rows = zlib.decompress(png[start + 4 : start + 4 + length])
    assert 0 < rows.count(b"\xff") < len(rows)
