"""Login profiles and the account's password policy by boto3."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from iam_support import ROOT, Iam, iam_server, policy
from server_support import casemate, refused

from casemate.engine import passwords

GOOD, BETTER = "Correct-horse-1", "Battery+staple-2"


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Iam]:
    """A server for the account's policy, of which there is one."""
    with iam_server(tmp_path_factory.mktemp("strict")) as running:
        yield running


@pytest.fixture(autouse=True)
def no_policy(strict: Iam) -> None:
    with_policy(strict)
    strict.admin.delete_account_password_policy()


def with_policy(iam: Iam, **rules: Any) -> None:
    iam.admin.update_account_password_policy(**rules)


def test_a_password_fits_its_verifier_alone() -> None:
    made = passwords.verifier("secret")
    assert passwords.fits("secret", made)
    assert not passwords.fits("Secret", made)
    assert "secret" not in made
    assert made != passwords.verifier("secret"), "each has a salt of its own"


def test_a_users_password(iam: Iam) -> None:
    user = iam.user()
    with refused("NoSuchEntity", f"Login Profile for User {user} cannot be found.", 404):
        iam.admin.get_login_profile(UserName=user)
    made = iam.admin.create_login_profile(UserName=user, Password=GOOD, PasswordResetRequired=True)
    profile = made["LoginProfile"]
    assert (profile["UserName"], profile["PasswordResetRequired"]) == (user, True)
    assert iam.admin.get_login_profile(UserName=user)["LoginProfile"] == profile
    with refused("EntityAlreadyExists", f"Login Profile for user {user} already exists.", 409):
        iam.admin.create_login_profile(UserName=user, Password=GOOD)
    iam.admin.update_login_profile(UserName=user, PasswordResetRequired=False)
    assert iam.admin.get_login_profile(UserName=user)["LoginProfile"]["PasswordResetRequired"] is False
    with refused("DeleteConflict", "Cannot delete entity, must delete login profile first.", 409):
        iam.admin.delete_user(UserName=user)
    iam.admin.delete_login_profile(UserName=user)
    iam.admin.delete_user(UserName=user)


def test_a_profile_stays_with_a_user_who_is_renamed(iam: Iam) -> None:
    user = iam.user()
    iam.admin.create_login_profile(UserName=user, Password=GOOD)
    iam.admin.update_user(UserName=user, NewUserName=f"{user}-renamed")
    assert (
        iam.admin.get_login_profile(UserName=f"{user}-renamed")["LoginProfile"]["UserName"]
        == f"{user}-renamed"
    )


def test_users_change_their_own(iam: Iam) -> None:
    user = iam.user(policy("iam:ChangePassword"))
    mine = iam.client("iam", iam.key(user))
    with refused("NoSuchEntity", None, 404):
        mine.change_password(OldPassword=GOOD, NewPassword=BETTER)
    iam.admin.create_login_profile(UserName=user, Password=GOOD, PasswordResetRequired=True)
    with refused("AccessDenied", "The old password was incorrect.", 403):
        mine.change_password(OldPassword=BETTER, NewPassword=BETTER)
    mine.change_password(OldPassword=GOOD, NewPassword=BETTER)
    assert iam.admin.get_login_profile(UserName=user)["LoginProfile"]["PasswordResetRequired"] is False
    with refused("AccessDenied", "The old password was incorrect.", 403):
        mine.change_password(OldPassword=GOOD, NewPassword=BETTER)
    mine.change_password(OldPassword=BETTER, NewPassword=GOOD)


def test_only_users_have_one(iam: Iam) -> None:
    with refused("InvalidUserType", "Only IAM Users can change their own password"):
        iam.client("iam", ROOT).change_password(OldPassword=GOOD, NewPassword=BETTER)


@pytest.mark.parametrize(
    ("password", "text"),
    [
        ("Short-1", "Password should have a minimum length of 8"),
        (
            "lowercase-only",
            "Password must include a minimum of three of the following mix of character types: uppercase, "
            "lowercase, numbers, and non-alphanumeric symbols",
        ),
    ],
)
def test_what_a_password_needs_anyway(strict: Iam, password: str, text: str) -> None:
    with refused("PasswordPolicyViolation", text):
        strict.admin.create_login_profile(UserName=strict.user(), Password=password)


