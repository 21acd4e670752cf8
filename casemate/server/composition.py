"""The composition root: one worker's store, keys, journal, services and gate, put together."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from casemate.api import ce as ce_api
from casemate.api import cloudtrail as cloudtrail_api
from casemate.api import cloudwatch as cloudwatch_api
from casemate.api import events as events_api
from casemate.api import iam as iam_api
from casemate.api import kms as kms_api
from casemate.api import lambda_ as lambda_api
from casemate.api import logs as logs_api
from casemate.api import organizations as organizations_api
from casemate.api import s3 as s3_api
from casemate.api import s3control as s3control_api
from casemate.api import secretsmanager as secretsmanager_api
from casemate.api import service_quotas as service_quotas_api
from casemate.api import sns as sns_api
from casemate.api import sqs as sqs_api
from casemate.api import ssm as ssm_api
from casemate.api import sts as sts_api
from casemate.clock import Clock, SystemClock
from casemate.engine.authorization_message import AuthorizationMessages
from casemate.engine.egress.hosts import Hosts
from casemate.engine.egress.mail import Mail
from casemate.engine.envelope.hierarchy import RootKey
from casemate.engine.session_token import SessionTokens
from casemate.gate import parking
from casemate.gate.billing import UsageReader
from casemate.gate.call import Call
from casemate.gate.cors import Cors
from casemate.gate.gate import Gate
from casemate.gate.gate import Journal as GateJournal
from casemate.gate.keyring import Keyring
from casemate.gate.router import Route
from casemate.gate.s3_address import S3Address
from casemate.gate.throttle import LocalBuckets, SharedBuckets, Throttle
from casemate.gate.vpc_endpoints import VpcEndpoints
from casemate.server.config import Config
from casemate.server.credentials_file import read_credentials
from casemate.server.journal_cipher import JournalCipher
from casemate.server.movable_clock import MovableClock
from casemate.server.rotation import finish_rotation, seals_of
from casemate.server.sealing import unseal
from casemate.services import (
    ce,
    cloudtrail,
    cloudwatch,
    events,
    iam,
    kms,
    lambda_,
    logs,
    organizations,
    s3,
    secretsmanager,
    servicequotas,
    sns,
    sqs,
    ssm,
    sts,
)
from casemate.services.ce import meter as ce_meter
from casemate.services.ce.billing import BILLED as CE_BILLED
from casemate.services.ce.meter import Meter
from casemate.services.ce.usage import Bill, Bills
from casemate.services.cloudtrail import observing as cloudtrail_observing
from casemate.services.cloudtrail import trails as cloudtrail_trails
from casemate.services.cloudtrail.archive import Archive
from casemate.services.cloudtrail.history import History, HistoryReader
from casemate.services.cloudtrail.pages import PURPOSE as HISTORY_PURPOSE
from casemate.services.cloudtrail.quotas import QUOTAS as CLOUDTRAIL_QUOTAS
from casemate.services.cloudtrail.sealed_files import PURPOSE as ARCHIVE_PURPOSE
from casemate.services.cloudtrail.signing_keys import SigningKeys
from casemate.services.cloudtrail.trails import Trails
from casemate.services.cloudwatch.metrics import Metrics
from casemate.services.events import store as events_store
from casemate.services.events import trail as events_trail
from casemate.services.events.buses import Buses
from casemate.services.events.calling import Caller
from casemate.services.events.calling import Told as EventsTold
from casemate.services.events.dispatch import Dispatcher
from casemate.services.events.outbox import Outbox
from casemate.services.events.quotas import QUOTAS as EVENTS_QUOTAS
from casemate.services.events.store import Things
from casemate.services.iam import store as iam_store
from casemate.services.iam.accesses import OBSERVER as IAM_OBSERVER
from casemate.services.iam.accounts import IamAccounts
from casemate.services.iam.directory import IamDirectory
from casemate.services.iam.quotas import QUOTAS as IAM_QUOTAS
from casemate.services.iam.store import Entities
from casemate.services.iam.upgrade import move_users
from casemate.services.iam.uses import EVERY, Uses
from casemate.services.kms import grant_store as kms_grants
from casemate.services.kms import key_stores as kms_key_stores
from casemate.services.kms import keys as kms_keys
from casemate.services.kms.backends import Backends
from casemate.services.kms.billing import BILLED as KMS_BILLED
from casemate.services.kms.grant_store import Grants
from casemate.services.kms.key_stores import KeyStores
from casemate.services.kms.keys import Keys
from casemate.services.kms.quotas import QUOTAS as KMS_QUOTAS
from casemate.services.kms.recipients import TrustedRoots
from casemate.services.lambda_ import event_queue as lambda_events
from casemate.services.lambda_ import functions as lambda_functions
from casemate.services.lambda_ import mapping_rows as lambda_mappings
from casemate.services.lambda_.dispatching import EventDispatcher
from casemate.services.lambda_.event_queue import EventQueue
from casemate.services.lambda_.execution.doors import Doors
from casemate.services.lambda_.execution.environment import Settings as ExecutionSettings
from casemate.services.lambda_.execution.environments import Environments
from casemate.services.lambda_.functions import Functions
from casemate.services.lambda_.log_lines import LogLines
from casemate.services.lambda_.mapping_rows import Mappings
from casemate.services.lambda_.polling import Poller
from casemate.services.lambda_.quotas import QUOTAS as LAMBDA_QUOTAS
from casemate.services.logs import groups as logs_groups
from casemate.services.logs import policy_store as logs_policies
from casemate.services.logs.encryption import DataKeys as LogDataKeys
from casemate.services.logs.export_store import Exports as LogExports
from casemate.services.logs.groups import Groups as LogGroups
from casemate.services.logs.live_tail import LiveTails
from casemate.services.logs.policy_store import Policies as LogPolicies
from casemate.services.logs.query_definitions import Definitions as LogDefinitions
from casemate.services.logs.query_store import Queries as LogQueries
from casemate.services.logs.quotas import QUOTAS as LOGS_QUOTAS
from casemate.services.organizations import state as organizations_state
from casemate.services.organizations.limits import QUOTAS as ORGANIZATIONS_QUOTAS
from casemate.services.organizations.model import ACCOUNT
from casemate.services.organizations.state import Organizations
from casemate.services.s3 import access_lines
from casemate.services.s3 import buckets as s3_buckets
from casemate.services.s3.access_points import AccessPoints
from casemate.services.s3.bodies import Bodies
from casemate.services.s3.bucket_keys import BucketKeys
from casemate.services.s3.buckets import Buckets
from casemate.services.s3.cors import Preflights
from casemate.services.s3.object_rows import Objects
from casemate.services.s3.posting import ROUTE as FORM_ROUTE
from casemate.services.s3.quotas import QUOTAS as S3_QUOTAS
from casemate.services.s3.replicator import Replicator
from casemate.services.s3.upload_rows import Uploads
from casemate.services.secretsmanager.accesses import OBSERVER as SECRETS_OBSERVER
from casemate.services.secretsmanager.quotas import QUOTAS as SECRETS_QUOTAS
from casemate.services.secretsmanager.secrets import DOMAINS as SECRETS_DOMAINS
from casemate.services.secretsmanager.secrets import Secrets
from casemate.services.servicequotas import values as quota_values
from casemate.services.servicequotas.values import Values
from casemate.services.sns import certificates as sns_certificates
from casemate.services.sns import topics as sns_topics
from casemate.services.sns.deliverer import Deliverer
from casemate.services.sns.delivering import Told
from casemate.services.sns.quotas import QUOTAS as SNS_QUOTAS
from casemate.services.sns.signing import Signers
from casemate.services.sns.topics import Topics
from casemate.services.sqs import queues as sqs_queues
from casemate.services.sqs.encryption import DataKeys as SqsDataKeys
from casemate.services.sqs.queues import Queues
from casemate.services.sqs.receiving import Room
from casemate.services.ssm import parameters as ssm_parameters
from casemate.services.ssm.parameters import Parameters
from casemate.services.ssm.quotas import QUOTAS as SSM_QUOTAS
from casemate.services.sts.issuer_keys import IssuerKeys
from casemate.services.sts.quotas import QUOTAS as STS_QUOTAS
from casemate.store import jobs
from casemate.store.blobs import open_blobs
from casemate.store.database import Store, StoreError, Tx, open_store
from casemate.store.jobs import Jobs
from casemate.store.journal import Journal, JournalUnavailable
from casemate.store.journal_format import JournalTampered
from casemate.store.migrate import discover

if TYPE_CHECKING:
    from casemate.server.seed import Seed

log = logging.getLogger("casemate.server")

# Importing a service attaches its handlers to the operations.
SERVICES = (
    ce,
    cloudtrail,
    cloudwatch,
    events,
    iam,
    kms,
    lambda_,
    logs,
    organizations,
    s3,
    secretsmanager,
    servicequotas,
    sns,
    sqs,
    ssm,
    sts,
)

MIGRATIONS = (
    discover("casemate.gate"),
    discover("casemate.services.ce"),
    discover("casemate.services.cloudtrail"),
    discover("casemate.services.cloudwatch"),
    discover("casemate.services.events"),
    discover("casemate.services.iam"),
    discover("casemate.services.kms"),
    discover("casemate.services.lambda_"),
    discover("casemate.services.logs"),
    discover("casemate.services.organizations"),
    discover("casemate.services.s3"),
    discover("casemate.services.secretsmanager"),
    discover("casemate.services.servicequotas"),
    discover("casemate.services.sns"),
    discover("casemate.services.sqs"),
    discover("casemate.services.ssm"),
)

APIS = (
    ce_api.API,
    cloudtrail_api.API,
    cloudwatch_api.API,
    events_api.API,
    iam_api.API,
    kms_api.API,
    lambda_api.API,
    logs_api.API,
    organizations_api.API,
    s3_api.API,
    s3control_api.API,
    secretsmanager_api.API,
    service_quotas_api.API,
    sns_api.API,
    sqs_api.API,
    ssm_api.API,
    sts_api.API,
)

QUOTAS = (
    CLOUDTRAIL_QUOTAS,
    EVENTS_QUOTAS,
    IAM_QUOTAS,
    KMS_QUOTAS,
    LAMBDA_QUOTAS,
    LOGS_QUOTAS,
    ORGANIZATIONS_QUOTAS,
    S3_QUOTAS,
    SECRETS_QUOTAS,
    SNS_QUOTAS,
    SSM_QUOTAS,
    STS_QUOTAS,
)
"""The quotas of all services."""

BILLED = (CE_BILLED, KMS_BILLED)
"""The services whose use costs something on AWS."""

OBSERVERS = (IAM_OBSERVER, SECRETS_OBSERVER)
"""Who are told of every call, out of the audit."""

DOMAINS = (
    cloudtrail_trails.DOMAIN,
    iam_store.DOMAIN,
    jobs.DOMAIN,
    lambda_events.DOMAIN,
    lambda_mappings.DOMAIN,
    logs_groups.DOMAIN,
    logs_policies.DOMAIN,
    organizations_state.DOMAIN,
    kms_keys.ALIASES,
    kms_key_stores.DOMAIN,
    quota_values.DOMAIN,
    sns_topics.DOMAIN,
    sqs_queues.DOMAIN,
    ssm_parameters.PAGES,
    ssm_parameters.SETTINGS,
    *(events_store.domain(shard) for shard in range(events_store.SHARDS)),
    *(parking.domain(channel) for channel in range(parking.CHANNELS)),
    *(f"kms.{shard:02x}" for shard in range(kms_keys.SHARDS)),
    *SECRETS_DOMAINS,
    *(kms_grants.domain(shard) for shard in range(kms_grants.SHARDS)),
    *(lambda_functions.domain(shard) for shard in range(lambda_functions.SHARDS)),
    s3_buckets.ACCESS_POINTS,
    *(s3_buckets.domain(shard) for shard in range(s3_buckets.SHARDS)),
    *(ssm_parameters.domain(shard) for shard in range(ssm_parameters.SHARDS)),
)
"""All domains of generations: of every cache there is."""


@dataclass(slots=True)
class Opened:
    """What a data directory and its database hold, opened: enough for the commands that need no server."""

    config: Config
    clock: Clock
    store: Store
    root: RootKey
    keyring: Keyring
    keys: Keys
    seed: Seed | None = None

    def close(self) -> None:
        self.store.close()


@dataclass(slots=True)
class Worker:
    """One worker's parts, running."""

    opened: Opened
    journal: Journal[Call | None]
    gate: Gate
    jobs: Jobs
    threads: ThreadPoolExecutor
    apart: ThreadPoolExecutor
    moving: ThreadPoolExecutor
    uses: Uses
    meter: Meter
    dispatcher: Dispatcher
    doors: Doors
    invocations: EventDispatcher
    poller: Poller
    deliverer: Deliverer
    caller: Caller
    replicator: Replicator

    def close(self) -> None:
        """Everything acknowledged is durable already; what still runs is let finish, and is audited: the journal
        closes last. Functions are ended first, for others may wait for them."""
        self.opened.store.leave()
        self.invocations.stopping()
        self.poller.stopping()
        self.gate.parts[Environments].close()
        self.invocations.stop()
        self.poller.stop()
        self.jobs.stop()
        self.replicator.stop()
        self.dispatcher.stop()
        self.deliverer.stop()
        self.caller.stop()
        self.meter.stop()
        self.gate.parts[LogLines].close()
        self.gate.parts[LogQueries].close()
        self.threads.shutdown(wait=True)
        self.apart.shutdown(wait=True)
        self.moving.shutdown(wait=True)
        try:
            self.uses.flush(self.opened.store)
        except StoreError:
            log.warning("when keys were last used is not written: the store cannot be reached")
        self.opened.close()
        self.journal.close()


