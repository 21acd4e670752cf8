"""Operations against ``cryptography`` as the opposite end, and each of their refusals."""

from __future__ import annotations

import hashlib
from functools import cache

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key
from hypothesis import given
from hypothesis import strategies as st
from vectors_support import spki

from casemate.engine.keys import (
    SPECS,
    BadEncryption,
    BadPublicKey,
    BadSignature,
    Material,
    WrongLength,
    WrongMessageType,
    generate,
    load,
)
from casemate.engine.keys.operations import (
    DIGEST,
    EXTERNAL_MU,
    decapsulate,
    decrypt,
    derive,
    encapsulate,
    encrypt,
    longest_plaintext,
    sign,
    verify,
)
from casemate.engine.keys.specs import ENCRYPT_DECRYPT, KEY_AGREEMENT, SIGN_VERIFY

SIGNING = [
    (spec.name, algorithm)
    for spec in SPECS.values()
    if not spec.name.startswith(("RSA_3", "RSA_4"))
    for algorithm in spec.algorithms.get(SIGN_VERIFY, ())
]
DIGESTING = [(name, algorithm) for name, algorithm in SIGNING if algorithm[:2] in ("RS", "EC")]
messages = st.binary(min_size=1, max_size=4096)


@cache
def material(name: str) -> Material:
    return load(name, generate(name))


def digest_of(algorithm: str, message: bytes) -> bytes:
    return hashlib.new(f"sha{algorithm[-3:]}", message).digest()


@pytest.mark.parametrize(("name", "algorithm"), SIGNING)
@given(message=messages)
def test_a_signature_is_valid_for_its_message_only(name: str, algorithm: str, message: bytes) -> None:
    key = material(name)
    signature = sign(key, algorithm, message)
    verify(key, algorithm, message, signature)
    with pytest.raises(BadSignature):
        verify(key, algorithm, message + b"\0", signature)
    with pytest.raises(BadSignature):
        verify(load(name, _other(name)), algorithm, message, signature)


@cache
def _other(name: str) -> bytes:
    return generate(name)


@pytest.mark.parametrize(("name", "algorithm"), DIGESTING)
def test_a_message_and_its_digest_have_the_same_signatures(name: str, algorithm: str) -> None:
    key, message = material(name), b"message"
    digest = digest_of(algorithm, message)
    verify(key, algorithm, digest, sign(key, algorithm, message), DIGEST)
    verify(key, algorithm, message, sign(key, algorithm, digest, DIGEST))


@pytest.mark.parametrize(("name", "algorithm"), DIGESTING)
def test_a_digest_of_another_length_is_refused(name: str, algorithm: str) -> None:
    key = material(name)
    right = int(algorithm[-3:]) // 8
    for count in (0, 20, right - 1, right + 1):
        with pytest.raises(WrongLength, match=f"{right} bytes"):
            sign(key, algorithm, bytes(count), DIGEST)
        with pytest.raises(WrongLength, match=f"{right} bytes"):
            verify(key, algorithm, bytes(count), b"signature", DIGEST)


@pytest.mark.parametrize("size", [44, 65, 87])
def test_ml_dsa_takes_a_message_or_its_representative(size: int) -> None:
    key, algorithm, message = material(f"ML_DSA_{size}"), "ML_DSA_SHAKE_256", b"message"
    public = hashlib.shake_256(key.public.public_bytes_raw()).digest(64)
    mu = hashlib.shake_256(public + b"\0\0" + message).digest(64)
    verify(key, algorithm, mu, sign(key, algorithm, message), EXTERNAL_MU)
    verify(key, algorithm, message, sign(key, algorithm, mu, EXTERNAL_MU))
    for count in (0, 32, 63, 65):
        with pytest.raises(WrongLength, match="64 bytes"):
            sign(key, algorithm, bytes(count), EXTERNAL_MU)
    with pytest.raises(BadSignature):
        verify(key, algorithm, bytes(64), sign(key, algorithm, message), EXTERNAL_MU)


@pytest.mark.parametrize(
    ("name", "algorithm", "message_type"),
    [
        ("ECC_NIST_EDWARDS25519", "ED25519_SHA_512", DIGEST),
        ("ECC_NIST_EDWARDS25519", "ED25519_SHA_512", EXTERNAL_MU),
        ("ML_DSA_44", "ML_DSA_SHAKE_256", DIGEST),
        ("ECC_NIST_P256", "ECDSA_SHA_256", EXTERNAL_MU),
        ("RSA_2048", "RSASSA_PSS_SHA_512", EXTERNAL_MU),
    ],
)
def test_a_message_type_that_the_algorithm_has_not_is_refused(
    name: str, algorithm: str, message_type: str
) -> None:
    with pytest.raises(WrongMessageType, match=message_type):
        sign(material(name), algorithm, bytes(64), message_type)
    with pytest.raises(WrongMessageType, match=message_type):
        verify(material(name), algorithm, bytes(64), b"signature", message_type)


