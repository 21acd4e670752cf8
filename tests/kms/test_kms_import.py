"""Imported key material by a real client, wrapped outside by `cryptography`."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from import_support import FOR_EVER, parameters, waiting, with_material
from kms_support import Kms, key_policy, refused, statement, user_arn

IRELAND = "eu-west-1"


def metadata(kms: Kms, key_id: str, region: str = "us-east-1") -> Any:
    return kms.of(region=region).describe_key(KeyId=key_id)["KeyMetadata"]


def states(kms: Kms, key_id: str, region: str = "us-east-1") -> list[tuple[str, str]]:
    listed = kms.of(region=region).list_key_rotations(KeyId=key_id, IncludeKeyMaterial="ALL_KEY_MATERIAL")
    return [(each["KeyMaterialState"], each["ImportState"]) for each in listed["Rotations"]]


@pytest.mark.parametrize("spec", ["RSA_2048", "RSA_3072", "RSA_4096"])
@pytest.mark.parametrize(
    "algorithm",
    ["RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256", "RSA_AES_KEY_WRAP_SHA_1", "RSA_AES_KEY_WRAP_SHA_256"],
)
def test_every_way_to_wrap(kms: Kms, algorithm: str, spec: str) -> None:
    key_id = waiting(kms)
    material = os.urandom(32)
    request = parameters(kms, key_id, material, algorithm=algorithm, spec=spec)
    answer = kms.of().import_key_material(**request, **FOR_EVER)
    assert answer["KeyMaterialId"] == metadata(kms, key_id)["CurrentKeyMaterialId"]
    blob = kms.of().encrypt(KeyId=key_id, Plaintext=b"imported")["CiphertextBlob"]
    assert kms.of().decrypt(CiphertextBlob=blob)["Plaintext"] == b"imported"


def test_a_key_waits_for_its_material(kms: Kms) -> None:
    made = kms.key(Origin="EXTERNAL")
    assert (made["KeyState"], made["Origin"], made["Enabled"]) == ("PendingImport", "EXTERNAL", False)
    assert not {"CurrentKeyMaterialId", "ExpirationModel", "ValidTo"} & made.keys()
    client = kms.of()
    uses: tuple[Callable[[], object], ...] = (
        lambda: client.encrypt(KeyId=made["KeyId"], Plaintext=b"x"),
        lambda: client.generate_data_key(KeyId=made["KeyId"], KeySpec="AES_256"),
        lambda: client.enable_key(KeyId=made["KeyId"]),
        lambda: client.disable_key(KeyId=made["KeyId"]),
        lambda: client.rotate_key_on_demand(KeyId=made["KeyId"]),
    )
    for use in uses:
        with refused("KMSInvalidStateException", f"{made['Arn']} is pending import."):
            use()
    assert client.delete_imported_key_material(KeyId=made["KeyId"])["KeyId"] == made["Arn"]
    with refused("NotFoundException"):
        client.delete_imported_key_material(KeyId=made["KeyId"], KeyMaterialId="ab" * 32)
    client.import_key_material(**parameters(kms, made["KeyId"], os.urandom(32)), **FOR_EVER)
    told = metadata(kms, made["KeyId"])
    assert (told["KeyState"], told["ExpirationModel"]) == ("Enabled", "KEY_MATERIAL_DOES_NOT_EXPIRE")


def test_deleted_material_must_come_back_itself(kms: Kms) -> None:
    client = kms.of()
    material = os.urandom(32)
    key_id = with_material(kms, material)
    blob = client.encrypt(KeyId=key_id, Plaintext=b"kept")["CiphertextBlob"]
    before = metadata(kms, key_id)
    gone = client.delete_imported_key_material(KeyId=key_id)
    assert gone["KeyMaterialId"] == before["CurrentKeyMaterialId"]
    assert metadata(kms, key_id)["KeyState"] == "PendingImport"
    assert states(kms, key_id) == [("CURRENT", "PENDING_IMPORT")]
    with refused("KMSInvalidStateException"):
        client.decrypt(CiphertextBlob=blob)
    with refused("IncorrectKeyMaterialException"):
        client.import_key_material(**parameters(kms, key_id, os.urandom(32)), **FOR_EVER)
    client.import_key_material(**parameters(kms, key_id, material), **FOR_EVER)
    assert client.decrypt(CiphertextBlob=blob)["Plaintext"] == b"kept"
    assert metadata(kms, key_id) == before


def test_material_expires(timed: Kms) -> None:
    client = timed.of()
    key = timed.key(Origin="EXTERNAL")
    material = os.urandom(32)
    expiry = timed.now() + timedelta(days=10)
    client.import_key_material(**parameters(timed, key["KeyId"], material), ValidTo=expiry)
    told = metadata(timed, key["KeyId"])
    assert (told["ExpirationModel"], told["ValidTo"]) == ("KEY_MATERIAL_EXPIRES", expiry)
    blob = client.encrypt(KeyId=key["KeyId"], Plaintext=b"kept")["CiphertextBlob"]
    timed.advance("9d")
    assert client.decrypt(CiphertextBlob=blob)["Plaintext"] == b"kept"
    timed.advance("1d1h")
    told = metadata(timed, key["KeyId"])
    assert told["KeyState"] == "PendingImport"
    assert "ValidTo" not in told
    (event,) = timed.events("DeleteExpiredKeyMaterial", key["Arn"], 1)
    assert event["eventType"] == "AwsServiceEvent"
    # It comes back for longer; the first time no longer counts.
    longer = timed.now() + timedelta(days=300)
    client.import_key_material(**parameters(timed, key["KeyId"], material), ValidTo=longer)
    timed.advance("20d")
    assert client.decrypt(CiphertextBlob=blob)["Plaintext"] == b"kept"
    client.import_key_material(**parameters(timed, key["KeyId"], material), **FOR_EVER)
    timed.advance("300d")
    assert client.decrypt(CiphertextBlob=blob)["Plaintext"] == b"kept"


def test_rotation_to_new_imported_material(kms: Kms) -> None:
    client = kms.of()
    first, second = os.urandom(32), os.urandom(32)
    key_id = with_material(kms, first)
    with refused("UnsupportedOperationException"):
        client.enable_key_rotation(KeyId=key_id)
    with refused("KMSInvalidStateException"):
        client.rotate_key_on_demand(KeyId=key_id)
    old = client.encrypt(KeyId=key_id, Plaintext=b"old")["CiphertextBlob"]
    new = client.import_key_material(
        **parameters(kms, key_id, second),
        **FOR_EVER,
        ImportType="NEW_KEY_MATERIAL",
        KeyMaterialDescription="second of two",
    )["KeyMaterialId"]
    assert states(kms, key_id) == [("CURRENT", "IMPORTED"), ("PENDING_ROTATION", "IMPORTED")]
    assert client.list_key_rotations(KeyId=key_id)["Rotations"] == []
    with refused("KMSInvalidStateException"):
        client.import_key_material(
            **parameters(kms, key_id, os.urandom(32)), **FOR_EVER, ImportType="NEW_KEY_MATERIAL"
        )
    client.rotate_key_on_demand(KeyId=key_id)
    (rotation,) = client.list_key_rotations(KeyId=key_id)["Rotations"]
    assert rotation["KeyMaterialId"] == new == metadata(kms, key_id)["CurrentKeyMaterialId"]
    assert (rotation["RotationType"], rotation["KeyMaterialDescription"]) == ("ON_DEMAND", "second of two")
    assert client.decrypt(CiphertextBlob=old)["Plaintext"] == b"old"

    # All that the key was ever used with is needed.
    first_id = client.list_key_rotations(KeyId=key_id, IncludeKeyMaterial="ALL_KEY_MATERIAL")["Rotations"][0]
    client.delete_imported_key_material(KeyId=key_id, KeyMaterialId=first_id["KeyMaterialId"])
    client.delete_imported_key_material(KeyId=key_id)
    client.import_key_material(**parameters(kms, key_id, first), **FOR_EVER)
    assert metadata(kms, key_id)["KeyState"] == "PendingImport"
    client.import_key_material(**parameters(kms, key_id, second), **FOR_EVER, KeyMaterialId=new)
    assert client.decrypt(CiphertextBlob=old)["Plaintext"] == b"old"


def test_material_that_waits_for_rotation_can_be_taken_back(kms: Kms) -> None:
    client = kms.of()
    key_id = with_material(kms, os.urandom(32))
    pending = client.import_key_material(
        **parameters(kms, key_id, os.urandom(32)), **FOR_EVER, ImportType="NEW_KEY_MATERIAL"
    )["KeyMaterialId"]
    client.delete_imported_key_material(KeyId=key_id, KeyMaterialId=pending)
    assert states(kms, key_id) == [("CURRENT", "IMPORTED")]
    assert metadata(kms, key_id)["KeyState"] == "Enabled"


def test_multi_region_keys_get_the_same_material_each(kms: Kms) -> None:
    client, ireland = kms.of(), kms.of(region=IRELAND)
    first, second = os.urandom(32), os.urandom(32)
    key_id = with_material(kms, first, MultiRegion=True)
    client.replicate_key(KeyId=key_id, ReplicaRegion=IRELAND)
    assert metadata(kms, key_id, IRELAND)["KeyState"] == "PendingImport"
    with refused("IncorrectKeyMaterialException"):
        ireland.import_key_material(**parameters(kms, key_id, os.urandom(32), region=IRELAND), **FOR_EVER)
    ireland.import_key_material(**parameters(kms, key_id, first, region=IRELAND), **FOR_EVER)
    blob = client.encrypt(KeyId=key_id, Plaintext=b"shared")["CiphertextBlob"]
    assert ireland.decrypt(CiphertextBlob=blob)["Plaintext"] == b"shared"

    with refused("UnsupportedOperationException"):
        ireland.import_key_material(
            **parameters(kms, key_id, second, region=IRELAND), **FOR_EVER, ImportType="NEW_KEY_MATERIAL"
        )
    client.import_key_material(**parameters(kms, key_id, second), **FOR_EVER, ImportType="NEW_KEY_MATERIAL")
    everywhere = "PENDING_MULTI_REGION_IMPORT_AND_ROTATION"
    assert states(kms, key_id) == [("CURRENT", "IMPORTED"), (everywhere, "IMPORTED")]
    assert states(kms, key_id, IRELAND) == [("CURRENT", "IMPORTED"), (everywhere, "PENDING_IMPORT")]
    with refused("KMSInvalidStateException"):
        client.rotate_key_on_demand(KeyId=key_id)
    ireland.import_key_material(**parameters(kms, key_id, second, region=IRELAND), **FOR_EVER)
    assert states(kms, key_id, IRELAND) == [("CURRENT", "IMPORTED"), ("PENDING_ROTATION", "IMPORTED")]
    client.rotate_key_on_demand(KeyId=key_id)
    rotated = ireland.encrypt(KeyId=key_id, Plaintext=b"rotated")["CiphertextBlob"]
    assert client.decrypt(CiphertextBlob=rotated)["Plaintext"] == b"rotated"


def test_material_that_waits_is_not_rotated_to_without_all_replicas(kms: Kms) -> None:
    client, ireland = kms.of(), kms.of(region=IRELAND)
    first, second = os.urandom(32), os.urandom(32)
    everywhere = "PENDING_MULTI_REGION_IMPORT_AND_ROTATION"
    key_id = with_material(kms, first, MultiRegion=True)
    pending = client.import_key_material(
        **parameters(kms, key_id, second),
        **FOR_EVER,
        ImportType="NEW_KEY_MATERIAL",
        KeyMaterialDescription="mine",
    )["KeyMaterialId"]
    assert states(kms, key_id)[1] == ("PENDING_ROTATION", "IMPORTED")

    client.replicate_key(KeyId=key_id, ReplicaRegion=IRELAND)
    assert states(kms, key_id)[1] == (everywhere, "IMPORTED")
    assert states(kms, key_id, IRELAND)[1] == (everywhere, "PENDING_IMPORT")
    ireland.import_key_material(**parameters(kms, key_id, first, region=IRELAND), **FOR_EVER)
    with refused("KMSInvalidStateException"):
        client.rotate_key_on_demand(KeyId=key_id)
    again = {**parameters(kms, key_id, second, region=IRELAND), **FOR_EVER}
    ireland.import_key_material(**again)
    assert states(kms, key_id)[1] == ("PENDING_ROTATION", "IMPORTED")

    ireland.delete_imported_key_material(KeyId=key_id, KeyMaterialId=pending)
    assert states(kms, key_id)[1] == (everywhere, "IMPORTED")
    with refused("KMSInvalidStateException"):
        client.rotate_key_on_demand(KeyId=key_id)
    assert metadata(kms, key_id, IRELAND)["KeyState"] == "Enabled"
    ireland.import_key_material(**again)
    client.rotate_key_on_demand(KeyId=key_id)
    rotated = ireland.encrypt(KeyId=key_id, Plaintext=b"rotated")["CiphertextBlob"]
    assert client.decrypt(CiphertextBlob=rotated)["Plaintext"] == b"rotated"


def test_a_primary_key_that_waits_for_its_replicas_deletion_goes_on_waiting(kms: Kms) -> None:
    client = kms.of()
    key_id = with_material(kms, os.urandom(32), MultiRegion=True)
    client.replicate_key(KeyId=key_id, ReplicaRegion=IRELAND)
    client.schedule_key_deletion(KeyId=key_id)
    client.delete_imported_key_material(KeyId=key_id)
    assert metadata(kms, key_id)["KeyState"] == "PendingReplicaDeletion"
    client.cancel_key_deletion(KeyId=key_id)
    assert metadata(kms, key_id)["KeyState"] == "PendingImport"


def test_a_disabled_key_takes_its_material_again_and_stays_disabled(kms: Kms) -> None:
    client = kms.of()
    material = os.urandom(32)
    key_id = with_material(kms, material)
    client.disable_key(KeyId=key_id)
    client.import_key_material(**parameters(kms, key_id, material), **FOR_EVER)
    assert metadata(kms, key_id)["KeyState"] == "Disabled"
    with refused("IncorrectKeyMaterialException"):
        client.import_key_material(**parameters(kms, key_id, os.urandom(32)), **FOR_EVER)


def test_a_key_without_its_material_is_not_replicated(kms: Kms) -> None:
    key_id = with_material(kms, os.urandom(32), MultiRegion=True)
    client = kms.of()
    client.delete_imported_key_material(KeyId=key_id)
    with refused("KMSInvalidStateException"):
        client.replicate_key(KeyId=key_id, ReplicaRegion=IRELAND)


# --- refusals


def test_a_token_is_for_one_key_and_for_a_day(timed: Kms) -> None:
    client = timed.of()
    key_id, other = waiting(timed), waiting(timed)
    request = parameters(timed, key_id, os.urandom(32))
    with refused("InvalidImportTokenException"):
        client.import_key_material(**{**request, "KeyId": other}, **FOR_EVER)
    token = request["ImportToken"]
    for broken in (token[:-1], token[:-1] + bytes([token[-1] ^ 1]), b"CMI\x01", b"x", token[:40]):
        with refused("InvalidImportTokenException"):
            client.import_key_material(**{**request, "ImportToken": broken}, **FOR_EVER)
    timed.advance("24h")
    with refused("ExpiredImportTokenException"):
        client.import_key_material(**request, **FOR_EVER)


def test_what_was_not_wrapped_by_the_tokens_key_is_refused(kms: Kms) -> None:
    client = kms.of()
    key_id = waiting(kms)
    request, other = (parameters(kms, key_id, os.urandom(32)) for _ in range(2))
    for material in (other["EncryptedKeyMaterial"], b"x", bytes(256), request["EncryptedKeyMaterial"] + b"x"):
        with refused("InvalidCiphertextException"):
            client.import_key_material(**{**request, "EncryptedKeyMaterial": material}, **FOR_EVER)
    assert metadata(kms, key_id)["KeyState"] == "PendingImport"


@pytest.mark.parametrize("length", [16, 31, 33])
def test_a_symmetric_key_has_32_bytes(kms: Kms, length: int) -> None:
    with refused("IncorrectKeyMaterialException"):
        kms.of().import_key_material(**parameters(kms, waiting(kms), os.urandom(length)), **FOR_EVER)


def test_only_for_keys_whose_material_comes_from_outside(kms: Kms) -> None:
    key = kms.key()
    text = f"{key['Arn']} origin is AWS_KMS which is not valid for this operation."
    with refused("UnsupportedOperationException", text):
        kms.of().get_parameters_for_import(
            KeyId=key["KeyId"], WrappingAlgorithm="RSAES_OAEP_SHA_256", WrappingKeySpec="RSA_2048"
        )
    with refused("UnsupportedOperationException", text):
        kms.of().import_key_material(
            KeyId=key["KeyId"], ImportToken=b"x", EncryptedKeyMaterial=b"x", **FOR_EVER
        )
    with refused("UnsupportedOperationException", text):
        kms.of().delete_imported_key_material(KeyId=key["KeyId"])


@pytest.mark.parametrize(
    ("algorithm", "spec"),
    [("RSAES_PKCS1_V1_5", "RSA_2048"), ("SM2PKE", "SM2"), ("RSAES_OAEP_SHA_256", "SM2")],
)
def test_ways_to_wrap_that_are_not_supported(kms: Kms, algorithm: str, spec: str) -> None:
    with refused("UnsupportedOperationException"):
        kms.of().get_parameters_for_import(
            KeyId=waiting(kms), WrappingAlgorithm=algorithm, WrappingKeySpec=spec
        )


def test_when_material_may_expire(timed: Kms) -> None:
    client = timed.of()
    request = parameters(timed, waiting(timed), os.urandom(32))
    now = timed.now()
    for wrong in (
        {},
        {"ExpirationModel": "KEY_MATERIAL_EXPIRES"},
        {"ValidTo": now - timedelta(seconds=5)},
        {"ValidTo": now + timedelta(days=366)},
        {"ValidTo": now + timedelta(days=5), **FOR_EVER},
    ):
        with refused("ValidationException"):
            client.import_key_material(**request, **wrong)


def test_new_material_has_no_id_yet(kms: Kms) -> None:
    request = parameters(kms, waiting(kms), os.urandom(32))
    with refused("ValidationException"):
        kms.of().import_key_material(
            **request, **FOR_EVER, ImportType="NEW_KEY_MATERIAL", KeyMaterialId="ab" * 32
        )
    with refused("IncorrectKeyMaterialException"):
        kms.of().import_key_material(**request, **FOR_EVER, ImportType="EXISTING_KEY_MATERIAL")


def test_states_that_refuse_an_import(kms: Kms) -> None:
    client = kms.of()
    key_id = with_material(kms, os.urandom(32))
    request = parameters(kms, key_id, os.urandom(32))
    client.schedule_key_deletion(KeyId=key_id)
    with refused("KMSInvalidStateException"):
        client.import_key_material(**request, **FOR_EVER)
    with refused("KMSInvalidStateException"):
        client.get_parameters_for_import(
            KeyId=key_id, WrappingAlgorithm="RSAES_OAEP_SHA_256", WrappingKeySpec="RSA_2048"
        )
    client.delete_imported_key_material(KeyId=key_id)
    assert metadata(kms, key_id)["KeyState"] == "PendingDeletion"
    client.cancel_key_deletion(KeyId=key_id)
    assert metadata(kms, key_id)["KeyState"] == "PendingImport"
    with refused("NotFoundException"):
        client.delete_imported_key_material(KeyId=key_id, KeyMaterialId="ab" * 32)


@pytest.mark.parametrize(
    ("operation", "condition"),
    [
        ("GetParametersForImport", {"StringEquals": {"kms:WrappingAlgorithm": "RSAES_OAEP_SHA_1"}}),
        ("GetParametersForImport", {"StringEquals": {"kms:WrappingKeySpec": "RSA_4096"}}),
        ("ImportKeyMaterial", {"StringEquals": {"kms:ExpirationModel": "KEY_MATERIAL_EXPIRES"}}),
        ("ImportKeyMaterial", {"DateLessThan": {"kms:ValidTo": "2020-01-01T00:00:00Z"}}),
    ],
)
def test_condition_keys(kms: Kms, operation: str, condition: Any) -> None:
    rest = [name for name in ("GetParametersForImport", "ImportKeyMaterial") if name != operation]
    policy = key_policy(
        statement(
            user_arn("admin"), "kms:PutKeyPolicy", "kms:DescribeKey", *(f"kms:{name}" for name in rest)
        ),
        statement(user_arn("admin"), f"kms:{operation}", Condition=condition),
    )
    key_id = waiting(kms, policy=policy)
    with refused("AccessDeniedException"):
        kms.of().import_key_material(**parameters(kms, key_id, os.urandom(32)), **FOR_EVER)


def test_the_audit_holds_no_material_and_no_token(kms: Kms) -> None:
    key_id = with_material(kms, os.urandom(32))
    arn = metadata(kms, key_id)["Arn"]
    (imported,) = kms.events("ImportKeyMaterial", arn, 1)
    assert not {"encryptedKeyMaterial", "importToken"} & imported["requestParameters"].keys(), imported