def open_data(config: Config, seed: Seed | None = None) -> Opened:
    """Open the store, bring its tables up to date and unseal the root key. seed: what to begin with, already
    checked."""
    clock: Clock = MovableClock(config.data / "clock") if config.dev else SystemClock()
    store = open_store(config.database_url, migrations=MIGRATIONS)
    try:
        root = unseal(store, seals_of(config), clock.now())
        finish_rotation(config, store)
        keyring = Keyring(root)
        move_users(store, keyring)
    except BaseException:
        store.close()
        raise
    return Opened(config, clock, store, root, keyring, Keys(store, keyring), seed)


def open_worker(
    config: Config,
    number: int,
    loop: asyncio.AbstractEventLoop,
    opened: Opened | None = None,
    seed: Seed | None = None,
) -> Worker:
    """A worker, ready to be given to the transport. Called after the fork, before the loop runs.

    opened: what this very process has opened already, where it did not fork.
    """
    if opened is None:
        opened = open_data(config, seed)
    threads = ThreadPoolExecutor(max_workers=4, thread_name_prefix="casemate-read")
    # For requests that wait for another machine (a key store's), so that others need not wait for it as well.
    apart = ThreadPoolExecutor(max_workers=32, thread_name_prefix="casemate-apart")
    # For bodies on their way, which take as long as their clients do: nobody else waits behind slow ones.
    moving = ThreadPoolExecutor(max_workers=256, thread_name_prefix="casemate-moving")
    gate: Gate

    def durable(batch: list[Call | None], error: BaseException | None) -> None:
        loop.call_soon_threadsafe(gate.release, batch, error)

    journal: Journal[Call | None] = Journal(
        config.journal, JournalCipher(opened.root), durable, worker=f"{number:02d}-{os.getpid()}"
    )
    doors = Doors(loop)
    built = _build(
        opened,
        journal,
        threads.submit,
        apart.submit,
        loop.call_soon_threadsafe,
        loop.call_soon,
        doors,
        moving.submit,
    )
    gate, uses, meter = built.gate, built.uses, built.meter
    jobs = Jobs(opened.store, opened.clock, job_handlers(gate))
    _write_uses(loop, uses, opened.store)
    if number == 0:
        _count_usage(loop, meter, threads)
    return Worker(
        opened,
        journal,
        gate,
        jobs,
        threads,
        apart,
        moving,
        uses,
        meter,
        Dispatcher(gate),
        doors,
        EventDispatcher(gate),
        Poller(gate),
        Deliverer(gate),
        Caller(gate),
        Replicator(gate),
    )


