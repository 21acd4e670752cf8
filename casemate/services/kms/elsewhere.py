"""Keys whose material is in a custom key store: how they encrypt and decrypt, and what is shown of them.

The store is asked before the request's transaction, in a thread that may wait (``call.before``). What it is asked for
is in the name, so that an answer is never taken for that to another question.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, TypeVar

from casemate.engine.envelope.encoding import fields, pairs
from casemate.engine.envelope.errors import BadCiphertext
from casemate.engine.keystore.blobs import open_in_hsm, open_twice, seal_in_hsm, seal_twice
from casemate.engine.keystore.errors import Failure, KeyStoreError
from casemate.engine.keystore.xks_messages import Layer
from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.services.kms.backends import Backends, told
from casemate.services.kms.key import DISABLED, ENABLED, Key, via_service
from casemate.services.kms.key_stores import CLOUDHSM, CONNECTED, KeyStore, KeyStores
from casemate.services.kms.refusals import end_dry_run, internal, invalid_ciphertext
from casemate.services.kms.store_refusals import CORRUPT, not_connected, unusable

if TYPE_CHECKING:
    from casemate.api import kms

T = TypeVar("T")


def store_of(call: Call, key: Key) -> KeyStore:
    """The custom key store that a key is in."""
    store = call.part(KeyStores).find(call, key.account, key.row.custom_key_store)
    if store is None:
        # A store with keys is not deleted.
        raise internal()
    return store


def connected_store_of(call: Call, key: Key) -> KeyStore:
    """The same, for use. Raises KMSInvalidStateException."""
    store = store_of(call, key)
    if store.state != CONNECTED:
        call.part(Backends).forget(store)
        raise not_connected(store)
    return store


def request_metadata(call: Call, key_arn: str = "") -> dict[str, str]:
    """What a proxy is told of the call."""
    assert call.route is not None
    told = {
        "awsPrincipalArn": str(call.identity.known.get("aws:principalarn", call.identity.principal.arn)),
        "kmsOperation": call.route.operation.name,
        "kmsRequestId": call.request_id,
    }
    if key_arn:
        told["kmsKeyArn"] = key_arn
    service = via_service(call)
    if service:
        told["kmsViaService"] = str(service)
    return told


def seal(call: Call, key: Key, plaintext: bytes, context: Mapping[str, str]) -> bytes:
    """The ciphertext blob. Raises KMSInvalidStateException; DryRunOperationException before the store is asked."""
    store = connected_store_of(call, key)
    end_dry_run(call.request)
    name = _name("seal", key, plaintext, context)
    return call.before(name, lambda: _seal(call, store, key, plaintext, context), waits=True)


def new_data_key(call: Call, key: Key, size: int, context: Mapping[str, str]) -> tuple[bytes, bytes]:
    """Random bytes and their ciphertext blob. Raises as seal."""
    store = connected_store_of(call, key)
    end_dry_run(call.request)

    def make() -> tuple[bytes, bytes]:
        data_key = os.urandom(size)
        return data_key, _seal(call, store, key, data_key, context)

    return call.before(_name(f"data key {size}", key, b"", context), make, waits=True)


def unseal(call: Call, key: Key, blob: bytes, context: Mapping[str, str]) -> bytes:
    """The plaintext of a blob that says that it is the key's. Raises InvalidCiphertextException,
    KMSInvalidStateException."""
    store = connected_store_of(call, key)
    name = _name("open", key, blob, context)
    return call.before(name, lambda: _open(call, store, key, blob, context), waits=True)


def _name(what: str, key: Key, data: bytes, context: Mapping[str, str]) -> str:
    return f"{what} {key.arn} {sha256(fields(data, pairs(context))).hexdigest()}"


def _seal(call: Call, store: KeyStore, key: Key, plaintext: bytes, context: Mapping[str, str]) -> bytes:
    label = key.row.external_id

    def do() -> bytes:
        if store.type == CLOUDHSM:
            token = call.part(Backends).token(store)
            return seal_in_hsm(
                key.arn,
                label,
                plaintext,
                context,
                lambda nonce, text, aad: token.seal(label, nonce, text, aad),
            )
        proxy, metadata = call.part(Backends).proxy(store), request_metadata(call, key.arn)
        return seal_twice(
            key.current,
            key.arn,
            plaintext,
            context,
            lambda text, aad: proxy.encrypt(label, metadata, text, aad),
        )

    return _by_store(store, do)


def _open(call: Call, store: KeyStore, key: Key, blob: bytes, context: Mapping[str, str]) -> bytes:
    label = key.row.external_id
    asked = False

    def do() -> bytes:
        nonlocal asked
        if store.type == CLOUDHSM:
            token = call.part(Backends).token(store)
            return open_in_hsm(
                blob, context, lambda nonce, sealed, aad: token.open(label, nonce, sealed, aad)
            )
        proxy, metadata = call.part(Backends).proxy(store), request_metadata(call, key.arn)

        def decrypt(layer: Layer, aad: bytes) -> bytes:
            nonlocal asked
            opened = proxy.decrypt(label, metadata, layer, aad)
            asked = True
            return opened

        return open_twice(key.current, blob, context, decrypt)

    try:
        return _by_store(store, do)
    except BadCiphertext:
        if asked:
            raise AwsError("KMSInvalidStateException", CORRUPT) from None
        raise invalid_ciphertext() from None


def _by_store(store: KeyStore, do: Callable[[], T]) -> T:
    try:
        return do()
    except KeyStoreError as error:
        if error.failure is not Failure.INVALID_CIPHERTEXT:
            told(store, error)
        raise unusable(store, error) from None


def metadata(call: Call, key: Key) -> kms.KeyMetadata:
    """What CreateKey and DescribeKey show of a key, wherever its material is."""
    shown = key.metadata()
    if not key.elsewhere:
        return shown
    store = store_of(call, key)
    shown["CustomKeyStoreId"] = store.id
    shown.pop("CurrentKeyMaterialId", None)
    if store.type == CLOUDHSM:
        shown["CloudHsmClusterId"] = store.settings.cluster
    else:
        shown["XksKeyConfiguration"] = {"Id": key.row.external_id}
    if store.state != CONNECTED and key.row.state in (ENABLED, DISABLED):
        shown["KeyState"] = "Unavailable"
        shown["Enabled"] = False
    return shown
