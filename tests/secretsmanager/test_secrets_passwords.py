"""GetRandomPassword: every option."""

from __future__ import annotations

import string
from typing import Any

import pytest
from secrets_support import SecretsServer, inline, refused


def password(secretsmanager: SecretsServer, **options: Any) -> str:
    found: str = secretsmanager.of().get_random_password(**options)["RandomPassword"]
    return found


def test_by_default_32_characters_of_every_kind(secretsmanager: SecretsServer) -> None:
    found = {password(secretsmanager) for _ in range(4)}
    assert len(found) == 4
    for each in found:
        assert len(each) == 32
        for kind in (string.ascii_lowercase, string.ascii_uppercase, string.digits, string.punctuation):
            assert set(each) & set(kind)
        assert " " not in each


@pytest.mark.parametrize(
    ("option", "kind"),
    [
        ("ExcludeLowercase", string.ascii_lowercase),
        ("ExcludeUppercase", string.ascii_uppercase),
        ("ExcludeNumbers", string.digits),
        ("ExcludePunctuation", string.punctuation),
    ],
)
def test_kinds_are_left_out(secretsmanager: SecretsServer, option: str, kind: str) -> None:
    assert not set(password(secretsmanager, PasswordLength=2000, **{option: True})) & set(kind)


def test_a_space_is_a_kind(secretsmanager: SecretsServer) -> None:
    assert " " in password(secretsmanager, PasswordLength=5, IncludeSpace=True)


def test_characters_are_left_out(secretsmanager: SecretsServer) -> None:
    found = password(secretsmanager, PasswordLength=4096, ExcludeCharacters="abc\"'@/\\")
    assert len(found) == 4096
    assert not set(found) & set("abc\"'@/\\")
    # A kind of which nothing is left is not required.
    assert set(password(secretsmanager, ExcludeCharacters=string.digits)).isdisjoint(string.digits)


def test_a_password_need_not_have_every_kind(secretsmanager: SecretsServer) -> None:
    assert len(password(secretsmanager, PasswordLength=1, RequireEachIncludedType=False)) == 1
    with refused("InvalidParameterException", "Password length is too short based on the required types."):
        password(secretsmanager, PasswordLength=3)


def test_there_must_be_something_to_choose_from(secretsmanager: SecretsServer) -> None:
    with refused(
        "InvalidRequestException",
        "You excluded every character, so that there is none to make a password of.",
    ):
        password(
            secretsmanager,
            ExcludeLowercase=True,
            ExcludeUppercase=True,
            ExcludeNumbers=True,
            ExcludePunctuation=True,
        )


def test_lengths_have_bounds(secretsmanager: SecretsServer) -> None:
    with refused("ValidationException"):
        password(secretsmanager, PasswordLength=4097)


def test_it_needs_a_permission_and_the_audit_does_not_show_it(secretsmanager: SecretsServer) -> None:
    with refused("AccessDeniedException"):
        secretsmanager.of("nobody").get_random_password()
    found = secretsmanager.limit(inline("secretsmanager:GetRandomPassword")).get_random_password()
    assert found["RandomPassword"] not in str(secretsmanager.events("GetRandomPassword"))