def test_there_may_be_no_policy(strict: Iam) -> None:
    for operation in ("get_account_password_policy", "delete_account_password_policy"):
        with refused("NoSuchEntity", None, 404):
            getattr(strict.admin, operation)()


def test_a_policy_is_put_as_a_whole(strict: Iam) -> None:
    with_policy(
        strict, MinimumPasswordLength=14, MaxPasswordAge=90, PasswordReusePrevention=5, HardExpiry=True
    )
    shown = strict.admin.get_account_password_policy()["PasswordPolicy"]
    assert shown == {
        "MinimumPasswordLength": 14,
        "RequireSymbols": False,
        "RequireNumbers": False,
        "RequireUppercaseCharacters": False,
        "RequireLowercaseCharacters": False,
        "AllowUsersToChangePassword": False,
        "ExpirePasswords": True,
        "MaxPasswordAge": 90,
        "PasswordReusePrevention": 5,
        "HardExpiry": True,
    }
    with_policy(strict, RequireSymbols=True)
    shown = strict.admin.get_account_password_policy()["PasswordPolicy"]
    assert (shown["MinimumPasswordLength"], shown["RequireSymbols"], shown["ExpirePasswords"]) == (
        6,
        True,
        False,
    )
    assert not {"MaxPasswordAge", "PasswordReusePrevention"} & shown.keys()


@pytest.mark.parametrize(
    ("rule", "password", "text"),
    [
        ({"MinimumPasswordLength": 12}, "short-pass", "Password should have a minimum length of 12"),
        (
            {"RequireUppercaseCharacters": True},
            "lower-1",
            "Password should have at least one uppercase character",
        ),
        (
            {"RequireLowercaseCharacters": True},
            "UPPER-1",
            "Password should have at least one lowercase character",
        ),
        ({"RequireNumbers": True}, "no-number", "Password should have at least one number"),
        ({"RequireSymbols": True}, "nosymbol1", "Password should have at least one symbol"),
    ],
)
def test_a_policy_counts(strict: Iam, rule: dict[str, Any], password: str, text: str) -> None:
    with_policy(strict, **rule)
    user = strict.user()
    with refused("PasswordPolicyViolation", text):
        strict.admin.create_login_profile(UserName=user, Password=password)
    strict.admin.create_login_profile(UserName=user, Password="Good-enough-1")
    with refused("PasswordPolicyViolation", text):
        strict.admin.update_login_profile(UserName=user, Password=password)


def test_passwords_are_not_used_again(strict: Iam) -> None:
    with_policy(strict, PasswordReusePrevention=2)
    user = strict.user(policy("iam:ChangePassword"))
    mine = strict.client("iam", strict.key(user))
    strict.admin.create_login_profile(UserName=user, Password="first-1")
    mine.change_password(OldPassword="first-1", NewPassword="second-2")
    for again in ("first-1", "second-2"):
        with refused("PasswordPolicyViolation", "Password should not have been used before"):
            mine.change_password(OldPassword="second-2", NewPassword=again)
    mine.change_password(OldPassword="second-2", NewPassword="third-3")
    mine.change_password(OldPassword="third-3", NewPassword="first-1")


def test_a_policy_may_let_everybody_change_their_own(strict: Iam) -> None:
    user = strict.user()
    mine = strict.client("iam", strict.key(user))
    strict.admin.create_login_profile(UserName=user, Password=GOOD)
    with refused("AccessDenied", None, 403):
        mine.change_password(OldPassword=GOOD, NewPassword=BETTER)
    with_policy(strict, AllowUsersToChangePassword=True)
    mine.change_password(OldPassword=GOOD, NewPassword=BETTER)


def test_passwords_are_nowhere_in_the_clear(iam: Iam) -> None:
    secret = "Plain-as-day-9"
    user = iam.user(policy("iam:ChangePassword"))
    iam.admin.create_login_profile(UserName=user, Password=secret)
    iam.client("iam", iam.key(user)).change_password(OldPassword=secret, NewPassword=f"{secret}0")
    listed = casemate("audit", "tail", "--data", str(iam.server.data), "-n", "all", "--json").stdout
    assert "ChangePassword" in listed
    assert secret not in listed
    assert secret not in iam.server.log
    for file in iam.server.data.glob("casemate.db*"):
        assert secret.encode() not in file.read_bytes()
