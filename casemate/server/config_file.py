"""Reads a server's settings: command line, then environment, then file, then defaults.

Every value is checked, and all that is wrong is told at once. What a setting means stands with ``Config``; what
is allowed stands here, and docs/configuration.md says both to operators.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from casemate.server.config import Config

if TYPE_CHECKING:
    from casemate.engine.egress.mail import MailServer
    from casemate.engine.keystore.https import Endpoint
    from casemate.engine.keystore.token import Cluster
    from casemate.gate.vpc_endpoints import VpcEndpoint

FILE_NAME = "casemate.toml"
"""The settings in the data directory."""

PREFIX = "CASEMATE_"
"""What the environment's settings begin with: CASEMATE_PORT."""

_SECRET_LIMIT = 64 * 1024


class ConfigError(Exception):
    """Settings that cannot be used. problems: one line each, with the setting's name and what is allowed."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Origin(NamedTuple):
    """Where a value stands. name: how it is called there; base: what relative paths start from."""

    name: str
    base: Path
    is_text: bool


Read = Callable[[Any, Origin], Any]
"""From the raw value (a str, or what TOML knows) to the setting's. Raises ValueError."""


class Setting(NamedTuple):
    """How a field of Config is read, and what is allowed, in words."""

    read: Read
    allowed: str


def _text(value: Any, _: Origin) -> str:
    if not isinstance(value, str):
        raise ValueError
    return value


def _nonempty(value: Any, origin: Origin) -> str:
    text = _text(value, origin)
    if not text.strip():
        raise ValueError
    return text


def _path(value: Any, origin: Origin) -> Path:
    text = _nonempty(value, origin)
    if "\0" in text:
        raise ValueError
    return origin.base / Path(text).expanduser()


def _readable_file(value: Any, origin: Origin) -> Path:
    path = _path(value, origin)
    if not path.is_file() or not os.access(path, os.R_OK):
        raise ValueError
    return path


def _whole(least: int, most: int) -> Read:
    def read(value: Any, origin: Origin) -> int:
        if origin.is_text and isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}", value):
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise ValueError
        return value

    return read


def _port(value: Any, origin: Origin) -> int | None:
    if value == "off" or value is False:
        return None
    port: int = _whole(0, 65535)(value, origin)
    return port


def _number(value: Any, origin: Origin) -> float:
    if origin.is_text and isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,6})?", value):
        return float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e9:
        raise ValueError
    return float(value)


def _interval(value: Any, origin: Origin) -> float:
    seconds = _number(value, origin)
    if not 1 <= seconds <= 3600:
        raise ValueError
    return seconds


def _duration(value: Any, origin: Origin) -> float:
    seconds = _number(value, origin)
    if not 0 < seconds <= 60:
        raise ValueError
    return seconds


def _switch(value: Any, origin: Origin) -> bool:
    if isinstance(value, bool):
        return value
    if origin.is_text and value in ("true", "1", "yes", "on"):
        return True
    if origin.is_text and value in ("false", "0", "no", "off", ""):
        return False
    raise ValueError


def _one_of(*choices: str) -> Read:
    def read(value: Any, _: Origin) -> str:
        if value not in choices:
            raise ValueError
        return str(value)

    return read


def _names(value: Any, origin: Origin) -> tuple[str, ...]:
    if origin.is_text and isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    if not isinstance(value, list) or not all(isinstance(part, str) and part for part in value):
        raise ValueError
    return tuple(value)


def _origins(value: Any, origin: Origin) -> tuple[str, ...]:
    names = _names(value, origin)
    if not all(name == "*" or re.fullmatch(r"https?://[A-Za-z0-9.:\[\]-]+", name) for name in names):
        raise ValueError
    return names


def _attestation_roots(value: Any, origin: Origin) -> tuple[bytes, ...]:
    # Here, because few servers have clients with enclaves.
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    from casemate.engine.attestation.certificates import check_root

    roots = []
    for certificate in x509.load_pem_x509_certificates(_readable_file(value, origin).read_bytes()):
        roots.append(certificate.public_bytes(Encoding.DER))
        check_root(roots[-1])
    return tuple(roots)


def _oidc_keys(value: Any, origin: Origin) -> dict[str, bytes]:
    # Here, because few servers have identity providers that they cannot ask.
    from casemate.engine.oidc.key_set import KeySet

    if origin.is_text and isinstance(value, str):
        parts = [part.strip().partition("=") for part in value.split(",") if part.strip()]
        value = {issuer: file for issuer, _, file in parts}
    if not isinstance(value, dict):
        raise ValueError
    keys = {}
    for issuer, file in value.items():
        if not re.fullmatch(r"https://[!-~]+", issuer):
            raise ValueError
        document = keys[issuer.rstrip("/")] = _readable_file(file, origin).read_bytes()
        KeySet(document)
    return keys


