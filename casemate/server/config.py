"""What an operator can set, with its defaults. casemate/server/config_file.py reads it from file and environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from casemate.engine.envelope.seals import secret_files

if TYPE_CHECKING:
    from casemate.engine.egress.mail import MailServer
    from casemate.engine.keystore.https import Endpoint
    from casemate.engine.keystore.token import Cluster
    from casemate.gate.vpc_endpoints import VpcEndpoint

_PUBLIC = ("*",)
_OWN_NETWORK = ("127.0.0.0/8", "::1", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """One server's settings.

    data: the data directory; host: the address to listen on; port, tls_port, metrics_port: TCP ports (0: any
    free one, None: do not listen); database: '' for SQLite in the data directory, else a postgresql:// URL;
    blobs: '' for files in the data directory, else a path or the URL of an object store, for large objects'
    content; seal: what protects the root key ('' for a key file in the data directory), previous_seal: the
    one before, while it is rotated; audit: "durable" holds a reply until its record is on disk, "relaxed"
    does not; audit_days: for which records are kept (0: for ever); region: where unsigned requests act;
    account: the id of the first account ('' for a random one); quotas: requests a second by quota
    ("kms:CreateKey", or "*" for all others), without which there is no limit; "aws": what Service Quotas
    says, beginning with AWS's defaults; quota_approval: up to so many times AWS's default an increase is
    approved at once (0: none is, None: each is); cors_origins: what a browser's page may call from;
    attestation_roots: the certificates (DER) that enclaves' attestation documents may chain to; oidc_keys: JWK sets
    of identity providers by issuer, which are then not asked for them; oidc_hosts: hosts that identity providers'
    keys may be fetched from, "*" for all that have public addresses; egress_hosts: where customers' own endpoints may
    be (SNS's HTTP subscriptions, EventBridge's API destinations): host names, addresses, networks, "*" for all that
    are public; vpc_endpoints: which networks stand for one, by its id; smtp: by what SNS's mails are sent, None for
    none; cloudhsm_clusters, xks_proxies: what custom
    key stores may use, by cluster id and by https://NAME; xks_timeout: seconds that a proxy has to answer;
    lambda_isolation: how functions are kept apart, "bubblewrap" or "none"; lambda_network: hosts and ports that they
    may reach besides the API; lambda_environments: how many of them a worker keeps at a time; lambda_idle: seconds
    for which one is kept that is not used; cloudtrail_interval: seconds between a trail's deliveries; file: where
    settings were read from, if that was said; it is no setting.
    """

    data: Path
    host: str = "127.0.0.1"
    port: int | None = 4566
    tls_port: int | None = 4567
    metrics_port: int | None = 4568
    workers: int = 1
    dev: bool = False
    seed: Path | None = None
    database: str = field(default="", repr=False)
    blobs: str = ""
    seal: str = ""
    previous_seal: str = ""
    audit: Literal["durable", "relaxed"] = "durable"
    audit_days: int = 90
    region: str = "us-east-1"
    account: str = ""
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_names: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ("*",)
    quotas: Mapping[str, float] | Literal["aws"] = field(default_factory=dict)
    quota_approval: float | None = 10.0
    attestation_roots: tuple[bytes, ...] = ()
    oidc_keys: Mapping[str, bytes] = field(default_factory=dict)
    oidc_hosts: tuple[str, ...] = ("*",)
    egress_hosts: tuple[str, ...] | None = None
    vpc_endpoints: Mapping[str, VpcEndpoint] = field(default_factory=dict)
    smtp: MailServer | None = None
    cloudhsm_clusters: Mapping[str, Cluster] = field(default_factory=dict)
    xks_proxies: Mapping[str, Endpoint] = field(default_factory=dict)
    xks_timeout: float = 0.25
    lambda_isolation: Literal["bubblewrap", "none"] = "bubblewrap"
    lambda_network: tuple[tuple[str, int], ...] = ()
    lambda_environments: int = 16
    lambda_idle: float = 300.0
    cloudtrail_interval: float = 300.0
    max_connections: int = 4096
    drain_seconds: float = 20.0
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["text", "json"] = "text"
    file: Path | None = field(default=None, compare=False)

    @property
    def egress(self) -> tuple[str, ...]:
        """``egress_hosts``, or its default: all public ones and, under ``dev``, this machine and its own network."""
        if self.egress_hosts is not None:
            return self.egress_hosts
        return (*_PUBLIC, *_OWN_NETWORK) if self.dev else _PUBLIC

    @property
    def database_url(self) -> str:
        """The database's URL; it may hold a password."""
        return self.database or f"sqlite://{(self.data / 'casemate.db').resolve()}"

    @property
    def seal_spec(self) -> str:
        """The current seal, in the words of casemate/engine/envelope/seals.py."""
        return self.seal or f"keyfile:{self.key_file}"

    @property
    def secret_places(self) -> tuple[Path, ...]:
        """The files and folders that nobody but the server is to read."""
        keys = [path for seal in (self.seal_spec, self.previous_seal) if seal for path in secret_files(seal)]
        files = [path for path in (self.tls_key, self.file) if path is not None]
        folders = [self.data.resolve(), *(path.resolve().parent for path in keys)]
        return (*folders, *(path.resolve() for path in files))

    @property
    def key_file(self) -> Path:
        """The default seal's key."""
        return (self.data / "seal.key").resolve()

    @property
    def buckets(self) -> Path:
        """What the workers count requests in."""
        return self.data / "run" / "buckets"

    @property
    def own_blobs(self) -> Path:
        """Where large objects' content is, unless ``blobs`` says otherwise."""
        return (self.data / "blobs").resolve()

    @property
    def blobs_place(self) -> str:
        """Where it is, in the words of casemate/store/blobs.py."""
        return self.blobs or str(self.own_blobs)

    @property
    def archive_place(self) -> str:
        """Where the audit's archive is, in the same words."""
        return f"{self.blobs.rstrip('/')}/archive" if self.blobs else str((self.data / "archive").resolve())

    @property
    def journal(self) -> Path:
        """The audit journal's directory."""
        return self.data / "journal"
