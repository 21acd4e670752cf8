"""Encryption under KMS keys by a real client: what comes back, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError
from kms_support import ABSENT_ID, ACCOUNT, REGION, Kms, refused


@pytest.fixture(scope="module")
def key(kms: Kms) -> str:
    return str(kms.key()["Arn"])


@pytest.fixture(scope="module")
def other_key(kms: Kms) -> str:
    return str(kms.key()["Arn"])


def test_what_was_encrypted_comes_back(kms: Kms, key: str) -> None:
    sealed = kms.of().encrypt(KeyId=key, Plaintext=b"attack at dawn")
    assert sealed["KeyId"] == key
    assert sealed["EncryptionAlgorithm"] == "SYMMETRIC_DEFAULT"
    assert b"attack" not in sealed["CiphertextBlob"]
    opened = kms.of().decrypt(CiphertextBlob=sealed["CiphertextBlob"])
    assert opened["Plaintext"] == b"attack at dawn"
    assert opened["KeyId"] == key
    current = kms.of().describe_key(KeyId=key)["KeyMetadata"]["CurrentKeyMaterialId"]
    assert opened["KeyMaterialId"] == current


@pytest.mark.parametrize("size", [1, 4096])
def test_plaintexts_from_1_to_4096_bytes(kms: Kms, key: str, size: int) -> None:
    blob = kms.of().encrypt(KeyId=key, Plaintext=b"x" * size)["CiphertextBlob"]
    assert len(blob) <= 6144, "a ciphertext must be short enough to be decrypted"
    assert kms.of().decrypt(CiphertextBlob=blob)["Plaintext"] == b"x" * size


def test_larger_plaintexts_are_refused(kms: Kms, key: str) -> None:
    with refused(
        "ValidationException",
        "1 validation error detected: Value at 'plaintext' failed to satisfy constraint: Member must have "
        "length less than or equal to 4096",
    ):
        kms.of().encrypt(KeyId=key, Plaintext=b"x" * 4097)


def test_the_same_plaintext_never_looks_the_same(kms: Kms, key: str) -> None:
    blobs = {kms.of().encrypt(KeyId=key, Plaintext=b"same")["CiphertextBlob"] for _ in range(5)}
    assert len(blobs) == 5


def test_the_encryption_context_must_be_the_same(kms: Kms, key: str) -> None:
    context = {"app": "shop", "Stage": "prod"}
    blob = kms.of().encrypt(KeyId=key, Plaintext=b"x", EncryptionContext=context)["CiphertextBlob"]
    reordered = dict(reversed(context.items()))
    assert kms.of().decrypt(CiphertextBlob=blob, EncryptionContext=reordered)["Plaintext"] == b"x"
    wrong: list[dict[str, str]] = [
        {},
        {"app": "shop"},
        {**context, "more": "1"},
        {"app": "shop", "stage": "prod"},
        {"app": "Shop", "Stage": "prod"},
        {"app": "prod", "Stage": "shop"},
    ]
    for each in wrong:
        with refused("InvalidCiphertextException", ""):
            kms.of().decrypt(CiphertextBlob=blob, EncryptionContext=each)


def test_an_encryption_context_is_bounded(kms: Kms, key: str) -> None:
    kms.of().encrypt(KeyId=key, Plaintext=b"x", EncryptionContext={"k": "v" * 8191})
    with refused("ValidationException"):
        kms.of().encrypt(KeyId=key, Plaintext=b"x", EncryptionContext={"k": "v" * 8192})


def test_altered_ciphertexts_are_refused(kms: Kms, key: str) -> None:
    blob = kms.of().encrypt(KeyId=key, Plaintext=b"secret")["CiphertextBlob"]
    for place in (0, 4, 25, len(blob) - 30, len(blob) - 1):
        altered = bytearray(blob)
        altered[place] ^= 1
        with refused("InvalidCiphertextException", ""):
            kms.of().decrypt(CiphertextBlob=bytes(altered))
    for cut in (b"x", blob[:-1], blob + b"x", blob[:40], b"\0" * 200):
        with refused("InvalidCiphertextException", ""):
            kms.of().decrypt(CiphertextBlob=cut)


def test_a_ciphertext_of_a_key_that_does_not_exist(kms: Kms, key: str) -> None:
    blob = kms.of().encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    moved = blob.replace(key[-36:].encode(), ABSENT_ID.encode())
    text = (
        "The ciphertext refers to a customer master key that does not exist, does not exist in this region, "
        "or you are not allowed to access."
    )
    with refused("AccessDeniedException", text):
        kms.of().decrypt(CiphertextBlob=moved)
    with refused("AccessDeniedException", text):
        kms.of(region="eu-west-1").decrypt(CiphertextBlob=blob)


@pytest.mark.parametrize("user", ["stranger", "nobody"])
def test_who_may_not_decrypt_does_not_learn_whether_the_key_exists(kms: Kms, key: str, user: str) -> None:
    blob = kms.of().encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    answers = []
    for key_id in (key[-36:], ABSENT_ID):
        with pytest.raises(ClientError) as caught:
            kms.of(user).decrypt(CiphertextBlob=blob.replace(key[-36:].encode(), key_id.encode()))
        error = caught.value.response["Error"]
        answers.append((error["Code"], error["Message"].replace(key_id, "ID")))
    assert answers[0] == answers[1]
    assert answers[0][0] == "AccessDeniedException"


def test_key_id_must_name_the_ciphertexts_key(kms: Kms, key: str, other_key: str) -> None:
    blob = kms.of().encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    kms.of().create_alias(AliasName="alias/crypto-own", TargetKeyId=key)
    kms.of().create_alias(AliasName="alias/crypto-other", TargetKeyId=other_key)
    for name in (key, key[-36:], "alias/crypto-own", f"arn:aws:kms:{REGION}:{ACCOUNT}:alias/crypto-own"):
        assert kms.of().decrypt(CiphertextBlob=blob, KeyId=name)["Plaintext"] == b"x", name
    for name in (other_key, other_key[-36:], "alias/crypto-other", ABSENT_ID):
        with refused(
            "IncorrectKeyException",
            "The key ID in the request does not identify a CMK that can perform this operation.",
        ):
            kms.of().decrypt(CiphertextBlob=blob, KeyId=name)
    missing = f"arn:aws:kms:{REGION}:{ACCOUNT}:alias/crypto-none"
    with refused("NotFoundException", f"Alias {missing} is not found."):
        kms.of().decrypt(CiphertextBlob=blob, KeyId="alias/crypto-none")


def test_decrypt_needs_a_ciphertext(kms: Kms, key: str) -> None:
    with refused("ValidationException"):
        kms.of().decrypt(KeyId=key)


def test_other_algorithms_are_refused(kms: Kms, key: str) -> None:
    blob = kms.of().encrypt(KeyId=key, Plaintext=b"x", EncryptionAlgorithm="SYMMETRIC_DEFAULT")[
        "CiphertextBlob"
    ]
    text = "Algorithm RSAES_OAEP_SHA_256 is incompatible with key spec SYMMETRIC_DEFAULT."
    with refused("InvalidKeyUsageException", text):
        kms.of().encrypt(KeyId=key, Plaintext=b"x", EncryptionAlgorithm="RSAES_OAEP_SHA_256")
    with refused("InvalidKeyUsageException", text):
        kms.of().decrypt(KeyId=key, CiphertextBlob=blob, EncryptionAlgorithm="RSAES_OAEP_SHA_256")


def test_re_encrypt_moves_a_ciphertext_to_another_key_and_context(kms: Kms, key: str, other_key: str) -> None:
    blob = kms.of().encrypt(KeyId=key, Plaintext=b"moved", EncryptionContext={"a": "1"})["CiphertextBlob"]
    moved = kms.of().re_encrypt(
        CiphertextBlob=blob,
        SourceEncryptionContext={"a": "1"},
        SourceKeyId=key,
        DestinationKeyId=other_key,
        DestinationEncryptionContext={"b": "2"},
    )
    assert (moved["SourceKeyId"], moved["KeyId"]) == (key, other_key)
    assert moved["SourceKeyMaterialId"] != moved["DestinationKeyMaterialId"]
    opened = kms.of().decrypt(CiphertextBlob=moved["CiphertextBlob"], EncryptionContext={"b": "2"})
    assert (opened["Plaintext"], opened["KeyId"]) == (b"moved", other_key)
    with refused("InvalidCiphertextException", ""):
        kms.of().re_encrypt(CiphertextBlob=blob, DestinationKeyId=other_key)
    with refused("IncorrectKeyException"):
        kms.of().re_encrypt(
            CiphertextBlob=blob,
            SourceEncryptionContext={"a": "1"},
            SourceKeyId=other_key,
            DestinationKeyId=other_key,
        )
    absent = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{ABSENT_ID}"
    with refused("NotFoundException", f"Key '{absent}' does not exist"):
        kms.of().re_encrypt(
            CiphertextBlob=blob, SourceEncryptionContext={"a": "1"}, DestinationKeyId=ABSENT_ID
        )


@pytest.mark.parametrize(
    ("wanted", "size"),
    [({"KeySpec": "AES_256"}, 32), ({"KeySpec": "AES_128"}, 16), ({"NumberOfBytes": 1024}, 1024)],
)
def test_data_keys(kms: Kms, key: str, wanted: dict[str, object], size: int) -> None:
    context = {"volume": "7"}
    both = kms.of().generate_data_key(KeyId=key, EncryptionContext=context, **wanted)
    assert len(both["Plaintext"]) == size
    assert both["KeyId"] == key
    opened = kms.of().decrypt(CiphertextBlob=both["CiphertextBlob"], EncryptionContext=context)
    assert opened["Plaintext"] == both["Plaintext"]
    assert both["KeyMaterialId"] == opened["KeyMaterialId"]
    sealed = kms.of().generate_data_key_without_plaintext(KeyId=key, EncryptionContext=context, **wanted)
    assert "Plaintext" not in sealed
    opened = kms.of().decrypt(CiphertextBlob=sealed["CiphertextBlob"], EncryptionContext=context)
    assert len(opened["Plaintext"]) == size


@pytest.mark.parametrize("wanted", [{}, {"KeySpec": "AES_256", "NumberOfBytes": 32}])
def test_a_data_keys_length_is_said_once(kms: Kms, key: str, wanted: dict[str, object]) -> None:
    for operation in (kms.of().generate_data_key, kms.of().generate_data_key_without_plaintext):
        with refused("ValidationException", "Please specify either number of bytes or key spec."):
            operation(KeyId=key, **wanted)


def test_generate_random(kms: Kms) -> None:
    drawn = [kms.of().generate_random(NumberOfBytes=size)["Plaintext"] for size in (1, 32, 1024)]
    assert [len(each) for each in drawn] == [1, 32, 1024]
    with refused("ValidationException", "NumberOfBytes is required."):
        kms.of().generate_random()
    with refused("CustomKeyStoreNotFoundException"):
        kms.of().generate_random(NumberOfBytes=8, CustomKeyStoreId="cks-1234567890abcdef0")


def test_dry_runs_end_before_anything_is_done(kms: Kms, key: str, other_key: str) -> None:
    blob = kms.of().encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    text = "The request would have succeeded, but the DryRun option is set."
    tries: list[Callable[[bool], Any]] = [
        lambda dry: kms.of().encrypt(KeyId=key, Plaintext=b"x", DryRun=dry),
        lambda dry: kms.of().decrypt(CiphertextBlob=blob, DryRun=dry),
        lambda dry: kms.of().re_encrypt(CiphertextBlob=blob, DestinationKeyId=other_key, DryRun=dry),
        lambda dry: kms.of().generate_data_key(KeyId=key, KeySpec="AES_256", DryRun=dry),
        lambda dry: kms.of().generate_data_key_without_plaintext(KeyId=key, KeySpec="AES_256", DryRun=dry),
    ]
    for each in tries:
        with refused("DryRunOperationException", text, 412):
            each(True)
        each(False)
    with refused("InvalidCiphertextException", ""):
        kms.of().decrypt(CiphertextBlob=blob, EncryptionContext={"a": "b"}, DryRun=True)
    with refused("DryRunOperationException", text, 412):
        kms.of().decrypt(KeyId=key, DryRun=True, DryRunModifiers=["IGNORE_CIPHERTEXT"])
    with refused("ValidationException"):
        kms.of().decrypt(DryRun=True, DryRunModifiers=["IGNORE_CIPHERTEXT"])
    with refused("ValidationException"):
        kms.of().decrypt(KeyId=key, DryRunModifiers=["IGNORE_CIPHERTEXT"])
    with refused("AccessDeniedException"):
        kms.of("nobody").decrypt(KeyId=key, DryRun=True, DryRunModifiers=["IGNORE_CIPHERTEXT"])


def test_grant_tokens_are_of_no_grant(kms: Kms, key: str) -> None:
    blob = kms.of().encrypt(KeyId=key, Plaintext=b"x", GrantTokens=[])["CiphertextBlob"]
    calls: list[Callable[[], Any]] = [
        lambda: kms.of().encrypt(KeyId=key, Plaintext=b"x", GrantTokens=["t"]),
        lambda: kms.of().decrypt(CiphertextBlob=blob, GrantTokens=["t"]),
        lambda: kms.of().generate_data_key(KeyId=key, KeySpec="AES_256", GrantTokens=["t"]),
        lambda: kms.of().describe_key(KeyId=key, GrantTokens=["t"]),
    ]
    for call in calls:
        with refused("InvalidGrantTokenException"):
            call()