def _host_names(value: Any, origin: Origin) -> tuple[str, ...]:
    names = _names(value, origin)
    if not all(name == "*" or re.fullmatch(r"[A-Za-z0-9.-]+", name) for name in names):
        raise ValueError
    return names


def _reachable(value: Any, origin: Origin) -> tuple[str, ...]:
    from casemate.engine.egress.hosts import Hosts

    names = _names(value, origin)
    Hosts(names)
    return names


def _hosts_and_ports(value: Any, origin: Origin) -> tuple[tuple[str, int], ...]:
    found = []
    for name in _names(value, origin):
        host, _, port = name.rpartition(":")
        # Inside, a host is a name that stands for a loopback address: of addresses, only those can be.
        named = re.fullmatch(r"(?=.*[A-Za-z])[A-Za-z0-9.-]{1,253}", host) or host == "127.0.0.1"
        if not named or not re.fullmatch(r"[0-9]{1,5}", port) or not 0 < int(port) <= 65535:
            raise ValueError
        if (host, int(port)) in {
            ("127.0.0.1", 9000),
            ("127.0.0.1", 9001),
            ("localhost", 9000),
            ("localhost", 9001),
        }:
            raise ValueError
        found.append((host, int(port)))
    return tuple(dict.fromkeys(found))


def _table(value: Any, origin: Origin) -> Mapping[str, Any]:
    if origin.is_text and isinstance(value, str):
        value = json.loads(value)
    if not isinstance(value, dict):
        raise ValueError
    return value


def _clusters(value: Any, origin: Origin) -> Mapping[str, Cluster]:
    # Here, because few servers have custom key stores.
    from casemate.server import config_key_stores

    return config_key_stores.clusters(_table(value, origin), origin.base)


def _vpc_endpoints(value: Any, origin: Origin) -> Mapping[str, VpcEndpoint]:
    from casemate.server.config_endpoints import endpoints

    return endpoints(_table(value, origin))


def _smtp(value: Any, origin: Origin) -> MailServer:
    # Here, because few servers send mails.
    from casemate.server.config_mail import mail_server

    return mail_server(_table(value, origin), origin.base, _secret_in)


def _proxies(value: Any, origin: Origin) -> Mapping[str, Endpoint]:
    from casemate.server import config_key_stores

    return config_key_stores.proxies(_table(value, origin), origin.base)


def _quotas(value: Any, origin: Origin) -> dict[str, float] | str:
    if value == "aws":
        return "aws"
    if value == "off":
        return {}
    if origin.is_text and isinstance(value, str):
        pairs = [part.split("=") for part in value.split(",") if part.strip()]
        if any(len(pair) != 2 for pair in pairs):
            raise ValueError
        value = {name.strip(): rate.strip() for name, rate in pairs}
    if not isinstance(value, dict):
        raise ValueError
    quotas = {}
    for name, rate in value.items():
        if not re.fullmatch(r"\*|[a-z0-9-]{1,63}:[A-Za-z0-9]{1,128}", name):
            raise ValueError
        quotas[name] = _number(rate, origin)
        if not quotas[name]:
            raise ValueError
    return quotas


def _approval(value: Any, origin: Origin) -> float | None:
    if value in ("always", "never"):
        return None if value == "always" else 0.0
    return _number(value, origin)


def _region(value: Any, _: Origin) -> str:
    from casemate.gate.regions import regions

    if not isinstance(value, str) or value not in regions():
        raise ValueError
    return value


def _account(value: Any, _: Origin) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"([0-9]{12})?", value):
        raise ValueError
    return value


def _seal(value: Any, _: Origin) -> str:
    if not isinstance(value, str) or not re.fullmatch(
        r"|keyfile:/.+|passphrase:(env:[A-Za-z_][A-Za-z0-9_]*|file:/.+)|pkcs11:.+", value
    ):
        raise ValueError
    return value


def _database(value: Any, origin: Origin) -> str:
    url = _text(value, origin)
    if url.startswith("file:"):
        url = _secret_in(origin.base / url.removeprefix("file:"))
    elif url and not origin.is_text and urlsplit(url).password is not None:
        raise ValueError
    if url and not url.startswith(("postgresql://", "postgres://")):
        raise ValueError
    return url


def _blobs(value: Any, origin: Origin) -> str:
    place = _text(value, origin)
    if place and not place.startswith(("/", "file:///", "s3://", "gs://", "az://")):
        raise ValueError
    if "@" in urlsplit(place).netloc:
        raise ValueError
    return place


