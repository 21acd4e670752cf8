"""Material made, stored, loaded, imported; and all that is no material of a spec."""

from __future__ import annotations

import pickle
from collections import deque

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_public_key,
)
from hypothesis import example, given
from hypothesis import strategies as st
from vectors_support import pkcs8

from casemate.engine.keys import SPECS, BadKeyMaterial, UnavailableSpec, generate, imported, load
from casemate.engine.keys import material as material_module
from casemate.engine.keys.material import _is_pkcs8
from casemate.engine.keys.operations import sign, verify

AVAILABLE = [spec.name for spec in SPECS.values() if spec.available and spec.name != "RSA_4096"]
"""RSA_4096 differs from the other sizes in nothing but the time that it takes."""

ASYMMETRIC = [name for name in AVAILABLE if SPECS[name].asymmetric]


@pytest.mark.parametrize("name", AVAILABLE)
def test_what_is_generated_loads_and_could_be_imported(name: str) -> None:
    stored = generate(name)
    material = load(name, stored, "its-id")
    assert material.spec.name == name
    assert imported(name, stored) == stored
    assert generate(name) != stored
    if material.spec.asymmetric:
        load_der_public_key(material.public_der())
    else:
        assert len(stored) == material.spec.bytes


@pytest.mark.parametrize("name", AVAILABLE)
def test_a_material_shows_no_secret(name: str) -> None:
    stored = generate(name)
    material = load(name, stored, "its-id")
    assert repr(material) == f"<Material {name} its-id>"
    with pytest.raises(TypeError):
        pickle.dumps(material)


def test_few_keys_are_kept_parsed_and_all_can_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(material_module, "_PARSED", 3)
    monkeypatch.setattr(material_module, "_parsed_ones", deque())
    keys = [load("ECC_NIST_P256", generate("ECC_NIST_P256")) for _ in range(10)]
    publics = {key.public_der() for key in keys}
    assert len(publics) == 10
    for key in keys:
        signature = sign(key, "ECDSA_SHA_256", b"message")
        verify(key, "ECDSA_SHA_256", b"message", signature)
    assert sum(key._pair is not None for key in keys) == 3
    assert {key.public_der() for key in keys} == publics


@pytest.mark.parametrize("name", ["SM2", "ML_KEM_512", "RSA_1024", ""])
def test_what_cryptography_has_not_is_not_available(name: str) -> None:
    for use in (generate, lambda name: load(name, b""), lambda name: imported(name, b"")):
        with pytest.raises(UnavailableSpec, match=f"{name} is not available"):
            use(name)


@pytest.mark.parametrize("name", ASYMMETRIC)
def test_a_key_of_another_spec_is_no_material(name: str) -> None:
    for other in ASYMMETRIC:
        if other != name:
            with pytest.raises(BadKeyMaterial, match=name):
                imported(name, generate(other))


@pytest.mark.parametrize("name", [name for name in AVAILABLE if not SPECS[name].asymmetric])
def test_bytes_of_another_length_are_no_material(name: str) -> None:
    right = SPECS[name].bytes
    for count in (0, right - 1, right + 1):
        with pytest.raises(BadKeyMaterial, match=f"{right} bytes, not {count}"):
            imported(name, bytes(count))


def test_other_curves_and_sizes_are_no_material() -> None:
    for private in (ec.generate_private_key(ec.SECP224R1()), ec.generate_private_key(ec.BrainpoolP256R1())):
        with pytest.raises(BadKeyMaterial):
            imported("ECC_NIST_P256", pkcs8(private))
    odd = rsa.generate_private_key(65537, 1024)
    with pytest.raises(BadKeyMaterial):
        imported("RSA_2048", pkcs8(odd))
    other = ed448.Ed448PrivateKey.generate()
    with pytest.raises(BadKeyMaterial):
        imported(
            "ECC_NIST_EDWARDS25519",
            other.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),
        )


def test_a_key_in_another_form_is_no_material() -> None:
    for name, private in (
        ("RSA_2048", rsa.generate_private_key(65537, 2048)),
        ("ECC_NIST_P256", ec.generate_private_key(ec.SECP256R1())),
    ):
        own_form = private.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())
        pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        encrypted = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, BestAvailableEncryption(b"pw"))
        for form in (own_form, pem, encrypted, pkcs8(private) + b"\0", pkcs8(private)[:-1]):
            with pytest.raises(BadKeyMaterial):
                imported(name, form)


def test_an_rsa_key_whose_parts_do_not_belong_together_is_no_material() -> None:
    private = rsa.generate_private_key(65537, 2048)
    other = rsa.generate_private_key(65537, 2048).private_numbers()
    numbers = private.private_numbers()
    mixed = rsa.RSAPrivateNumbers(
        p=numbers.p,
        q=numbers.q,
        d=other.d,
        dmp1=numbers.dmp1,
        dmq1=numbers.dmq1,
        iqmp=numbers.iqmp,
        public_numbers=numbers.public_numbers,
    )
    with pytest.raises(BadKeyMaterial):
        imported("RSA_2048", pkcs8(mixed.private_key(unsafe_skip_rsa_key_validation=True)))


@given(st.binary(max_size=200))
@example(b"")
@example(b"\x30")
@example(b"\x30\x80")
@example(b"\x30\xff\x02\x01")
def test_any_bytes_are_refused_in_one_way(plaintext: bytes) -> None:
    for name in ("RSA_2048", "ECC_NIST_P256", "ECC_NIST_EDWARDS25519", "ML_DSA_44", "ML_KEM_768"):
        with pytest.raises(BadKeyMaterial):
            imported(name, plaintext)


@given(st.data())
def test_an_altered_key_is_refused_or_is_another_key(data: st.DataObject) -> None:
    stored = _P256
    at = data.draw(st.integers(0, len(stored) - 1))
    altered = stored[:at] + bytes([stored[at] ^ data.draw(st.integers(1, 255))]) + stored[at + 1 :]
    try:
        again = imported("ECC_NIST_P256", altered)
    except BadKeyMaterial:
        return
    material = load("ECC_NIST_P256", again)
    assert material.private.public_key() == material.public


_P256 = generate("ECC_NIST_P256")


@pytest.mark.parametrize("name", ASYMMETRIC)
def test_pkcs8_is_told_from_other_forms(name: str) -> None:
    assert _is_pkcs8(generate(name))


def test_the_table_names_each_spec_once_and_says_what_it_is_for() -> None:
    for name, spec in SPECS.items():
        assert spec.name == name
        assert spec.algorithms
        assert spec.available or name in ("SM2", "ML_KEM_512")
        assert (spec.bytes > 0) is not spec.asymmetric
