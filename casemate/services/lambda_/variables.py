"""Environment variables: encrypted under a KMS key, asked as the caller; decrypted as the caller to show them, and as
the function's role to run it. Source: "Securing Lambda environment variables".

What is stored is base64 of: version 1 | length of the encrypted data key 2 | that | nonce 12 | ciphertext and tag.
KMS encrypts the data key (variables may be longer than what it encrypts itself), with the function's ARN as
encryption context.
"""

from __future__ import annotations

import os
import struct
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Mapping
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from orjson import dumps, loads

from casemate.api import kms
from casemate.engine.envelope.errors import Tampered
from casemate.errors import AwsError
from casemate.gate.acting import Actor, act_as
from casemate.gate.call import Call
from casemate.services.lambda_.naming import SERVICE, Place
from casemate.services.lambda_.refusals import invalid

if TYPE_CHECKING:
    from casemate.api import lambda_
    from casemate.services.lambda_.rows import Version

DEFAULT_KEY = "alias/aws/lambda"
MOST_BYTES = 4096
"""Of all variables together."""

RESERVED = frozenset(
    {
        *("_HANDLER", "_X_AMZN_TRACE_ID", "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_EXECUTION_ENV"),
        *("AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_VERSION"),
        *("AWS_LAMBDA_INITIALIZATION_TYPE", "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME"),
        *("AWS_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
        *("AWS_LAMBDA_RUNTIME_API", "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR"),
    }
)

_HEAD = struct.Struct(">BH")
_FORM = 1
_NONCE = 12


def checked(variables: Mapping[str, str]) -> None:
    """Raises InvalidParameterValueException for variables that a function cannot have."""
    reserved = sorted(RESERVED & variables.keys())
    if reserved:
        raise invalid(
            "Lambda was unable to configure your environment variables because the environment variables you have "
            "provided contains reserved keys that are currently not supported for modification. "
            f"Reserved keys used in this request: {', '.join(reserved)}"
        )
    if any("\0" in value for value in variables.values()):
        raise invalid("Environment variables cannot hold the character U+0000.")
    if len(dumps(dict(variables))) > MOST_BYTES:
        raise invalid(
            "Lambda was unable to configure your environment variables because the environment variables you have "
            "provided exceeded the 4KB limit."
        )


def encrypt(call: Call, place: Place, key_arn: str, role: str, variables: Mapping[str, str]) -> str:
    """The variables as they are stored; '' for none. key_arn: '' for aws/lambda of the function's account, which a
    caller of another account cannot use: it is asked by the function's role then. Raises
    InvalidParameterValueException for what KMS refuses."""
    if not variables:
        return ""
    data_key, nonce = AESGCM.generate_key(256), os.urandom(_NONCE)
    try:
        by = call
        if not key_arn and place.account != call.account:
            by = act_as(call, _by_role(place, role))
        answer = kms.Encrypt.ask(
            by,
            {"KeyId": key_arn or DEFAULT_KEY, "Plaintext": data_key, "EncryptionContext": _context(place)},
            via="lambda",
        )
    except AwsError as error:
        raise _refused(error, "Encrypt") from None
    assert "CiphertextBlob" in answer
    blob = answer["CiphertextBlob"]
    head = _HEAD.pack(_FORM, len(blob)) + blob
    sealed = AESGCM(data_key).encrypt(nonce, dumps(dict(variables)), head + place.arn.encode())
    return b64encode(head + nonce + sealed).decode()


def decrypt(call: Call, place: Place, stored: str) -> dict[str, str]:
    """The variables, by a call of whoever is to see them. Raises KMS's refusals, Tampered."""
    if not stored:
        return {}
    try:
        raw = b64decode(stored)
        form, length = _HEAD.unpack_from(raw)
    except (Base64Error, struct.error) as error:
        raise Tampered("the stored environment is unreadable") from error
    if form != _FORM:
        raise Tampered("the stored environment is of another form")
    head, rest = raw[: _HEAD.size + length], raw[_HEAD.size + length :]
    answer = kms.Decrypt.ask(
        call, {"CiphertextBlob": head[_HEAD.size :], "EncryptionContext": _context(place)}, via="lambda"
    )
    assert "Plaintext" in answer
    try:
        opened = AESGCM(answer["Plaintext"]).decrypt(rest[:_NONCE], rest[_NONCE:], head + place.arn.encode())
    except (InvalidTag, ValueError) as error:
        raise Tampered("the stored environment was altered") from error
    variables: dict[str, str] = loads(opened)
    return variables


def shown(call: Call, place: Place, version: Version) -> lambda_.EnvironmentResponse | None:
    """The variables as answers show them: decrypted as the caller, or why not."""
    if not version.variables:
        return None
    try:
        return {"Variables": decrypt(call, place, version.variables)}
    except AwsError as error:
        return {
            "Error": {
                "ErrorCode": error.code,
                "Message": "Lambda was unable to decrypt your environment variables because the KMS access was "
                "denied. Please check your KMS permissions. "
                f"KMS Exception: {error.code} KMS Message: {error.message}",
            }
        }


def grant(call: Call, place: Place, key_arn: str, role: str) -> str:
    """Let the function's role decrypt the variables, as the caller may let it: the grant's id."""
    try:
        answer = kms.CreateGrant.ask(
            call,
            {
                "KeyId": key_arn,
                "GranteePrincipal": role,
                "RetiringPrincipal": role,
                "Operations": ["Decrypt", "RetireGrant"],
                "Constraints": {"EncryptionContextEquals": _context(place)},
            },
            via="lambda",
        )
    except AwsError as error:
        raise _refused(error, "CreateGrant") from None
    assert "GrantId" in answer
    return answer["GrantId"]


def retire(call: Call, place: Place, version: Version) -> None:
    """Take the grant back, as the role that may; one that cannot be is left, good for nothing but what is no more."""
    if not version.grant:
        return
    try:
        kms.RetireGrant.ask(
            act_as(call, _by_role(place, version.settings["Role"])),
            {"KeyId": version.settings["KMSKeyArn"], "GrantId": version.grant},
            via="lambda",
        )
    except AwsError:
        return


def _by_role(place: Place, role: str) -> Actor:
    return Actor(SERVICE, place.account, place.region, place.arn, role=role, session=place.name)


def _context(place: Place) -> dict[str, str]:
    return {"aws:lambda:FunctionArn": place.arn}


def _refused(error: AwsError, operation: str) -> AwsError:
    return invalid(
        "Lambda was unable to configure access to your environment variables because the KMS key is invalid for "
        f"{operation}. Please check your KMS key settings. "
        f"KMS Exception: {error.code} KMS Message: {error.message}"
    )