def _secret_in(path: Path) -> str:
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_mode & 0o077:
            raise ValueError
        return file.read(_SECRET_LIMIT).decode().strip()


_PORT = 'a port from 0 (any free one) to 65535, or "off"'

SETTINGS: Mapping[str, Setting] = {
    "data": Setting(_path, "a directory"),
    "host": Setting(_nonempty, "an address or host name of this machine"),
    "port": Setting(_port, _PORT),
    "tls_port": Setting(_port, _PORT),
    "metrics_port": Setting(_port, _PORT),
    "workers": Setting(_whole(1, 64), "a number from 1 to 64"),
    "dev": Setting(_switch, "true or false"),
    "seed": Setting(_readable_file, "a file that can be read"),
    "database": Setting(
        _database,
        "postgresql://user@host/name, or file:PATH of a file (mode 0600) that holds such a URL, or nothing "
        "for SQLite in the data directory. A URL with a password does not belong into a settings file",
    ),
    "blobs": Setting(_blobs, "an absolute path, s3://bucket/prefix, gs://..., az://..., or nothing"),
    "seal": Setting(
        _seal, "keyfile:/PATH, passphrase:env:NAME, passphrase:file:/PATH, a pkcs11: URI, or nothing"
    ),
    "previous_seal": Setting(
        _seal, "keyfile:/PATH, passphrase:env:NAME, passphrase:file:/PATH, a pkcs11: URI, or nothing"
    ),
    "audit": Setting(_one_of("durable", "relaxed"), "durable or relaxed"),
    "audit_days": Setting(_whole(0, 36_500), "days, 0 for ever"),
    "region": Setting(_region, "an AWS Region, as us-east-1"),
    "account": Setting(_account, "12 digits, or nothing for a random account"),
    "tls_cert": Setting(_readable_file, "a PEM file that can be read"),
    "tls_key": Setting(_readable_file, "a PEM file that can be read"),
    "tls_names": Setting(_names, "a list of host names and IP addresses"),
    "cors_origins": Setting(_origins, 'a list of origins, as https://example.com, or "*"'),
    "attestation_roots": Setting(
        _attestation_roots,
        "a PEM file of self-signed CA certificates with keys on the curve P-384, signed with SHA-384",
    ),
    "oidc_keys": Setting(_oidc_keys, "files with JWK sets by issuer, as https://example.com"),
    "oidc_hosts": Setting(_host_names, 'a list of host names, or "*"'),
    "egress_hosts": Setting(_reachable, 'a list of host names, addresses and networks (10.0.0.0/8), or "*"'),
    "vpc_endpoints": Setting(
        _vpc_endpoints,
        "a table by endpoint id (vpce-...) of networks (a list, as 10.0.0.0/16, none of them twice) and, if you "
        "like, vpc (vpc-...)",
    ),
    "smtp": Setting(
        _smtp,
        "a table of host, sender (a mail address), url (https://NAME, this server as readers of mails reach it) and, "
        "if you like, port, security (starttls, tls or none), user with password_file (mode 0600; not with none, but "
        "on this machine), authorities (a PEM file)",
    ),
    "cloudhsm_clusters": Setting(
        _clusters,
        'a table by cluster id ("cluster-" and 11 to 16 of 2-7, a-z, A-Z) of module, token, certificate (a PEM file '
        "that can be read) and, if you like, account",
    ),
    "xks_proxies": Setting(
        _proxies,
        'a table by "https://NAME" (in lower case) of, if you like, address (HOST:PORT), authorities (a PEM file '
        "that can be read), vpc_endpoint_service, and client_certificate with client_key (PEM files)",
    ),
    "xks_timeout": Setting(_duration, "seconds, above 0, at most 60"),
    "lambda_isolation": Setting(_one_of("bubblewrap", "none"), "bubblewrap or none"),
    "lambda_network": Setting(
        _hosts_and_ports,
        "a list of HOST:PORT, each host by its name or 127.0.0.1 (of which the ports 9000 and 9001 are taken)",
    ),
    "lambda_environments": Setting(_whole(1, 24), "a number from 1 to 24"),
    "lambda_idle": Setting(_number, "seconds, 0 or more"),
    "cloudtrail_interval": Setting(_interval, "seconds, 1 to 3600"),
    "quotas": Setting(
        _quotas,
        '"off", "aws", or requests a second, above 0, by "service:Operation", or "*" for each other operation',
    ),
    "quota_approval": Setting(_approval, '"always", "never", or how many times AWS\'s default'),
    "max_connections": Setting(_whole(1, 1_000_000), "a number from 1 to 1000000"),
    "drain_seconds": Setting(_number, "seconds, 0 or more"),
    "log_level": Setting(_one_of("debug", "info", "warning", "error"), "debug, info, warning or error"),
    "log_format": Setting(_one_of("text", "json"), "text or json"),
}