class Built(NamedTuple):
    """A gate with its services, and those of their parts that are looked after from outside."""

    gate: Gate
    directory: IamDirectory
    uses: Uses
    meter: Meter


def _build(
    opened: Opened,
    journal: GateJournal,
    in_thread: Callable[..., object],
    apart: Callable[..., object],
    in_loop: Callable[..., object],
    soon: Callable[..., object],
    doors: Doors | None = None,
    moving: Callable[..., object] | None = None,
) -> Built:
    uses = Uses()
    organizations_of = Organizations(opened.store, opened.keyring, IamAccounts(opened.keyring))
    tokens = SessionTokens(opened.root)
    directory = IamDirectory(opened.store, opened.keyring, uses, tokens, organizations_of)
    values = Values(opened.store, QUOTAS, opened.config.quota_approval)
    buses = Buses(opened.store, opened.keyring)
    outbox = Outbox(buses, opened.keyring)
    trails = Trails(opened.store, opened.keyring, opened.config.cloudtrail_interval)
    settings = opened.config
    history = history_of(opened)
    meter = _meter(opened, buses, outbox, trails, organizations_of, history)
    buckets = Buckets(opened.store, opened.keyring)
    parts: dict[type, Any] = {
        Entities: directory.entities,
        Functions: Functions(opened.store, opened.keyring),
        Environments: _environments(settings, doors or Doors(None)),
        EventQueue: EventQueue(opened.store, opened.keyring),
        LogLines: LogLines(),
        Mappings: Mappings(opened.keyring),
        Grants: opened.keys.grants,
        Hosts: Hosts(settings.egress),
        Mail: Mail(settings.smtp),
        **({VpcEndpoints: VpcEndpoints(settings.vpc_endpoints)} if settings.vpc_endpoints else {}),
        Bodies: Bodies(open_blobs(settings.blobs_place)),
        BucketKeys: BucketKeys(),
        AccessPoints: AccessPoints(opened.store, opened.keyring, buckets),
        Buckets: buckets,
        Buses: buses,
        Outbox: outbox,
        Things: buses.things,
        Topics: Topics(opened.store, opened.keyring),
        Signers: Signers(opened.keyring),
        Told: Told(),
        EventsTold: EventsTold(),
        Queues: Queues(opened.store, opened.keyring),
        Room: Room(),
        SqsDataKeys: SqsDataKeys(),
        Backends: Backends(settings.cloudhsm_clusters, settings.xks_proxies, settings.xks_timeout),
        Keys: opened.keys,
        KeyStores: KeyStores(opened.store, opened.keyring),
        LogDataKeys: LogDataKeys(opened.keyring),
        LogGroups: LogGroups(opened.store, opened.keyring),
        LogPolicies: LogPolicies(opened.store, opened.keyring),
        LogDefinitions: LogDefinitions(opened.keyring),
        LogExports: LogExports(opened.keyring),
        LiveTails: LiveTails(),
        LogQueries: LogQueries(opened.keyring),
        Metrics: Metrics(opened.keyring, opened.root.derive("cloudwatch metric ids")),
        Objects: Objects(opened.keyring),
        Organizations: organizations_of,
        Parameters: Parameters(opened.store, opened.keyring),
        Secrets: Secrets(opened.store, opened.keyring),
        TrustedRoots: TrustedRoots(frozenset(opened.config.attestation_roots)),
        IssuerKeys: _issuer_keys(opened.config),
        AuthorizationMessages: AuthorizationMessages(opened.root),
        SessionTokens: tokens,
        Uploads: Uploads(opened.keyring),
        Trails: trails,
        SigningKeys: SigningKeys(opened.keyring),
        Uses: uses,
        History: history,
        HistoryReader: HistoryReader(meter.glance),
        Bills: _bills(organizations_of),
        Meter: meter,
        UsageReader: UsageReader(partial(meter.catch_up, gently=True)),
        Values: values,
    }
    paths: Mapping[tuple[str, bytes], Route] = {}
    if opened.config.dev:
        parts, paths = _with_control(opened, parts)
    gate = Gate(
        APIS,
        directory=directory,
        organizations=organizations_of,
        store=opened.store,
        journal=journal,
        clock=opened.clock,
        throttle=_throttle(opened.config, values),
        in_thread=in_thread,
        apart=apart,
        moving=moving,
        in_loop=in_loop,
        soon=soon,
        parts=parts,
        quotas=values,
        announcer=outbox,
        paths=paths,
        prefixes={sns_certificates.PREFIX: sns_certificates.ROUTE},
        region=opened.config.region,
        address=S3Address(settings.tls_names),
        cors=Cors(opened.config.cors_origins),
        bucket_cors=Preflights(buckets),
        form=FORM_ROUTE,
        relaxed=opened.config.audit == "relaxed",
    )
    parts[LogLines].gate = gate
    return Built(gate, directory, uses, meter)


