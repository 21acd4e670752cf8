"""Recipient: answers for an enclave alone, policies on what was attested, and documents that prove nothing."""

from __future__ import annotations

import json
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from attestation_support import PCRS, enclave_key, opened, public_der
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_private_key,
    load_der_public_key,
)
from kms_support import (
    DELEGATION,
    Kms,
    access_key,
    key_policy,
    refused,
    seed,
    statement,
    user_arn,
)
from server_support import casemate, running_server

from casemate.engine.attestation.issuing import SIGNER_SECONDS, Authority

IMAGE = PCRS[0].hex()
USER = user_arn("nobody")

RANDOM_FOR_THE_ENCLAVE = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": "kms:GenerateRandom",
            "Resource": "*",
            "Condition": {"StringEquals": {"kms:RecipientAttestation:PCR0": IMAGE}},
        }
    ],
}
AUTHORITY = Authority.new(time.time() - 3600)


@pytest.fixture(scope="module")
def attesting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kms]:
    """A server that trusts AUTHORITY."""
    folder = tmp_path_factory.mktemp("attesting")
    accounts = seed()
    accounts["accounts"][0]["users"].append(
        {
            "name": "enclave",
            "inline_policies": {"random": json.dumps(RANDOM_FOR_THE_ENCLAVE)},
            "access_keys": [access_key("enclave")._asdict()],
        }
    )
    (folder / "seed.json").write_text(json.dumps(accounts))
    (folder / "roots.pem").write_bytes(Authority.new(time.time()).pem + AUTHORITY.pem)
    (folder / "casemate.toml").write_text('attestation_roots = "roots.pem"\n')
    with running_server(
        folder, "--dev", "--seed", str(folder / "seed.json"), "--config", str(folder / "casemate.toml")
    ) as server:
        yield Kms(server)


def document(pcrs: dict[int, bytes] = PCRS, authority: Authority = AUTHORITY, **more: Any) -> bytes:
    given: dict[str, Any] = {"public_key": public_der(), "now": time.time() - 60, **more}
    return authority.document(given.pop("public_key"), pcrs, given.pop("now"), **given)


def recipient(made: bytes | None = None) -> dict[str, Any]:
    return {
        "KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256",
        "AttestationDocument": document() if made is None else made,
    }


def conditional(key: str, value: str, operator: str = "StringEqualsIgnoreCase") -> dict[str, Any]:
    actions = ("kms:Decrypt", "kms:GenerateDataKey", "kms:GenerateDataKeyPair", "kms:Encrypt")
    return key_policy(DELEGATION, statement(USER, *actions, Condition={operator: {key: value}}))


def test_decrypt_answers_the_enclave_alone(attesting: Kms) -> None:
    client, key = attesting.of(), attesting.key()["Arn"]
    blob = client.encrypt(KeyId=key, Plaintext=b"a secret")["CiphertextBlob"]
    answer = client.decrypt(CiphertextBlob=blob, Recipient=recipient())
    assert "Plaintext" not in answer
    assert opened(answer["CiphertextForRecipient"], enclave_key()) == b"a secret"
    assert answer["KeyId"] == key
    assert answer["EncryptionAlgorithm"] == "SYMMETRIC_DEFAULT"
    assert "CiphertextForRecipient" not in client.decrypt(CiphertextBlob=blob)


def test_generate_data_key_answers_the_enclave_alone(attesting: Kms) -> None:
    client, key = attesting.of(), attesting.key()["Arn"]
    answer = client.generate_data_key(KeyId=key, KeySpec="AES_256", Recipient=recipient())
    assert "Plaintext" not in answer
    data_key = opened(answer["CiphertextForRecipient"], enclave_key())
    assert len(data_key) == 32
    assert client.decrypt(CiphertextBlob=answer["CiphertextBlob"])["Plaintext"] == data_key


def test_generate_random_answers_the_enclave_alone(attesting: Kms) -> None:
    answer = attesting.of().generate_random(NumberOfBytes=1024, Recipient=recipient())
    assert "Plaintext" not in answer
    assert len(opened(answer["CiphertextForRecipient"], enclave_key())) == 1024


def test_generate_data_key_pair_answers_the_enclave_alone(attesting: Kms) -> None:
    client, key = attesting.of(), attesting.key()["Arn"]
    answer = client.generate_data_key_pair(KeyId=key, KeyPairSpec="RSA_2048", Recipient=recipient())
    assert "PrivateKeyPlaintext" not in answer
    private = opened(answer["CiphertextForRecipient"], enclave_key())
    public = load_der_private_key(private, None).public_key()
    assert public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) == answer["PublicKey"]
    assert client.decrypt(CiphertextBlob=answer["PrivateKeyCiphertextBlob"])["Plaintext"] == private