@pytest.mark.parametrize(("name", "algorithm"), SIGNING)
@given(signature=st.binary(max_size=300))
def test_any_bytes_as_a_signature_are_refused_in_one_way(name: str, algorithm: str, signature: bytes) -> None:
    with pytest.raises(BadSignature):
        verify(material(name), algorithm, b"message", signature)


def test_pss_is_made_as_kms_documents_it() -> None:
    key = material("RSA_2048")
    public = load_der_public_key(key.public_der())
    assert isinstance(public, rsa.RSAPublicKey)
    for size, hashed in ((256, hashes.SHA256()), (384, hashes.SHA384()), (512, hashes.SHA512())):
        algorithm = f"RSASSA_PSS_SHA_{size}"
        form = padding.PSS(padding.MGF1(hashed), hashed.digest_size)
        public.verify(sign(key, algorithm, b"m"), b"m", form, hashed)
        verify(key, algorithm, b"m", key.private.sign(b"m", form, hashed))
        longest = padding.PSS(padding.MGF1(hashed), padding.PSS.MAX_LENGTH)
        with pytest.raises(BadSignature):
            verify(key, algorithm, b"m", key.private.sign(b"m", longest, hashed))


# --- encryption

OAEP = SPECS["RSA_2048"].algorithms[ENCRYPT_DECRYPT]


@pytest.mark.parametrize(("algorithm", "most"), [(OAEP[0], 214), (OAEP[1], 190)])
def test_encryption_takes_as_much_as_the_modulus_leaves(algorithm: str, most: int) -> None:
    key = material("RSA_2048")
    assert longest_plaintext(key, algorithm) == most
    for count in (0, 1, most):
        assert decrypt(key, algorithm, encrypt(key, algorithm, bytes(count))) == bytes(count)
    with pytest.raises(WrongLength, match=f"{most} bytes"):
        encrypt(key, algorithm, bytes(most + 1))


@pytest.mark.parametrize("algorithm", OAEP)
@given(ciphertext=st.binary(max_size=300) | st.binary(min_size=256, max_size=256))
def test_any_bytes_as_a_ciphertext_are_refused_in_one_way(algorithm: str, ciphertext: bytes) -> None:
    with pytest.raises(BadEncryption, match="the ciphertext is not valid"):
        decrypt(material("RSA_2048"), algorithm, ciphertext)


def test_the_other_algorithm_does_not_decrypt() -> None:
    key = material("RSA_2048")
    for one, other in (OAEP, OAEP[::-1]):
        with pytest.raises(BadEncryption):
            decrypt(key, other, encrypt(key, one, b"secret"))


# --- secrets that are shared


@pytest.mark.parametrize("name", [name for name, spec in SPECS.items() if spec.algorithms.get(KEY_AGREEMENT)])
def test_two_sides_derive_the_same(name: str) -> None:
    ours, theirs = material(name), load(name, generate(name))
    secret = derive(ours, theirs.public_der())
    assert secret == derive(theirs, ours.public_der())
    assert len(secret) == (ours.private.key_size + 7) // 8


def test_a_peer_on_another_curve_or_of_another_kind_is_refused() -> None:
    ours = material("ECC_NIST_P256")
    others = (
        material("ECC_NIST_P384").public_der(),
        material("ECC_SECG_P256K1").public_der(),
        material("RSA_2048").public_der(),
        material("ECC_NIST_EDWARDS25519").public_der(),
        spki(ec.generate_private_key(ec.BrainpoolP256R1()).public_key()),
        ours.public_der()[:-1],
        ours.public_der() + b"\0",
    )
    for peer in others:
        with pytest.raises(BadPublicKey):
            derive(ours, peer)


@given(data=st.data())
def test_an_altered_public_key_is_refused_or_another_point(data: st.DataObject) -> None:
    ours = material("ECC_NIST_P256")
    peer = bytearray(ours.public_der())
    at = data.draw(st.integers(0, len(peer) - 1))
    peer[at] ^= data.draw(st.integers(1, 255))
    try:
        secret = derive(ours, bytes(peer))
    except BadPublicKey:
        return
    assert secret != derive(ours, ours.public_der()) or at >= len(peer) - 32


@pytest.mark.parametrize(("name", "count"), [("ML_KEM_768", 1088), ("ML_KEM_1024", 1568)])
def test_what_was_encapsulated_is_decapsulated(name: str, count: int) -> None:
    key = material(name)
    secret, encapsulation = encapsulate(key)
    assert (len(secret), len(encapsulation)) == (32, count)
    assert decapsulate(key, encapsulation) == secret
    altered = bytes([encapsulation[0] ^ 1]) + encapsulation[1:]
    assert decapsulate(key, altered) not in (secret, bytes(32))
    assert decapsulate(key, altered) == decapsulate(key, altered)
    for wrong in (b"", encapsulation[:-1], encapsulation + b"\0"):
        with pytest.raises(BadEncryption):
            decapsulate(key, wrong)