def default_data(environ: Mapping[str, str]) -> Path:
    """Where data is kept unless something else is said: $XDG_DATA_HOME/casemate."""
    home = environ.get("XDG_DATA_HOME", "")
    # The XDG specification has relative paths ignored.
    base = Path(home) if home.startswith("/") else Path("~/.local/share").expanduser()
    return base / "casemate"


def load(
    flags: Mapping[str, Any],
    environ: Mapping[str, str],
    *,
    file: Path | None = None,
    throwaway: Callable[[], Path] | None = None,
) -> Config:
    """The settings, all of them checked.

    flags: the command line's, as text, without those not given; file: the settings file (else $CASEMATE_CONFIG,
    else DATA/casemate.toml if there is one); throwaway: makes the data directory of a ``dev`` server that was
    not given one. Raises ConfigError.
    """
    problems: list[str] = []
    here = Path.cwd()
    layers: list[tuple[Mapping[str, Any], Callable[[str], Origin]]] = [
        (flags, lambda name: Origin("--" + name.replace("_", "-"), here, True)),
        (
            {
                name: environ[PREFIX + name.upper()]
                for name in SETTINGS
                # An empty variable is one that is not set, as in most shells' and container files' defaults.
                if environ.get(PREFIX + name.upper())
            },
            lambda name: Origin(PREFIX + name.upper(), here, True),
        ),
    ]
    if file is None and environ.get(PREFIX + "CONFIG"):
        file = Path(environ[PREFIX + "CONFIG"])
    if file is not None:
        layers.append(_file_layer(file.absolute(), problems, may_name_data=True))

    found: dict[str, Any] = {}

    def take(name: str) -> None:
        for values, origin_of in layers:
            if name in values:
                origin = origin_of(name)
                try:
                    found[name] = SETTINGS[name].read(values[name], origin)
                except (ValueError, OSError):
                    problems.append(f"{origin.name}: must be {SETTINGS[name].allowed}")
                return

    take("data")
    take("dev")
    if "data" not in found and not problems:
        if found.get("dev") and throwaway is not None:
            found["data"] = throwaway()
        else:
            found["data"] = default_data(environ)
    if file is None and "data" in found and (found["data"] / FILE_NAME).exists():
        layers.append(_file_layer((found["data"] / FILE_NAME).absolute(), problems, may_name_data=False))
        if "dev" not in found:
            take("dev")
    for name in SETTINGS:
        if name not in ("data", "dev"):
            take(name)
    _check_together(found, problems)
    if problems:
        raise ConfigError(problems)
    return Config(**found, file=file)


def _file_layer(
    path: Path, problems: list[str], *, may_name_data: bool
) -> tuple[Mapping[str, Any], Callable[[str], Origin]]:
    import tomllib  # here, because most starts have no file

    def origin_of(name: str) -> Origin:
        return Origin(f"{name} in {path}", path.parent, False)

    try:
        with path.open("rb") as file:
            values = tomllib.load(file)
    except OSError as error:
        problems.append(f"{path}: cannot be read: {error.strerror}")
        return {}, origin_of
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        # Only where it is wrong: the message may quote the file.
        where = re.search(r"\(at .*\)$", str(error))
        problems.append(f"{path}: is not TOML{' ' + where[0] if where else ''}")
        return {}, origin_of
    for name in list(values):
        if name not in SETTINGS:
            problems.append(f"{name} in {path}: there is no such setting (see docs/configuration.md)")
            del values[name]
        elif name == "data" and not may_name_data:
            problems.append(f"{name} in {path}: a file in the data directory cannot name another one")
            del values[name]
    return values, origin_of


def _check_together(found: Mapping[str, Any], problems: list[str]) -> None:
    if ("tls_cert" in found) != ("tls_key" in found):
        problems.append("tls_cert, tls_key: must be given together, or neither")
    ports = [found.get(name, default_of(name)) for name in ("port", "tls_port", "metrics_port")]
    if ports[0] is None and ports[1] is None:
        problems.append('port, tls_port: at least one of them must not be "off"')
    used = [port for port in ports if port]
    if len(set(used)) != len(used):
        problems.append("port, tls_port, metrics_port: must differ from each other")
    if found.get("previous_seal") and found.get("previous_seal") == found.get("seal"):
        problems.append("previous_seal: must differ from seal; leave it out once the seal is rotated")


def default_of(name: str) -> Any:
    """A setting's default; None for what has none."""
    for each in fields(Config):
        if each.name == name:
            if each.default is not MISSING:
                return each.default
            return each.default_factory() if each.default_factory is not MISSING else None
    raise KeyError(name)
