"""ConnectCustomKeyStore, DisconnectCustomKeyStore, and the job that connects.

To connect is to find out that the store can be used now, and to say so to all workers; each makes its own connections
when it needs them. A store that fails afterwards stays connected: only its operations fail, as at AWS.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from uuid import uuid4

from casemate.api import kms
from casemate.engine.keystore.errors import KeyStoreError
from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.services.kms.backends import Backends, told
from casemate.services.kms.custom_key_stores import key_store_named
from casemate.services.kms.key_stores import (
    CLOUDHSM,
    CONNECTED,
    CONNECTING,
    DISCONNECTED,
    FAILED,
    KeyStore,
    KeyStores,
)
from casemate.services.kms.store_refusals import connection_error, invalid_state
from casemate.services.kms.targets import AccountWide, account_wide
from casemate.store.database import Store, Tx
from casemate.store.jobs import Job, cancel, schedule

log = logging.getLogger("casemate.kms")

CONNECT = "kms.connect_key_store"


def _job_id(store: KeyStore) -> str:
    return f"{CONNECT} {' '.join(store.place)}"


@kms.ConnectCustomKeyStore.writes(account_wide)
def connect_custom_key_store(
    call: Call, req: kms.ConnectCustomKeyStoreRequest, account: AccountWide
) -> kms.ConnectCustomKeyStoreResponse:
    """Begin to connect a store; DescribeCustomKeyStores tells how that ended."""
    store = key_store_named(call, req["CustomKeyStoreId"])
    if store.state == FAILED:
        raise invalid_state(store, "Disconnect the custom key store before you connect it again.")
    if store.type == CLOUDHSM and call.part(Backends).cluster(store.settings.cluster, store.account) is None:
        raise AwsError(
            "CloudHsmClusterNotActiveException",
            f"The CloudHSM cluster {store.settings.cluster} is not active.",
        )
    call.part(KeyStores).save(call.tx, store.changed(state=CONNECTING))
    place = {"account": store.account, "region": store.region, "id": store.id}
    schedule(call.tx, CONNECT, call.now, place, id=_job_id(store))
    return {}


@kms.DisconnectCustomKeyStore.writes(account_wide)
def disconnect_custom_key_store(
    call: Call, req: kms.DisconnectCustomKeyStoreRequest, account: AccountWide
) -> kms.DisconnectCustomKeyStoreResponse:
    """Use a store's keys no more until it is connected again."""
    store = key_store_named(call, req["CustomKeyStoreId"])
    if store.state == DISCONNECTED:
        raise invalid_state(store, "The custom key store is not connected.")
    call.part(KeyStores).save(call.tx, store.changed(state=DISCONNECTED, error=""))
    cancel(call.tx, _job_id(store))
    return {}


def connector(store: Store, key_stores: KeyStores, backends: Backends) -> Callable[[Job], None]:
    """The job's handler. What became of the store meanwhile (disconnected, changed) is not overwritten."""

    def run(job: Job) -> None:
        place = (job.payload["account"], job.payload["region"], job.payload["id"])
        found = store.read(lambda tx: key_stores.load(tx, place))
        if found is None or found.state != CONNECTING:
            return
        state, error = CONNECTED, ""
        try:
            backends.check(found, {"kmsOperation": "ConnectCustomKeyStore", "kmsRequestId": str(uuid4())})
        except KeyStoreError as failure:
            state, error = FAILED, connection_error(told(found, failure))

        def conclude(tx: Tx) -> None:
            current = key_stores.load(tx, place)
            if current is not None and current.state == CONNECTING:
                key_stores.save(tx, current.changed(state=state, error=error))
            job.finish(tx)

        store.write(conclude)
        log.info(
            "the custom key store %s of account %s is %s", found.id, found.account, f"{state} {error}".strip()
        )

    return run
