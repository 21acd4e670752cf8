"""A server with an HSM and an external key store proxy, and custom key stores in it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from kms_support import ACCOUNT, Kms, seed
from server_support import running_server
from softhsm_support import PIN, SoftHsm, softhsm
from xks_proxy_support import CREDENTIAL, ENDPOINT, HOST, PATH, XksProxy, xks_proxy

from casemate.server.tls import own_certificate

CLUSTER, RELATED, STRANGE, OTHERS, GONE = (
    f"cluster-{name * 4}" for name in ("aaaa", "bbbb", "cccc", "dddd", "eeee")
)
"""Clusters: one, another of the same certificate, one of another certificate, another account's, one without its
token."""
SERVICE_ENDPOINT = "https://private.casemate.test"
SERVICE = "com.amazonaws.vpce.us-east-1.vpce-svc-0123456789abcdef0"


class Stores:
    """What tests of custom key stores use."""

    def __init__(self, kms: Kms, hsm: SoftHsm, proxy: XksProxy, folder: Path) -> None:
        self.kms = kms
        self.hsm = hsm
        self.proxy = proxy
        self.client = kms.of()
        self.certificate = (folder / "cluster" / "ca.pem").read_text()
        self.strange_certificate = (folder / "strange" / "ca.pem").read_text()

    def cloudhsm(self, *, password: str = PIN, **more: Any) -> dict[str, Any]:
        """CreateCustomKeyStore's parameters for the HSM."""
        return {
            "CustomKeyStoreName": f"hsm {uuid4()}",
            "CloudHsmClusterId": CLUSTER,
            "TrustAnchorCertificate": self.certificate,
            "KeyStorePassword": password,
            **more,
        }

    def external(self, **more: Any) -> dict[str, Any]:
        """CreateCustomKeyStore's parameters for the proxy."""
        return {
            "CustomKeyStoreName": f"external {uuid4()}",
            "CustomKeyStoreType": "EXTERNAL_KEY_STORE",
            "XksProxyConnectivity": "PUBLIC_ENDPOINT",
            "XksProxyUriEndpoint": ENDPOINT,
            "XksProxyUriPath": PATH,
            "XksProxyAuthenticationCredential": CREDENTIAL,
            **more,
        }

    @contextmanager
    def store(self, parameters: dict[str, Any], *, connected: bool = True) -> Iterator[str]:
        """A store's id; it is gone at the end, with its keys."""
        name = self.client.create_custom_key_store(**parameters)["CustomKeyStoreId"]
        try:
            if connected:
                self.client.connect_custom_key_store(CustomKeyStoreId=name)
                assert self.settled(name)["ConnectionState"] == "CONNECTED", self.described(name)
            yield name
        finally:
            self._remove(name)

    def described(self, store_id: str) -> dict[str, Any]:
        (found,) = self.client.describe_custom_key_stores(CustomKeyStoreId=store_id)["CustomKeyStores"]
        return dict(found)

    def settled(self, store_id: str) -> dict[str, Any]:
        """The same, once it is no longer being connected."""
        end = time.monotonic() + 30
        while (found := self.described(store_id))["ConnectionState"] == "CONNECTING":
            assert time.monotonic() < end, "it is still being connected"
        return found

    def connect(self, store_id: str) -> dict[str, Any]:
        self.client.connect_custom_key_store(CustomKeyStoreId=store_id)
        return self.settled(store_id)

    def _remove(self, store_id: str) -> None:
        keys = [
            key["KeyId"]
            for page in self.client.get_paginator("list_keys").paginate()
            for key in page["Keys"]
            if self.client.describe_key(KeyId=key["KeyId"])["KeyMetadata"].get("CustomKeyStoreId") == store_id
        ]
        for key in keys:
            if self.client.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] != "PendingDeletion":
                self.client.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
        if keys:
            self.kms.advance("8d")
        if self.described(store_id)["ConnectionState"] != "DISCONNECTED":
            self.client.disconnect_custom_key_store(CustomKeyStoreId=store_id)
        self.client.delete_custom_key_store(CustomKeyStoreId=store_id)


def settings(folder: Path, hsm: SoftHsm, proxy: XksProxy) -> str:
    """The settings file's text."""

    def cluster(token: str, certificate: str = "cluster", **more: str) -> dict[str, str]:
        certificate = str(folder / certificate / "ca.pem")
        return {"module": hsm.module, "token": token, "certificate": certificate, **more}

    address = {"address": f"127.0.0.1:{proxy.port}", "authorities": proxy.ca}
    tables = {
        "cloudhsm_clusters": {
            CLUSTER: cluster("one", account=ACCOUNT),
            RELATED: cluster("two"),
            STRANGE: cluster("two", "strange"),
            OTHERS: cluster("two", account="999999999999"),
            GONE: cluster("nowhere"),
        },
        "xks_proxies": {
            ENDPOINT: address,
            SERVICE_ENDPOINT: {**address, "vpc_endpoint_service": SERVICE},
            "https://closed.casemate.test": {"address": "127.0.0.1:1"},
            "https://untrusted.casemate.test": {"address": address["address"]},
        },
    }
    lines = ["xks_timeout = 20.0"]
    for table, entries in tables.items():
        for name, entry in entries.items():
            lines.append(f"[{table}.{json.dumps(name)}]")
            lines += [f"{key} = {json.dumps(value)}" for key, value in entry.items()]
    return "\n".join(lines) + "\n"


@contextmanager
def stores_server(folder: Path) -> Iterator[Stores]:
    for name in ("cluster", "strange"):
        own_certificate(folder / name, [HOST])
    with softhsm(folder, "one", "two") as hsm, xks_proxy(folder / "proxy") as proxy:
        (folder / "seed.json").write_text(json.dumps(seed()))
        (folder / "casemate.toml").write_text(settings(folder, hsm, proxy))
        arguments = ("--dev", "--seed", str(folder / "seed.json"), "--config", str(folder / "casemate.toml"))
        with running_server(folder / "server", *arguments) as server:
            yield Stores(Kms(server), hsm, proxy, folder)
