"""MACs by a real client."""

from __future__ import annotations

import pytest
from kms_support import Kms, key_policy, refused, statement, user_arn

BITS = [224, 256, 384, 512]


@pytest.fixture(scope="module")
def keys(kms: Kms) -> dict[int, str]:
    return {bits: kms.key(KeySpec=f"HMAC_{bits}", KeyUsage="GENERATE_VERIFY_MAC")["Arn"] for bits in BITS}


@pytest.mark.parametrize("bits", BITS)
def test_a_mac_is_valid_for_its_message_only(kms: Kms, keys: dict[int, str], bits: int) -> None:
    request = {"KeyId": keys[bits], "MacAlgorithm": f"HMAC_SHA_{bits}"}
    made = kms.of().generate_mac(**request, Message=b"message")
    assert (made["KeyId"], made["MacAlgorithm"]) == (keys[bits], f"HMAC_SHA_{bits}")
    mac = made["Mac"]
    assert len(mac) == bits // 8
    answer = kms.of().verify_mac(**request, Message=b"message", Mac=mac)
    assert (answer["KeyId"], answer["MacValid"], answer["MacAlgorithm"]) == (
        keys[bits],
        True,
        f"HMAC_SHA_{bits}",
    )
    assert kms.of().generate_mac(**request, Message=b"message")["Mac"] == mac
    with refused("KMSInvalidMacException", ""):
        kms.of().verify_mac(**request, Message=b"Message", Mac=mac)
    for wrong in (b"x", mac[:-1], mac + b"x", bytes(len(mac))):
        with refused("KMSInvalidMacException", ""):
            kms.of().verify_mac(**request, Message=b"message", Mac=wrong)


@pytest.mark.parametrize("bits", BITS)
def test_algorithms_of_another_length(kms: Kms, keys: dict[int, str], bits: int) -> None:
    for other in BITS:
        if other != bits:
            request = {"KeyId": keys[bits], "MacAlgorithm": f"HMAC_SHA_{other}", "Message": b"m"}
            text = f"Algorithm HMAC_SHA_{other} is incompatible with key spec HMAC_{bits}."
            with refused("InvalidKeyUsageException", text):
                kms.of().generate_mac(**request)
            with refused("InvalidKeyUsageException", text):
                kms.of().verify_mac(**request, Mac=b"x")


def test_another_keys_mac(kms: Kms, keys: dict[int, str]) -> None:
    other = kms.key(KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC")["Arn"]
    request = {"Message": b"m", "MacAlgorithm": "HMAC_SHA_256"}
    mac = kms.of().generate_mac(KeyId=other, **request)["Mac"]
    with refused("KMSInvalidMacException", ""):
        kms.of().verify_mac(KeyId=keys[256], Mac=mac, **request)


def test_dry_runs(kms: Kms, keys: dict[int, str]) -> None:
    request = {"KeyId": keys[256], "Message": b"m", "MacAlgorithm": "HMAC_SHA_256"}
    text = "The request would have succeeded, but the DryRun option is set."
    mac = kms.of().generate_mac(**request, DryRun=False)["Mac"]
    with refused("DryRunOperationException", text, 412):
        kms.of().generate_mac(**request, DryRun=True)
    with refused("DryRunOperationException", text, 412):
        kms.of().verify_mac(**request, Mac=mac, DryRun=True)
    with refused("KMSInvalidMacException", ""):
        kms.of().verify_mac(**request, Mac=b"x", DryRun=True)


def test_a_condition_on_the_algorithm(kms: Kms) -> None:
    """kms:MacAlgorithm."""
    allowed = statement(
        user_arn("nobody"),
        "kms:GenerateMac",
        "kms:VerifyMac",
        Condition={"StringEquals": {"kms:MacAlgorithm": "HMAC_SHA_512"}},
    )
    arns = {
        bits: kms.key(
            key_policy(statement(user_arn("admin"), "kms:*"), allowed),
            KeySpec=f"HMAC_{bits}",
            KeyUsage="GENERATE_VERIFY_MAC",
        )["Arn"]
        for bits in (256, 512)
    }
    request = {"KeyId": arns[512], "Message": b"m", "MacAlgorithm": "HMAC_SHA_512"}
    mac = kms.of("nobody").generate_mac(**request)["Mac"]
    assert kms.of("nobody").verify_mac(**request, Mac=mac)["MacValid"] is True
    with refused("AccessDeniedException"):
        kms.of("nobody").generate_mac(KeyId=arns[256], Message=b"m", MacAlgorithm="HMAC_SHA_256")