def _environments(config: Config, doors: Doors) -> Environments:
    hidden = tuple(dict.fromkeys(map(str, config.secret_places)))
    return Environments(
        ExecutionSettings(config.lambda_isolation, config.lambda_network, hidden),
        doors,
        config.data / "run" / "lambda",
        most=config.lambda_environments,
        idle=config.lambda_idle,
    )


def gate_at_rest(opened: Opened) -> Built:
    """A gate that serves nobody, for the commands that look at what the policies say."""

    def never(*_: object) -> object:
        raise RuntimeError("no request comes in here")

    return _build(opened, _NoJournal(), never, never, never, never)


class _NoJournal:
    """Nothing is recorded, hence nothing may be changed."""

    healthy = False

    def append(self, record: bytes, token: Call | None, wake: bool = True) -> None:  # noqa: ARG002
        raise JournalUnavailable("there is no journal")

    def flush(self, on_durable: Callable[[list[Call | None], BaseException | None], None]) -> None:  # noqa: ARG002
        raise JournalUnavailable("there is no journal")


def meter_of(opened: Opened) -> Meter:
    """The reader of the audit, for the commands that need no server."""
    buses = Buses(opened.store, opened.keyring)
    trails = Trails(opened.store, opened.keyring)
    organizations_of = Organizations(opened.store, opened.keyring, IamAccounts(opened.keyring))
    outbox = Outbox(buses, opened.keyring)
    return _meter(opened, buses, outbox, trails, organizations_of, history_of(opened))


