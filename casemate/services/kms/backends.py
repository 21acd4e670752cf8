"""What is behind custom key stores: the operator's HSMs and proxies, and this worker's connections to them.

Only what the operator has configured is ever spoken to, whatever a client names.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from casemate.engine.keystore.errors import Failure, KeyStoreError
from casemate.engine.keystore.https import Connections, Endpoint
from casemate.engine.keystore.signing import Credential
from casemate.engine.keystore.token import Cluster, Token
from casemate.engine.keystore.xks import Proxy
from casemate.services.kms.key_stores import CLOUDHSM, SERVICE, KeyStore, Settings

log = logging.getLogger("casemate.kms")


class Backends:
    """clusters: by CloudHsmClusterId; proxies: by XksProxyUriEndpoint; timeout: seconds that a proxy has to answer.
    One per worker: ``call.part(Backends)``."""

    def __init__(
        self, clusters: Mapping[str, Cluster], proxies: Mapping[str, Endpoint], timeout: float = 0.25
    ) -> None:
        self._clusters = clusters
        self._proxies = proxies
        self._timeout = timeout
        self._connections: dict[Endpoint, Connections] = {}
        self._tokens: dict[Cluster, tuple[str, Token]] = {}
        self._spoken: dict[tuple[str, str, str], tuple[KeyStore, Proxy]] = {}

    def __repr__(self) -> str:
        return f"<Backends: {len(self._clusters)} clusters, {len(self._proxies)} proxies>"

    def cluster(self, cluster_id: str, account: str) -> Cluster | None:
        """The token that stands for a cluster, if the account may use it."""
        found = self._clusters.get(cluster_id)
        return found if found is not None and found.account in ("", account) else None

    def endpoint(self, settings: Settings) -> Endpoint | None:
        """Where the proxy of such an external key store is, if the operator has it configured."""
        found = self._proxies.get(settings.endpoint.lower())
        wanted = settings.service if settings.connectivity == SERVICE else ""
        return found if found is not None and found.service == wanted else None

    def token(self, store: KeyStore) -> Token:
        """The HSM of a CloudHSM key store. Raises KeyStoreError."""
        cluster = self.cluster(store.settings.cluster, store.account)
        if cluster is None:
            raise KeyStoreError(Failure.NO_CLUSTER, f"{store.settings.cluster} is not configured")
        secret, token = self._tokens.get(cluster, ("", None))
        if token is None or secret != store.secret:
            if token is not None:
                token.close()
            token = Token(cluster, store.secret)
            self._tokens[cluster] = (store.secret, token)
        return token

    def proxy(self, store: KeyStore) -> Proxy:
        """The proxy of an external key store. Raises KeyStoreError."""
        known = self._spoken.get(store.place)
        if known is not None and (known[0].settings, known[0].secret) == (store.settings, store.secret):
            return known[1]
        endpoint = self.endpoint(store.settings)
        if endpoint is None:
            raise KeyStoreError(Failure.UNREACHABLE, f"{store.settings.endpoint} is not configured")
        connections = self._connections.setdefault(endpoint, Connections(endpoint, self._timeout))
        credential = Credential(store.settings.access_key_id, store.secret)
        proxy = Proxy(connections, endpoint.name, store.settings.path, credential, store.region)
        self._spoken[store.place] = (store, proxy)
        return proxy

    def check(self, store: KeyStore, metadata: Mapping[str, str]) -> None:
        """The store can be used now. Raises KeyStoreError."""
        if store.type == CLOUDHSM:
            self.token(store).check()
        else:
            self.proxy(store).health(metadata)

    def look_for(self, store: KeyStore) -> None:
        """The HSM of a CloudHSM key store is there, whatever its password is. Raises KeyStoreError."""
        self.token(store).look_for()

    def forget(self, store: KeyStore) -> None:
        """Log out of the HSM of a store that is no longer connected."""
        if store.type == CLOUDHSM:
            cluster = self.cluster(store.settings.cluster, store.account)
            held = None if cluster is None else self._tokens.pop(cluster, None)
            if held is not None:
                held[1].close()


def told(store: KeyStore, error: KeyStoreError) -> KeyStoreError:
    """The error, once the operator's log has it."""
    log.warning("the custom key store %s of account %s failed: %s", store.id, store.account, str(error))
    return error