def test_derive_shared_secret_answers_the_enclave_alone(attesting: Kms) -> None:
    usage: dict[str, Any] = {"KeyUsage": "KEY_AGREEMENT", "KeySpec": "ECC_NIST_P256"}
    client, key = attesting.of(), attesting.key(**usage)["Arn"]
    peer = ec.generate_private_key(ec.SECP256R1())
    answer = client.derive_shared_secret(
        KeyId=key,
        KeyAgreementAlgorithm="ECDH",
        PublicKey=peer.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        Recipient=recipient(),
    )
    assert "SharedSecret" not in answer
    ours = load_der_public_key(client.get_public_key(KeyId=key)["PublicKey"])
    assert isinstance(ours, ec.EllipticCurvePublicKey)
    secret = peer.exchange(ec.ECDH(), ours)
    assert opened(answer["CiphertextForRecipient"], enclave_key()) == secret


def test_a_document_may_be_used_again(attesting: Kms) -> None:
    again = recipient()
    first = attesting.of().generate_random(NumberOfBytes=32, Recipient=again)["CiphertextForRecipient"]
    second = attesting.of().generate_random(NumberOfBytes=32, Recipient=again)["CiphertextForRecipient"]
    assert opened(first, enclave_key()) != opened(second, enclave_key())


# --- what is attested, in policies


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("kms:RecipientAttestation:ImageSha384", IMAGE, True),
        ("kms:RecipientAttestation:ImageSha384", IMAGE.upper(), True),
        ("kms:RecipientAttestation:ImageSha384", "00" * 48, False),
        ("kms:RecipientAttestation:PCR0", IMAGE, True),
        ("kms:RecipientAttestation:PCR1", "01" * 48, True),
        ("kms:RecipientAttestation:PCR3", "01" * 48, False),
        ("kms:RecipientAttestation:PCR2", "00" * 48, False),
        ("kms:RecipientAttestation:PCR01", "01" * 48, False),
        ("kms:RecipientAttestation:NitroTPMPCR1", "01" * 48, False),
        ("kms:RecipientAttestation:Other", "01" * 48, False),
    ],
)
def test_a_key_policy_can_ask_for_an_enclave(attesting: Kms, name: str, value: str, allowed: bool) -> None:
    key = attesting.key(conditional(name, value))["Arn"]
    client = attesting.of("nobody")
    with refused("AccessDeniedException"):
        client.generate_data_key(KeyId=key, KeySpec="AES_256")
    if allowed:
        answer = client.generate_data_key(KeyId=key, KeySpec="AES_256", Recipient=recipient())
        assert "CiphertextForRecipient" in answer
        answer = client.generate_data_key_pair(KeyId=key, KeyPairSpec="ECC_NIST_P256", Recipient=recipient())
        assert "PrivateKeyPlaintext" not in answer
    else:
        with refused("AccessDeniedException"):
            client.generate_data_key(KeyId=key, KeySpec="AES_256", Recipient=recipient())


def test_a_key_policy_can_ask_for_a_tpm(attesting: Kms) -> None:
    key = attesting.key(conditional("kms:RecipientAttestation:NitroTPMPCR4", "04" * 48))["Arn"]
    client = attesting.of("nobody")
    registers = {4: b"\x04" * 48}
    attested = recipient(document(registers, tpm=True))
    assert "Plaintext" not in client.generate_data_key(KeyId=key, KeySpec="AES_256", Recipient=attested)
    for other in (document(registers), document({4: bytes(48)}, tpm=True)):
        with refused("AccessDeniedException"):
            client.generate_data_key(KeyId=key, KeySpec="AES_256", Recipient=recipient(other))
    enclaves = attesting.key(conditional("kms:RecipientAttestation:PCR4", "04" * 48))["Arn"]
    with refused("AccessDeniedException"):
        client.generate_data_key(KeyId=enclaves, KeySpec="AES_256", Recipient=attested)


def test_a_users_policy_can_ask_for_an_enclave(attesting: Kms) -> None:
    client = attesting.of("enclave")
    with refused("AccessDeniedException"):
        client.generate_random(NumberOfBytes=32)
    with refused("AccessDeniedException"):
        client.generate_random(NumberOfBytes=32, Recipient=recipient(document({0: bytes(48)})))
    assert "Plaintext" not in client.generate_random(NumberOfBytes=32, Recipient=recipient())