def _meter(
    opened: Opened,
    buses: Buses,
    outbox: Outbox,
    trails: Trails,
    organizations_of: Organizations,
    history: History,
) -> Meter:
    """Whoever reads the audit shows it to all: what is read is read once."""
    observers = (
        *OBSERVERS,
        events_trail.observer(opened.store, buses, outbox),
        cloudtrail_observing.observer(opened.store, trails, organizations_of, opened.clock),
        access_lines.observer(Buckets(opened.store, opened.keyring)),
    )
    recorders = (partial(history.gathering, opened.clock),)
    return Meter(
        opened.store, opened.config.journal, JournalCipher(opened.root), BILLED, observers, recorders
    )


def history_of(opened: Opened) -> History:
    """What the audit has recorded, for lookups and for the commands that need no server."""
    config = opened.config
    archive = Archive(
        open_blobs(config.archive_place), opened.root.wrapping_key(ARCHIVE_PURPOSE), config.audit_days
    )
    return History(archive, opened.root.wrapping_key(HISTORY_PURPOSE))


def bills_of(opened: Opened) -> Bills:
    """Which accounts are billed together, for the commands that need no server."""
    return _bills(Organizations(opened.store, opened.keyring, IamAccounts(opened.keyring)))


def _bills(organizations: Organizations) -> Bills:
    """An organisation's accounts are billed together, to its management account."""

    def of(tx: Tx, account: str) -> Bill:
        found = organizations.membership(tx, account)
        if found is None:
            return Bill(account, {account: organizations.accounts.name(tx, account) or ""})
        members = organizations.nodes(tx, found[0], ACCOUNT)
        return Bill(found[0].management, {member.id: member.name for member in members})

    return Bills(of)


