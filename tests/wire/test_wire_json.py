from __future__ import annotations

import orjson
import pytest

from casemate import wire
from casemate.errors import AwsError


def parse(operation: str, body: object, service: str = "kms") -> dict[str, object]:
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    return wire.codec(service, operation, "json").parse("POST", b"/", b"", {}, raw)


def test_encrypt_is_read() -> None:
    assert parse("Encrypt", {"KeyId": "alias/a", "Plaintext": "aGVsbG8=", "Unknown": 1, "DryRun": None}) == {
        "KeyId": "alias/a",
        "Plaintext": b"hello",
    }


def test_missing_members_are_told_together() -> None:
    with pytest.raises(AwsError) as caught:
        parse("Encrypt", {})
    assert caught.value.code == "ValidationException"
    assert caught.value.message == (
        "2 validation errors detected: "
        "Value null at 'keyId' failed to satisfy constraint: Member must not be null; "
        "Value null at 'plaintext' failed to satisfy constraint: Member must not be null"
    )
