"""``casemate quota list``, ``set``, ``approve`` and ``deny``: the operator's side of Service Quotas."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from casemate.cli.problems import CommandError
from casemate.cli.settings import as_running, initialised

if TYPE_CHECKING:
    from casemate.server.composition import Opened
    from casemate.services.servicequotas.values import Values
    from casemate.store.database import Tx


@contextmanager
def _opened(options: argparse.Namespace) -> Iterator[tuple[Opened, Values]]:
    """The data, whether a server runs or not; its workers notice what is changed."""
    from casemate.engine.envelope.errors import EnvelopeError
    from casemate.server.composition import QUOTAS, open_data
    from casemate.services.servicequotas.values import Values
    from casemate.store.errors import StoreError

    config = as_running(initialised(options))
    try:
        opened = open_data(config)
    except (EnvelopeError, StoreError) as error:
        raise CommandError(f"the data cannot be opened: {error}", "`casemate doctor` tells more.") from None
    try:
        yield opened, Values(opened.store, QUOTAS, config.quota_approval)
    except StoreError as error:
        raise CommandError(f"the database cannot be used: {error}") from None
    finally:
        opened.close()


def _account(options: argparse.Namespace, opened: Opened) -> str:
    from casemate.server.credentials_file import read_credentials

    try:
        account: str = options.account or read_credentials(opened.config.data).account
    except (FileNotFoundError, ValueError):
        raise CommandError("which account?", "Name it by --account ID.", status=2) from None
    if opened.store.read(lambda tx: tx.one("SELECT 1 FROM accounts WHERE id = ?", (account,))) is None:
        raise CommandError(f"there is no account {account}", status=2)
    return account


def list_(options: argparse.Namespace) -> int:
    """The values that apply to an account in a Region, and the increases of all accounts that wait."""
    from casemate.services.servicequotas import requests

    with _opened(options) as (opened, values):
        account, region = _account(options, opened), opened.config.region

        def look(tx: Tx) -> tuple[dict[tuple[str, str], float], list[requests.Increase]]:
            return dict(values.changed(tx, account, region)), requests.every_open(tx)

        changed, waiting = opened.store.read(look)
        print(
            f"Quotas of account {account} in {region}" + ("" if options.all else " that were changed") + ":"
        )
        for service in values.services.values():
            for quota in sorted(service.quotas, key=lambda each: each.name):
                if quota.region not in ("", region):
                    continue
                value = changed.get((quota.service, quota.code))
                if value is None and not options.all:
                    continue
                default = quota.default(region)
                applied = default if value is None else value
                note = "" if value is None else f"  (default {default:g})"
                print(f"  {quota.service}  {quota.code}  {applied:>9g}  {quota.name}{note}")
        if not options.all and not changed:
            print("  none; --all shows the defaults")
        print("Increases that wait for `casemate quota approve ID` or `deny ID`:")
        for each in waiting:
            found = values.find(each.service, each.code)
            when = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(each.created))
            name = each.code if found is None else found.name
            print(
                f"  {each.id}  {when}  {each.account}  {each.region}  {each.service}  {each.desired:g}  {name}"
            )
        if not waiting:
            print("  none")
        if opened.config.quotas != "aws":
            print('Request quotas are not enforced by these values: that takes the setting quotas = "aws".')
    return 0


def set_(options: argparse.Namespace) -> int:
    """Let a value apply, higher or lower than the default, or the default again."""
    value: float | None = None
    if options.value != "default":
        try:
            value = float(options.value)
        except ValueError:
            value = -1.0
        if not 0 <= value <= 1e10:
            raise CommandError('the value is a number from 0 on, or "default"', status=2)
    with _opened(options) as (opened, values):
        account, region = _account(options, opened), opened.config.region
        quota = values.named(options.service, options.quota)
        if quota is None:
            raise CommandError(
                f"{options.service} has no quota {options.quota}",
                "`casemate quota list --all` shows them.",
                status=2,
            )

        # A global service's quotas are in one Region.
        region = quota.region or region

        def put(tx: Tx) -> None:
            if value is None:
                values.reset(tx, quota, account, region)
            else:
                values.put(tx, quota, account, region, value, opened.clock.now())

        opened.store.write(put)
        applied = opened.store.read(lambda tx: values.value(quota, account, region, tx))
        print(f"{quota.name} ({quota.code}) of account {account} in {region} is {applied:g}.")
    return 0


def approve(options: argparse.Namespace) -> int:
    """Let a requested increase apply."""
    return _decide(options, approve=True)


def deny(options: argparse.Namespace) -> int:
    """Turn a requested increase down."""
    return _decide(options, approve=False)


def _decide(options: argparse.Namespace, *, approve: bool) -> int:
    from casemate.services.servicequotas import requests

    with _opened(options) as (opened, values):

        def decide(tx: Tx) -> requests.Increase | str:
            increase = requests.of_id(tx, options.id)
            if increase is None:
                return f"there is no request {options.id}"
            if increase.status not in requests.OPEN:
                return f"request {increase.id} is {increase.status} already"
            return requests.decide(tx, values, increase, opened.clock.now(), approve=approve)

        decided = opened.store.write(decide)
    if isinstance(decided, str):
        raise CommandError(decided, "`casemate quota list` shows those that wait.")
    print(
        f"{decided.status}: {decided.service} {decided.code} = {decided.desired:g} "
        f"for account {decided.account} in {decided.region}."
    )
    return 0
