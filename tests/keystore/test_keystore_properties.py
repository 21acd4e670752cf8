"""Whatever a proxy answers, and whatever a client calls a ciphertext: understood, or refused by the error for it."""

from __future__ import annotations

import json
import os
from base64 import b64encode
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from casemate.engine.envelope.errors import BadCiphertext
from casemate.engine.envelope.message import BY_EXTERNAL_KEY, BY_HSM, BackingKey, read_header
from casemate.engine.keystore import xks_messages
from casemate.engine.keystore.blobs import open_in_hsm, open_twice, seal_in_hsm, seal_twice
from casemate.engine.keystore.errors import Failure, KeyStoreError
from casemate.engine.keystore.xks_messages import Layer

ARN = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
KEY = BackingKey("material", os.urandom(32))

_scalars = (
    st.none() | st.booleans() | st.integers() | st.text(max_size=40) | st.sampled_from(("AAAA", "ENABLED"))
)
_values = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
)
_names = st.sampled_from(
    (
        *("ciphertext", "initializationVector", "authenticationTag", "ciphertextMetadata", "plaintext"),
        *("ciphertextDataIntegrityValue", "keySpec", "keyUsage", "keyStatus", "ekmFleetDetails", "errorName"),
        *("errorMessage", "xksProxyFleetSize", "xksProxyVendor", "xksProxyModel", "ekmVendor"),
    )
)


def refusal(do: Callable[[], object]) -> KeyStoreError | BadCiphertext | None:
    """How it was refused; None when it was not."""
    try:
        do()
    except (KeyStoreError, BadCiphertext) as error:
        return error
    return None


answers = st.binary(max_size=80) | st.dictionaries(_names, _values, max_size=8).map(
    lambda value: json.dumps(value).encode()
)
statuses = st.sampled_from((200, 204, 301, 400, 401, 403, 404, 429, 500, 501, 503))


@given(status=statuses, body=answers)
@example(status=200, body=b"[" * 50_000)
@example(status=400, body=b'{"errorName": {}}')
def test_any_answer_is_understood_or_refused(status: int, body: bytes) -> None:
    reads: list[Callable[[], object]] = [
        lambda: xks_messages.read_health(status, body),
        lambda: xks_messages.read_key(status, body),
        lambda: xks_messages.read_encrypted(status, body, b"abc", b""),
        lambda: xks_messages.read_decrypted(status, body, b"abc"),
    ]
    for read in reads:
        error = refusal(read)
        assert error is not None or status == 200
        if isinstance(error, KeyStoreError) and status == 200:
            assert error.failure in (Failure.MALFORMED, Failure.UNHEALTHY)


@given(
    plaintext=st.binary(max_size=60),
    aad=st.binary(max_size=40),
    nonce=st.binary(min_size=11, max_size=17),
    tag=st.binary(min_size=15, max_size=17),
    metadata=st.binary(max_size=22),
)
def test_a_layer_is_taken_just_when_its_lengths_are_those_of_the_specification(
    plaintext: bytes, aad: bytes, nonce: bytes, tag: bytes, metadata: bytes
) -> None:
    whole = sha256(aad + metadata + nonce + plaintext + tag).digest()
    members = {
        "ciphertext": plaintext,
        "initializationVector": nonce,
        "authenticationTag": tag,
        "ciphertextMetadata": metadata,
        "ciphertextDataIntegrityValue": whole,
    }
    body = json.dumps({name: b64encode(value).decode() for name, value in members.items()}).encode()
    read: list[Layer] = []
    error = refusal(lambda: read.append(xks_messages.read_encrypted(200, body, plaintext, aad)))
    if len(nonce) in (12, 16) and len(tag) == 16 and len(metadata) <= 20:
        assert read == [Layer(plaintext, nonce, tag, metadata)]
    else:
        assert isinstance(error, KeyStoreError)
        assert error.failure is Failure.MALFORMED


def _identity(nonce: bytes, text: bytes, aad: bytes) -> bytes:
    """An HSM that hides nothing and notices what was changed."""
    return text + sha256(nonce + aad).digest()[:16]


def _back(nonce: bytes, sealed: bytes, aad: bytes) -> bytes:
    if len(sealed) < 16 or _identity(nonce, sealed[:-16], aad) != sealed:
        raise BadCiphertext
    return sealed[:-16]


contexts = st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=3)


@given(plaintext=st.binary(max_size=100), context=contexts, other=contexts, cut=st.integers(1, 40))
def test_blobs_come_back_and_nothing_else_does(
    plaintext: bytes, context: dict[str, str], other: dict[str, str], cut: int
) -> None:
    layers: dict[bytes, tuple[bytes, bytes]] = {}

    def encrypt(text: bytes, aad: bytes) -> Layer:
        name = os.urandom(16)
        layers[name] = (text, aad)
        return Layer(bytes(len(text)), name[:12], name, b"meta")

    def decrypt(layer: Layer, aad: bytes) -> bytes:
        text, bound = layers.get(layer.tag, (b"", b""))
        if bound != aad or layer != Layer(bytes(len(text)), layer.tag[:12], layer.tag, b"meta"):
            raise BadCiphertext
        return text

    in_hsm = seal_in_hsm(ARN, "label", plaintext, context, _identity)
    twice = seal_twice(KEY, ARN, plaintext, context, encrypt)
    assert (in_hsm[:4], twice[:4]) == (BY_HSM, BY_EXTERNAL_KEY)
    assert (read_header(in_hsm).key_arn, read_header(twice).key_arn) == (ARN, ARN)
    assert open_in_hsm(in_hsm, context, _back) == plaintext
    assert open_twice(KEY, twice, context, decrypt) == plaintext
    wrong: list[Any] = [(blob[:-cut], context) for blob in (in_hsm, twice)]
    if other != context:
        wrong += [(in_hsm, other), (twice, other)]
    wrong += [(BY_HSM + twice[4:], context), (BY_EXTERNAL_KEY + in_hsm[4:], context)]
    for blob, with_context in wrong:
        assert refusal(partial(open_in_hsm, blob, with_context, _back))
        assert refusal(partial(open_twice, KEY, blob, with_context, decrypt))


@given(blob=st.binary(max_size=200) | st.binary(max_size=120).map(lambda rest: BY_EXTERNAL_KEY + rest))
def test_any_bytes_are_a_blob_or_refused(blob: bytes) -> None:
    assert refusal(lambda: open_in_hsm(blob, {}, _back))
    assert refusal(lambda: open_twice(KEY, blob, {}, lambda layer, aad: layer.ciphertext))
