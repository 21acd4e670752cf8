"""``casemate doctor``: everything that can be checked of a data directory and its server, from outside.

Nothing is changed, and a server that runs is not disturbed.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import ssl
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from casemate.engine.envelope.errors import EnvelopeError
from casemate.engine.policy import PolicyError
from casemate.server.composition import Opened, open_data
from casemate.server.config import Config
from casemate.server.health import PATH as HEALTH
from casemate.server.journal_cipher import JournalCipher
from casemate.server.listeners import bind
from casemate.server.metrics import count_jobs
from casemate.server.rotation import key_file_of, next_key_file, seals_of
from casemate.server.server_file import Running, running
from casemate.server.tls import RENEW_DAYS
from casemate.services.iam.accounts import IamAccounts
from casemate.services.iam.entities import KINDS
from casemate.services.iam.identities import unwrap_secret
from casemate.services.iam.store import Entities
from casemate.services.kms.key_stores import KeyStores
from casemate.services.lambda_.execution.isolation import obstacle
from casemate.services.organizations.state import Organizations
from casemate.store.database import StoreError, Tx
from casemate.store.journal_format import JournalTampered
from casemate.store.journal_reader import read_journal

_LEAST_FREE = 256 * 1024 * 1024
_SKEW = 300.0
_DAY = 86400


class Finding(NamedTuple):
    """What one check found. advice: what to do, '' when all is well."""

    what: str
    advice: str = ""

    @property
    def ok(self) -> bool:
        return not self.advice


def examine(config: Config) -> Iterator[Finding]:
    """All checks, those first on which others rest."""
    yield from _permissions(config)
    yield _room(config)
    server = running(config.data)
    yield from _ports(config) if server is None else _health(server)
    yield from _tls(config)
    yield _functions(config)
    if not config.database:
        damaged = _integrity(config.data / "casemate.db")
        yield damaged
        if not damaged.ok:
            return
    try:
        seals_of(config)
    except EnvelopeError as error:
        yield Finding(
            f"seal: {error}",
            "Set seal (and previous_seal, while it is being rotated) to what protects the keys.",
        )
        return
    try:
        opened = open_data(config)
    except EnvelopeError as error:
        yield Finding(
            f"seal: {error}", "Set seal to what protects the keys, or put the right key file in place."
        )
        return
    except StoreError as error:
        yield Finding(f"database: {error}", "Make it reachable; or use the version that wrote it last.")
        return
    try:
        yield Finding(f"seal: {seals_of(config)[0].id} opens the root key")
        yield from _rotation(config)
        yield _rows(opened)
        yield _jobs(opened)
        yield from _journal(opened)
    finally:
        opened.close()


def _functions(config: Config) -> Finding:
    """How Lambda's functions run here. That they do not is no fault of a server that is not to run any."""
    if config.lambda_isolation == "none":
        return Finding("functions: run without isolation, and may do whatever the server's user may")
    reason = obstacle().reason
    return Finding(f"functions: do not run: {reason}" if reason else "functions: run isolated by bubblewrap")


def _permissions(config: Config) -> Iterator[Finding]:
    data = config.data
    loose = []
    paths = [data, *(path for path in data.rglob("*") if path.is_dir() or _is_secret(path))]
    for path in paths:
        try:
            status = path.stat()
        except FileNotFoundError:
            continue  # a file of the running server's that has gone meanwhile
        if stat.S_IMODE(status.st_mode) & 0o077:
            loose.append(path)
    if loose:
        names = " ".join(str(path) for path in loose[:5])
        yield Finding(f"permissions: others may read {names}", f"chmod go= {names}")
    else:
        yield Finding(f"permissions: {data} is its owner's alone")
    if data.stat().st_uid != os.geteuid():
        yield Finding(
            f"owner: {data} belongs to uid {data.stat().st_uid}, this is uid {os.geteuid()}",
            "Run casemate as the directory's owner.",
        )


def _is_secret(path: Path) -> bool:
    return path.name != "ca.pem" and path.suffix not in (".toml",)


def _room(config: Config) -> Finding:
    free = shutil.disk_usage(config.data).free
    if free < _LEAST_FREE:
        return Finding(f"disk: {free // 2**20} MiB are free", "Make room: a full disk stops all calls.")
    return Finding(f"disk: {free // 2**20} MiB are free")


def _ports(config: Config) -> Iterator[Finding]:
    for name, port in (
        ("port", config.port),
        ("tls_port", config.tls_port),
        ("metrics_port", config.metrics_port),
    ):
        if not port:
            continue
        try:
            bind(config.host, port).close()
        except OSError as error:
            yield Finding(
                f"{name}: {port} of {config.host} cannot be had: {error.strerror}",
                f"Stop what listens there, or set {name} to another port.",
            )
        else:
            yield Finding(f"{name}: {port} of {config.host} is free; no server runs here")


