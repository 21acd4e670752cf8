"""The settings of what custom key stores may use."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from casemate.engine.keystore.https import Endpoint
from casemate.server.config_file import ConfigError, load
from casemate.server.tls import own_certificate

CLUSTER = "cluster-aaaaaaaaaaaa"
SERVICE = "com.amazonaws.vpce.us-east-1.vpce-svc-0123456789abcdef0"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    own_certificate(tmp_path / "tls", ["x.test"])
    (tmp_path / "cluster.pem").write_bytes((tmp_path / "tls" / "ca.pem").read_bytes())
    return tmp_path


def read(folder: Path, text: str, environ: dict[str, str] | None = None) -> Any:
    file = folder / "casemate.toml"
    file.write_text(text)
    return load({"data": str(folder / "data")}, environ or {}, file=file)


def test_clusters_and_proxies_are_read_with_paths_from_the_files_folder(folder: Path) -> None:
    config = read(
        folder,
        f'[cloudhsm_clusters."{CLUSTER}"]\nmodule = "hsm.so"\ntoken = "prod"\ncertificate = "cluster.pem"\n'
        'account = "111122223333"\n'
        '[xks_proxies."https://a.test"]\n'
        '[xks_proxies."https://b.test"]\naddress = "[::1]:8443"\nauthorities = "cluster.pem"\n'
        f'vpc_endpoint_service = "{SERVICE}"\n'
        '[xks_proxies."https://c.test"]\naddress = "10.0.0.1"\n'
        'client_certificate = "tls/server.pem"\nclient_key = "tls/server.key"\n',
    )
    cluster = config.cloudhsm_clusters[CLUSTER]
    assert (cluster.module, cluster.token) == (str(folder / "hsm.so"), "prod")
    assert cluster.account == "111122223333"
    assert cluster.certificate[:1] == b"\x30", "DER"
    assert config.xks_proxies == {
        "https://a.test": Endpoint("a.test", "a.test"),
        "https://b.test": Endpoint("b.test", "::1", 8443, str(folder / "cluster.pem"), SERVICE),
        "https://c.test": Endpoint(
            "c.test",
            "10.0.0.1",
            client_certificate=str(folder / "tls" / "server.pem"),
            client_key=str(folder / "tls" / "server.key"),
        ),
    }
    assert config.xks_timeout == 0.25


def test_the_environment_has_them_as_json(folder: Path) -> None:
    environ = {"CASEMATE_XKS_PROXIES": json.dumps({"https://a.test": {}}), "CASEMATE_XKS_TIMEOUT": "1.5"}
    config = read(folder, "", environ)
    assert list(config.xks_proxies) == ["https://a.test"]
    assert config.xks_timeout == 1.5
    with pytest.raises(ConfigError, match="CASEMATE_XKS_PROXIES: must be a table"):
        read(folder, "", {"CASEMATE_XKS_PROXIES": "https://a.test"})


@pytest.mark.parametrize(
    "wrong",
    [
        {"cloudhsm_clusters": {"cluster-1": {"module": "m", "token": "t", "certificate": "cluster.pem"}}},
        {"cloudhsm_clusters": {CLUSTER: {"module": "m", "token": "t"}}},
        {"cloudhsm_clusters": {CLUSTER: {"module": "m", "token": "t", "certificate": "absent.pem"}}},
        {"cloudhsm_clusters": {CLUSTER: {"module": "m", "token": "", "certificate": "cluster.pem"}}},
        {
            "cloudhsm_clusters": {
                CLUSTER: {"module": "m", "token": "t", "certificate": "cluster.pem", "account": "1"}
            }
        },
        {
            "cloudhsm_clusters": {
                CLUSTER: {"module": "m", "token": "t", "certificate": "cluster.pem", "pin": "x"}
            }
        },
        {"cloudhsm_clusters": "x"},
        {"xks_proxies": {"http://a.test": {}}},
        {"xks_proxies": {"https://A.test": {}}},
        {"xks_proxies": {"https://a.test/path": {}}},
        {"xks_proxies": {"https://a.test": {"address": "host:0"}}},
        {"xks_proxies": {"https://a.test": {"address": "host:99999"}}},
        {"xks_proxies": {"https://a.test": {"address": "https://host"}}},
        {"xks_proxies": {"https://a.test": {"authorities": "absent.pem"}}},
        {"xks_proxies": {"https://a.test": {"authorities": "casemate.toml"}}},
        {"xks_proxies": {"https://a.test": {"vpc_endpoint_service": "mine"}}},
        {"xks_proxies": {"https://a.test": {"client_certificate": "tls/server.pem"}}},
        {
            "xks_proxies": {
                "https://a.test": {"client_certificate": "tls/ca.pem", "client_key": "tls/server.key"}
            }
        },
        {"xks_timeout": 0},
        {"xks_timeout": 61},
    ],
)
def test_what_is_not_allowed_is_said(folder: Path, wrong: dict[str, Any]) -> None:
    ((name, value),) = wrong.items()
    environ = {f"CASEMATE_{name.upper()}": json.dumps(value)}
    with pytest.raises(ConfigError, match=f"CASEMATE_{name.upper()}: must be "):
        read(folder, "", environ)