def _count_usage(loop: asyncio.AbstractEventLoop, meter: Meter, threads: ThreadPoolExecutor) -> None:
    """Read what is in the journal, now and again for as long as the loop runs, and rather when the process has little
    else to do; one worker for all of the machine."""

    trimmed = read = looked = loop.time()
    used = time.process_time()

    def count() -> None:
        nonlocal trimmed
        try:
            if loop.time() < trimmed + ce_meter.TRIM_EVERY:
                meter.catch_up(gently=True)
            else:
                trimmed = loop.time()
                meter.trim(History.held)
        except (JournalTampered, StoreError) as error:
            log.error("usage is not counted: %s", error)
        finally:
            # At the end there is no loop any more.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(counted)

    def counted() -> None:
        nonlocal read
        read = loop.time()
        wait()

    def wait() -> None:
        nonlocal looked, used
        looked, used = loop.time(), time.process_time()
        loop.call_later(ce_meter.EVERY, begin)

    def begin() -> None:
        now = loop.time()
        busy = time.process_time() - used > ce_meter.BUSY * (now - looked)
        if busy and now < read + ce_meter.PUT_OFF:
            wait()
        else:
            threads.submit(count)

    wait()


def _write_uses(loop: asyncio.AbstractEventLoop, uses: Uses, store: Store) -> None:
    """Write which keys were used, now and again for as long as the loop runs."""

    def write() -> None:
        uses.write(store)
        loop.call_later(EVERY, write)

    loop.call_later(EVERY, write)


