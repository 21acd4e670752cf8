"""CreateKey in a custom key store: the store is asked first, before the transaction.

The material of a key in a CloudHSM key store is made in its HSM, under the key's id as its label. If the transaction
then does not come about (the server dies in between), that material stays behind in the HSM, unused.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from typing import Any

from casemate.engine.keys.specs import SYMMETRIC_DEFAULT
from casemate.engine.keystore.errors import Failure, KeyStoreError
from casemate.engine.keystore.xks_messages import ExternalKey
from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.services.kms.backends import Backends, told
from casemate.services.kms.custom_key_stores import key_store_named
from casemate.services.kms.elsewhere import request_metadata
from casemate.services.kms.key import Key
from casemate.services.kms.key_stores import CLOUDHSM, CONNECTED, EXTERNAL, KeyStore, KeyStores, keys_in
from casemate.services.kms.refusals import invalid, unsupported
from casemate.services.kms.store_refusals import invalid_state, no_key_made
from casemate.store.database import Store

log = logging.getLogger("casemate.kms")

MATERIAL_BYTES = 32


def wanted_elsewhere(req: Mapping[str, Any], spec: str) -> bool:
    """The request wants a key in a custom key store. Raises ValidationException, UnsupportedOperationException for
    one that cannot be there."""
    origin = req.get("Origin", "AWS_KMS")
    if origin not in (CLOUDHSM, EXTERNAL):
        if "CustomKeyStoreId" in req:
            raise invalid(f"CustomKeyStoreId is not valid for a KMS key with Origin {origin}.")
        if "XksKeyId" in req:
            raise invalid(f"XksKeyId is not valid for a KMS key with Origin {origin}.")
        return False
    if "CustomKeyStoreId" not in req:
        raise invalid(f"CustomKeyStoreId is required for a KMS key with Origin {origin}.")
    if origin == EXTERNAL and "XksKeyId" not in req:
        raise invalid("XksKeyId is required for a KMS key with Origin EXTERNAL_KEY_STORE.")
    if origin == CLOUDHSM and "XksKeyId" in req:
        raise invalid("XksKeyId is not valid for a KMS key with Origin AWS_CLOUDHSM.")
    if spec != SYMMETRIC_DEFAULT:
        raise unsupported(f"KeySpec {spec} is not supported in custom key stores.")
    if req.get("MultiRegion"):
        raise unsupported("Multi-Region keys are not supported in custom key stores.")
    return True


def place_for(call: Call, req: Mapping[str, Any], key_id: str) -> Mapping[str, Any]:
    """What the new key's row has of its place elsewhere; its material is there by now. Raises
    CustomKeyStoreNotFoundException, CustomKeyStoreInvalidStateException, UnsupportedOperationException, XksKey...,
    KMSInvalidStateException."""
    store = key_store_named(call, req["CustomKeyStoreId"])
    if store.type != req["Origin"]:
        raise unsupported(f"Origin {req['Origin']} is not valid for a custom key store of type {store.type}.")
    if store.state != CONNECTED:
        raise invalid_state(store, "Connect the custom key store before you create a KMS key in it.")
    if store.type == CLOUDHSM:
        call.before(f"key {key_id} in an HSM", lambda: _made(call, store, key_id), waits=True)
        return {"custom_key_store": store.id, "external_id": key_id}
    name = req["XksKeyId"]
    if name in keys_in(call.tx, store):
        raise AwsError(
            "XksKeyAlreadyInUseException",
            f"The external key {name} is already associated with another KMS key in this external key store.",
        )
    found = call.before(f"external key {name}", lambda: _described(call, store, name), waits=True)
    _must_be_suitable(found)
    # KMS's own layer is under its own material.
    material = call.before(f"material for {name}", lambda: os.urandom(MATERIAL_BYTES))
    return {"custom_key_store": store.id, "external_id": name, "material": material}


def _made(call: Call, store: KeyStore, key_id: str) -> bool:
    try:
        call.part(Backends).token(store).create_key(key_id)
    except KeyStoreError as error:
        raise no_key_made(store, told(store, error)) from None
    return True


def _described(call: Call, store: KeyStore, name: str) -> ExternalKey:
    try:
        return call.part(Backends).proxy(store).key(name, request_metadata(call))
    except KeyStoreError as error:
        raise no_key_made(store, told(store, error)) from None


def _must_be_suitable(key: ExternalKey) -> None:
    if key.spec != "AES_256":
        wrong = (
            "The key spec of the external key must be AES_256. "
            f"The key spec of specified external key is {key.spec}."
        )
    elif not {"ENCRYPT", "DECRYPT"}.issubset(key.usage):
        wrong = (
            "The key usage of the external key must include ENCRYPT and DECRYPT. The key usage of specified external "
            f"key is {','.join(key.usage)}."
        )
    elif key.status != "ENABLED":
        wrong = (
            "The status of the external key must be ENABLED. "
            f"The status of specified external key is {key.status}."
        )
    else:
        return
    raise AwsError("XksKeyInvalidConfigurationException", wrong)


def destroyer(store: Store, key_stores: KeyStores, backends: Backends) -> Callable[[Key], None]:
    """Removes a deleted key's material from its HSM, if that can be had now; external keys are not KMS's to delete.
    Source: "ScheduleKeyDeletion"."""

    def destroy(key: Key) -> None:
        place = (key.account, key.row.region, key.row.custom_key_store)
        found = store.read(lambda tx: key_stores.load(tx, place))
        if found is None or found.type != CLOUDHSM:
            return
        try:
            if found.state != CONNECTED:
                raise KeyStoreError(Failure.TOKEN, "it is not connected")
            backends.token(found).destroy_key(key.row.external_id)
        except KeyStoreError as error:
            log.warning("the material of the deleted key %s stays in its HSM: %s", key.arn, str(error))

    return destroy
