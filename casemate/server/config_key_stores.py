"""Reads the settings of what custom key stores may use: HSMs' tokens and external key store proxies."""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from casemate.engine.keystore.https import Endpoint
from casemate.engine.keystore.token import Cluster

_CLUSTER = re.compile(r"cluster-[2-7a-zA-Z]{11,16}")
_PROXY = re.compile(r"https://([a-z0-9.-]+)")
_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?")
_SERVICE = re.compile(r"(com|eu)\.amazonaws\.vpce\.([a-z]+-){2,3}\d+\.vpce-svc-[0-9a-z]+")
_CLIENT = ("client_certificate", "client_key")
_OF_PROXY = {"address", "authorities", "vpc_endpoint_service", *_CLIENT}
_ACCOUNT = re.compile(r"[0-9]{12}")


def clusters(table: Mapping[str, Any], base: Path) -> Mapping[str, Cluster]:
    """By cluster id: module, token, certificate, and account if it is one account's. base: what relative paths start
    from. Raises ValueError, OSError."""
    found = {}
    for name, entry in table.items():
        given = _entry(entry, {"module", "token", "certificate"}, {"account"})
        account = given.get("account", "")
        if not _CLUSTER.fullmatch(name) or (account and not _ACCOUNT.fullmatch(account)):
            raise ValueError
        module = str(base / Path(given["module"]).expanduser())
        found[name] = Cluster(module, given["token"], _der(base / given["certificate"]), account)
    return found


def proxies(table: Mapping[str, Any], base: Path) -> Mapping[str, Endpoint]:
    """By https://NAME: address, authorities and vpc_endpoint_service, where they are not the ordinary ones;
    client_certificate with client_key, if the proxy asks for them. Raises ValueError, OSError."""
    found = {}
    for name, entry in table.items():
        given = _entry(entry, set(), _OF_PROXY)
        host = _PROXY.fullmatch(name)
        address = _ADDRESS.fullmatch(given.get("address", "443" if host is None else host[1]))
        service = given.get("vpc_endpoint_service", "")
        if host is None or address is None or (service and not _SERVICE.fullmatch(service)):
            raise ValueError
        port = int(address[2] or 443)
        if not 0 < port < 65536:
            raise ValueError
        authorities = given.get("authorities", "")
        if authorities:
            authorities = str(base / Path(authorities).expanduser())
            _certificates(Path(authorities))
        shown = [str(base / Path(given[each]).expanduser()) for each in _CLIENT if each in given]
        if shown:
            certificate, key = shown
            ssl.create_default_context().load_cert_chain(certificate, key)
        found[name] = Endpoint(host[1], address[1].strip("[]"), port, authorities, service, *shown)
    return found


def _entry(entry: Any, needed: set[str], optional: set[str]) -> dict[str, str]:
    if not isinstance(entry, dict) or not needed <= set(entry) <= needed | optional:
        raise ValueError
    if not all(isinstance(value, str) and value for value in entry.values()):
        raise ValueError
    return entry


def _certificates(path: Path) -> list[Any]:
    from cryptography import x509

    return x509.load_pem_x509_certificates(path.expanduser().read_bytes())


def _der(path: Path) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    der: bytes = _certificates(path)[0].public_bytes(Encoding.DER)
    return der