def test_a_deny_of_what_is_not_the_enclave(attesting: Kms) -> None:
    denied = {
        **statement("*", "kms:Decrypt"),
        "Effect": "Deny",
        "Principal": "*",
        "Condition": {"StringNotEqualsIgnoreCase": {"kms:RecipientAttestation:ImageSha384": IMAGE}},
    }
    key = attesting.key(key_policy(DELEGATION, denied))["Arn"]
    client = attesting.of()
    blob = client.encrypt(KeyId=key, Plaintext=b"a secret")["CiphertextBlob"]
    with refused("AccessDeniedException"):
        client.decrypt(CiphertextBlob=blob)
    with refused("AccessDeniedException"):
        client.decrypt(CiphertextBlob=blob, Recipient=recipient(document({0: bytes(48)})))
    assert "Plaintext" not in client.decrypt(CiphertextBlob=blob, Recipient=recipient())


def test_other_operations_have_no_attestation(attesting: Kms) -> None:
    key = attesting.key(conditional("kms:RecipientAttestation:ImageSha384", IMAGE))["Arn"]
    with refused("AccessDeniedException"):
        attesting.of("nobody").encrypt(KeyId=key, Plaintext=b"x")


# --- documents that prove nothing


def _altered(made: bytes) -> bytes:
    return made[:-1] + bytes([made[-1] ^ 1])