def _health(server: Running) -> Iterator[Finding]:
    endpoint = server.endpoint or server.tls_endpoint
    assert endpoint is not None
    where = urlsplit(endpoint)
    connection: http.client.HTTPConnection
    if where.scheme == "https":
        context = ssl.create_default_context()
        # Whether the server works is asked here, not whether its certificate is the right one.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        connection = http.client.HTTPSConnection(where.netloc, timeout=5, context=context)
    else:
        connection = http.client.HTTPConnection(where.netloc, timeout=5)
    try:
        connection.request("GET", HEALTH.decode())
        response = connection.getresponse()
        answer = json.loads(response.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        yield Finding(
            f"server: pid {server.pid} does not answer at {endpoint} ({type(error).__name__})",
            "Look at its log; stop and start it.",
        )
        return
    finally:
        connection.close()
    if response.status == 200:
        yield Finding(f"server: pid {server.pid} is healthy at {endpoint}")
    else:
        problems = "; ".join(answer.get("problems", ())) or f"status {response.status}"
        yield Finding(f"server: {problems}", "Look at its log.")


def _tls(config: Config) -> Iterator[Finding]:
    if config.tls_port is None:
        return
    own = config.tls_cert is None
    certificate = config.tls_cert or config.data / "tls" / "server.pem"
    if own and not certificate.exists():
        yield Finding("tls: the certificate will be made at the next start")
        return
    from cryptography import x509

    try:
        ends = x509.load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc
    except (OSError, ValueError) as error:
        advice = "Remove it; the next start makes a new one." if own else "Set tls_cert to a PEM certificate."
        yield Finding(f"tls: {certificate} cannot be read ({type(error).__name__})", advice)
        return
    days = int((ends.timestamp() - time.time()) // _DAY)
    what = f"tls: {certificate} ends in {days} days" if days >= 0 else f"tls: {certificate} has ended"
    if days < RENEW_DAYS:
        yield Finding(
            what, "Restart the server: it makes a new one." if own else "Renew it, and restart the server."
        )
    else:
        yield Finding(what)


def _integrity(path: Path) -> Finding:
    import apsw

    try:
        database = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            database.set_busy_timeout(5000)
            problems = [str(row[0]) for row in database.execute("PRAGMA integrity_check(10)")]
        finally:
            database.close()
    except apsw.Error as error:
        problems = [type(error).__name__]
    if problems != ["ok"]:
        return Finding(
            f"database: {path} is damaged: {problems[0]}",
            "Stop the server, keep the directory as it is, and restore the last backup (casemate restore).",
        )
    return Finding(f"database: {path} is whole")


def _rotation(config: Config) -> Iterator[Finding]:
    path = key_file_of(config)
    if path is not None and next_key_file(path).exists():
        yield Finding(
            f"seal: {next_key_file(path)} is left of a rotation that did not end",
            "Rotate again: casemate seal rotate",
        )


def _rows(opened: Opened) -> Finding:
    """Every user, access key, organisation, custom key store, and KMS key with its aliases opens under its account's
    key."""

    def look(tx: Tx) -> tuple[int, list[str]]:
        checked, broken = 0, []
        for account, user, key_id, status, secret in tx.all(
            "SELECT account, user_name, id, status, secret FROM iam_access_keys"
        ):
            checked += 1
            try:
                unwrap_secret(tx, opened.keyring, account, user, key_id, status, secret)
            except EnvelopeError:
                broken.append(f"access key {key_id}")
        entities = Entities(opened.keyring)
        for account, kind, name in tx.all("SELECT account, kind, handle FROM iam_entities"):
            checked += 1
            try:
                entities.find(tx, KINDS[kind], account, name)
            except (EnvelopeError, KeyError):
                broken.append(f"{kind} {name} of account {account}")
        organizations = Organizations(opened.store, opened.keyring, IamAccounts(opened.keyring))
        for name, open_it in organizations.sealed(tx):
            checked += 1
            try:
                open_it()
            except (EnvelopeError, PolicyError):
                broken.append(name)
        for account, region, key_id in tx.all("SELECT account, region, id FROM kms_keys"):
            checked += 1
            try:
                opened.keys.load(tx, account, region, key_id)
            except (EnvelopeError, PolicyError):
                broken.append(f"KMS key {key_id}")
        key_stores = KeyStores(opened.store, opened.keyring)
        for account, region, store_id in tx.all("SELECT account, region, id FROM kms_key_stores"):
            checked += 1
            try:
                key_stores.load(tx, (account, region, store_id))
            except EnvelopeError:
                broken.append(f"custom key store {store_id}")
        return checked, broken

    try:
        checked, broken = opened.store.read(look)
    except (StoreError, EnvelopeError) as error:
        return Finding(f"keys: {error}", "Restore the last backup (casemate restore).")
    if broken:
        more = f" and {len(broken) - 5} more" if len(broken) > 5 else ""
        return Finding(
            f"keys: {', '.join(broken[:5])}{more} were altered or moved in the database, and are not used",
            "Find out who can write to it; restore the last backup (casemate restore).",
        )
    return Finding(f"keys: all {checked} open")


def _jobs(opened: Opened) -> Finding:
    jobs = count_jobs(opened.store, opened.clock.now())
    if jobs is None:
        return Finding("jobs: the store cannot be read", "See above.")
    if jobs["failing"]:
        return Finding(
            f"jobs: {jobs['failing']} have failed and are tried again", "The server's log tells why."
        )
    return Finding(f"jobs: {jobs['scheduled']} are scheduled, none fails")


def _journal(opened: Opened) -> Iterator[Finding]:
    directory = opened.config.journal
    if not directory.is_dir():
        yield Finding("journal: there are no records yet")
        return
    count, latest = 0, 0
    try:
        for position, _ in read_journal(directory, JournalCipher(opened.root)):
            count += 1
            latest = max(latest, position.time_ns)
    except JournalTampered as error:
        yield Finding(
            f"journal: {error}",
            "Keep the directory as it is: the journal was altered, or its disk lost what it had acknowledged.",
        )
        return
    yield Finding(f"journal: all {count} records can be read")
    ahead = latest / 1e9 - time.time()
    if ahead > _SKEW:
        yield Finding(
            f"clock: the last audit record is {ahead:.0f} s in the future",
            "Set the machine's clock, and have it kept by NTP: signatures are refused when it is off.",
        )
    else:
        yield Finding("clock: not behind the last audit record")