def _throttle(config: Config, values: Values) -> Throttle:
    return Throttle(
        values if config.quotas == "aws" else config.quotas,
        SharedBuckets(config.buckets) if config.quotas and config.workers > 1 else LocalBuckets(),
        {service.code: service.throttled for service in QUOTAS},
    )


def _issuer_keys(config: Config) -> IssuerKeys:
    if not config.oidc_keys:
        return IssuerKeys({}, Hosts(config.oidc_hosts))
    from casemate.engine.oidc.key_set import KeySet

    configured = {issuer: KeySet(document) for issuer, document in config.oidc_keys.items()}
    return IssuerKeys(configured, Hosts(config.oidc_hosts))


def _with_control(
    opened: Opened, parts: dict[type, Any]
) -> tuple[dict[type, Any], Mapping[tuple[str, bytes], Route]]:
    """What ``--dev`` adds: the operations on the server itself."""
    from casemate.server.control import PATHS, Control
    from casemate.server.first_start import begin

    assert isinstance(opened.clock, MovableClock)
    administrator = read_credentials(opened.config.data)
    meter: Meter = parts[Meter]

    def start_again(tx: Tx) -> None:
        begin(tx, opened, administrator)
        meter.forget(tx)

    control = Control(
        clock=opened.clock,
        account=administrator.account,
        migrations=MIGRATIONS,
        domains=DOMAINS,
        begin=start_again,
    )
    return {**parts, Control: control}, PATHS


def job_handlers(gate: Gate) -> dict[str, Callable[..., Any]]:
    """The background jobs of all services, by kind."""
    return {
        **cloudtrail.jobs(gate),
        **cloudwatch.jobs(gate),
        **events.jobs(gate),
        **kms.jobs(gate),
        **logs.jobs(gate),
        **organizations.jobs(gate),
        **s3.jobs(gate),
        **secretsmanager.jobs(gate),
        **sqs.jobs(gate),
        **ssm.jobs(gate),
    }