def _no_rsa() -> bytes:
    key = ec.generate_private_key(ec.SECP384R1()).public_key()
    return document(public_key=key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


INVALID = "The attestation document is not valid: "
BAD: list[tuple[Callable[[], bytes], str]] = [
    (lambda: b"not a document", INVALID + "The CBOR is cut short."),
    (lambda: bytes(262_144), INVALID + "The document is too large."),
    (lambda: _altered(document()), INVALID + "The document's signature is not valid."),
    (
        lambda: document(authority=Authority.new(time.time() - 3600)),
        INVALID + "The CA bundle does not begin with a trusted root.",
    ),
    (
        lambda: document(now=time.time() - SIGNER_SECONDS - 60),
        INVALID + "A certificate of the document has expired.",
    ),
    (
        lambda: document(now=time.time() + 3600),
        INVALID + "A certificate of the document is not valid yet.",
    ),
    (lambda: document(public_key=None), "The attestation document has no public key."),
    (_no_rsa, INVALID + "The document's public key is not RSA with 2048, 3072 or 4096 bits."),
]


@pytest.mark.parametrize(("make", "message"), BAD)
def test_a_document_that_proves_nothing_gets_nothing(
    attesting: Kms, make: Callable[[], bytes], message: str
) -> None:
    with refused("ValidationException", message):
        attesting.of().generate_random(NumberOfBytes=32, Recipient=recipient(make()))


def test_what_a_document_says_falsely_opens_no_key(attesting: Kms) -> None:
    """A forged document says what the policy wants, and one that does not want it does not help either."""
    forged = recipient(document(authority=Authority.new(time.time() - 3600)))
    client = attesting.of("nobody")
    wanted = attesting.key(conditional("kms:RecipientAttestation:ImageSha384", IMAGE))["Arn"]
    with refused("ValidationException"):
        client.generate_data_key(KeyId=wanted, KeySpec="AES_256", Recipient=forged)
    unwanted = attesting.key(conditional("kms:RecipientAttestation:ImageSha384", "0", "StringNotEquals"))
    with refused("ValidationException"):
        client.generate_data_key(KeyId=unwanted["Arn"], KeySpec="AES_256", Recipient=forged)
    nowhere = attesting.key(key_policy(DELEGATION, statement(USER, "kms:GenerateDataKey")))["Arn"]
    with refused("ValidationException"):
        client.generate_data_key(KeyId=nowhere, KeySpec="AES_256", Recipient=forged)


def test_half_a_recipient_is_none(attesting: Kms) -> None:
    client = attesting.of()
    for member in ("KeyEncryptionAlgorithm", "AttestationDocument"):
        half = recipient()
        del half[member]
        with refused("ValidationException", f"Recipient has no {member}."):
            client.generate_random(NumberOfBytes=32, Recipient=half)
    with refused("ValidationException"):
        other = {**recipient(), "KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_1"}
        client.generate_random(NumberOfBytes=32, Recipient=other)


def test_a_dry_run_looks_at_the_document(attesting: Kms) -> None:
    client, key = attesting.of(), attesting.key()["Arn"]
    with refused("DryRunOperationException", status=412):
        client.generate_data_key(KeyId=key, KeySpec="AES_256", Recipient=recipient(), DryRun=True)
    with refused("ValidationException"):
        client.generate_data_key(KeyId=key, KeySpec="AES_256", Recipient=recipient(b"no"), DryRun=True)


# What each operation needs besides, so that the document is looked at.
OPERATIONS: dict[str, dict[str, Any]] = {
    "Decrypt": {"CiphertextBlob": ...},
    "DeriveSharedSecret": {
        "KeyId": ...,
        "KeyAgreementAlgorithm": "ECDH",
        "PublicKey": ec.generate_private_key(ec.SECP256R1())
        .public_key()
        .public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
    },
    "GenerateDataKey": {"KeyId": ..., "KeySpec": "AES_256"},
    "GenerateDataKeyPair": {"KeyId": ..., "KeyPairSpec": "ECC_NIST_P256"},
    "GenerateRandom": {"NumberOfBytes": 32},
}


def test_no_operation_overlooks_a_recipient(attesting: Kms) -> None:
    model = botocore.session.Session().get_service_model("kms")
    inputs: dict[str, Any] = {name: model.operation_model(name).input_shape for name in model.operation_names}
    with_recipient = {name for name, shape in inputs.items() if "Recipient" in shape.members}
    assert with_recipient == set(OPERATIONS)
    symmetric = attesting.key()["Arn"]
    for name, given in OPERATIONS.items():
        more = dict(given)
        if "CiphertextBlob" in more:
            more["CiphertextBlob"] = attesting.of().encrypt(KeyId=symmetric, Plaintext=b"x")["CiphertextBlob"]
        if "KeyId" in more:
            agreement: dict[str, Any] = {"KeyUsage": "KEY_AGREEMENT", "KeySpec": "ECC_NIST_P256"}
            derives = name == "DeriveSharedSecret"
            more["KeyId"] = attesting.key(**agreement)["Arn"] if derives else symmetric
        method = getattr(attesting.of(), botocore.xform_name(name))
        with pytest.raises(ClientError) as caught:
            method(**more, Recipient=recipient(b"no"))
        assert caught.value.response["Error"]["Code"] == "ValidationException", name
        assert "CiphertextForRecipient" in method(**more, Recipient=recipient()), name


def test_without_a_root_there_are_no_recipients(kms: Kms) -> None:
    text = "Recipient is not served here: no root of attestation documents is configured (attestation_roots)."
    with refused("NotImplemented", text, 501):
        kms.of().generate_random(NumberOfBytes=32, Recipient=recipient())
    key = kms.key(conditional("kms:RecipientAttestation:ImageSha384", "0", "StringNotEquals"))["Arn"]
    with refused("NotImplemented", text, 501):
        kms.of("nobody").generate_data_key(KeyId=key, KeySpec="AES_256", Recipient=recipient())


def test_the_audit_shows_what_was_attested(attesting: Kms) -> None:
    client = attesting.of()
    answers = [
        client.generate_random(NumberOfBytes=32, Recipient=recipient()),
        client.generate_random(
            NumberOfBytes=32, Recipient=recipient(document({4: b"\x04" * 48, 5: bytes(48)}, tpm=True))
        ),
        client.generate_random(NumberOfBytes=32),
    ]
    printed = casemate("audit", "tail", "--json", "-n", "all", "--data", str(attesting.server.data)).stdout
    records = {record["requestID"]: record for record in map(json.loads, printed.splitlines())}
    of_enclave, of_tpm, plain = (records[each["ResponseMetadata"]["RequestId"]] for each in answers)
    assert of_enclave["additionalEventData"] == {
        "recipient": {
            "attestationDocumentModuleId": "i-0123456789abcdef0-enc0123456789abcdef",
            "attestationDocumentEnclaveImageDigest": b64encode(PCRS[0]).decode(),
            "attestationDocumentEnclavePCR1": "AQEB" * 16,
            "attestationDocumentEnclavePCR3": "AwMD" * 16,
        }
    }
    assert of_tpm["additionalEventData"]["recipient"]["attestationDocumentNitroTPMPCR4"] == "BAQE" * 16
    assert "attestationDocumentNitroTPMPCR5" not in of_tpm["additionalEventData"]["recipient"]
    assert "additionalEventData" not in plain


def test_a_file_that_holds_no_root_is_refused(tmp_path: Path) -> None:
    no_root = tmp_path / "roots.pem"
    for content in (b"", b"-----BEGIN CERTIFICATE-----\n", AUTHORITY.issue("region", time.time()).pem):
        no_root.write_bytes(content)
        done = casemate(
            "serve", "--data", str(tmp_path / "data"), env={"CASEMATE_ATTESTATION_ROOTS": str(no_root)}
        )
        assert done.returncode == 2
        assert "CASEMATE_ATTESTATION_ROOTS: must be a PEM file of self-signed CA certificates" in done.stderr
