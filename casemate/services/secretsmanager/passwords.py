"""GetRandomPassword."""

from __future__ import annotations

import secrets
import string

from casemate.api import secretsmanager
from casemate.gate.call import Call
from casemate.services.secretsmanager.refusals import invalid_parameter, invalid_request
from casemate.services.secretsmanager.targets import AccountWide, account_wide

_LENGTH = 32
_random = secrets.SystemRandom()


@secretsmanager.GetRandomPassword.reads(account_wide)
def get_random_password(
    call: Call, req: secretsmanager.GetRandomPasswordRequest, account: AccountWide
) -> secretsmanager.GetRandomPasswordResponse:
    """1 to 4 096 random characters, of each wanted kind one at least unless that is waived."""
    excluded = set(req.get("ExcludeCharacters", ""))
    kinds = [
        "".join(character for character in kind if character not in excluded)
        for kind, wanted in (
            (string.ascii_lowercase, not req.get("ExcludeLowercase")),
            (string.ascii_uppercase, not req.get("ExcludeUppercase")),
            (string.digits, not req.get("ExcludeNumbers")),
            (string.punctuation, not req.get("ExcludePunctuation")),
            (" ", req.get("IncludeSpace", False)),
        )
        if wanted
    ]
    kinds = [kind for kind in kinds if kind]
    if not kinds:
        raise invalid_request("You excluded every character, so that there is none to make a password of.")
    length = req.get("PasswordLength", _LENGTH)
    required = kinds if req.get("RequireEachIncludedType", True) else []
    if length < len(required):
        raise invalid_parameter("Password length is too short based on the required types.")
    alphabet = "".join(kinds)
    characters = [_random.choice(kind) for kind in required]
    characters += [_random.choice(alphabet) for _ in range(length - len(required))]
    _random.shuffle(characters)
    return {"RandomPassword": "".join(characters)}
