"""Digest files: every hour, one for each account and Region of whose events a trail has delivered any.

What is delivered is noted in the transaction of its delivery. A digest is written in the one that puts its chain on,
so that each log file is in one digest, and each digest has one successor. Source: "Validating CloudTrail log file
integrity", "CloudTrail digest file structure".
"""

from __future__ import annotations

import json
import logging
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from casemate.engine.cloudtrail import files
from casemate.engine.cloudtrail.digests import ALGORITHM, Digest, LogFile, Previous, made
from casemate.errors import AwsError
from casemate.services.cloudtrail import status
from casemate.services.cloudtrail.bucket import Taken, in_bucket, place_of, write
from casemate.services.cloudtrail.signing_keys import SigningKeys
from casemate.services.cloudtrail.trails import Trail, Trails
from casemate.store.ids import new_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from casemate.gate.call import Call
    from casemate.gate.gate import Gate
    from casemate.store.database import Tx

__all__ = ["LogFile", "digest", "has_chains", "note"]

log = logging.getLogger("casemate.cloudtrail")

EVERY = 3600.0
_MOST_FILES = 10_000
"""Log files in one digest; more are in the next."""
_FILE, _CHAIN = "cloudtrail file", "cloudtrail chain"


class _Chain(NamedTuple):
    """ended: until when its last digest is, or when it begins."""

    account: str
    region: str
    ended: float
    previous: Previous | None


def note(call: Call, trail: Trail, account: str, region: str, file: LogFile) -> None:
    """A log file was delivered: it will be in the next digest."""
    key = call.part(Trails).key(call.tx, trail.place.account)
    name = new_id()
    sealed = key.wrap(json.dumps(file).encode(), _FILE, trail.id, account, region, name)
    call.tx.run(
        "INSERT INTO cloudtrail_files (id, trail, account, region, sealed) VALUES (?, ?, ?, ?, ?)",
        (name, trail.id, account, region, sealed),
    )
    begin(call.tx, call.part(Trails), trail, account, region, call.now)


def begin(tx: Tx, trails: Trails, trail: Trail, account: str, region: str, now: float) -> None:
    """Let a chain begin, unless there is one."""
    chain = _Chain(account, region, float(int(now)), None)
    tx.run(
        "INSERT INTO cloudtrail_chains (trail, account, region, ended, sealed) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT DO NOTHING",
        (trail.id, account, region, chain.ended, _sealed(tx, trails, trail, chain)),
    )


def has_chains(tx: Tx, trail: str) -> bool:
    """Whether there are digests to come. trail: its id."""
    return tx.one("SELECT 1 FROM cloudtrail_chains WHERE trail = ? LIMIT 1", (trail,)) is not None


def _sealed(tx: Tx, trails: Trails, trail: Trail, chain: _Chain) -> bytes:
    return trails.key(tx, trail.place.account).wrap(
        json.dumps(chain.previous).encode(), _CHAIN, trail.id, chain.account, chain.region, str(chain.ended)
    )


def _chains(tx: Tx, trails: Trails, trail: Trail) -> list[_Chain]:
    """Raises Tampered."""
    key = trails.key(tx, trail.place.account)
    found = []
    for account, region, ended, sealed in tx.all(
        "SELECT account, region, ended, sealed FROM cloudtrail_chains WHERE trail = ? ORDER BY account, region",
        (trail.id,),
    ):
        opened = json.loads(key.unwrap(bytes(sealed), _CHAIN, trail.id, account, region, str(ended)))
        found.append(_Chain(account, region, ended, None if opened is None else Previous(*opened)))
    return found


def _files(tx: Tx, trails: Trails, trail: Trail, chain: _Chain) -> list[tuple[str, LogFile]]:
    """Those that are in no digest yet, with their ids. Raises Tampered."""
    key = trails.key(tx, trail.place.account)
    rows = tx.all(
        "SELECT id, sealed FROM cloudtrail_files WHERE trail = ? AND account = ? AND region = ? "
        "ORDER BY id LIMIT ?",
        (trail.id, chain.account, chain.region, _MOST_FILES),
    )
    return [
        (
            name,
            LogFile(
                *json.loads(key.unwrap(bytes(sealed), _FILE, trail.id, chain.account, chain.region, name))
            ),
        )
        for name, sealed in rows
    ]


def digest(gate: Gate, trail: Trail) -> None:
    """Write the digests that are due. A chain begins with logging, and ends an hour after it, or after validation was
    switched off. Raises Tampered."""
    trails, now = gate.parts[Trails], gate.clock.now()
    wanted = bool(trail.get("Validation")) and trail.logging
    chains = gate.store.read(lambda tx: _chains(tx, trails, trail))
    own = (trail.place.account, trail.place.region)
    if wanted and own not in {(each.account, each.region) for each in chains}:
        gate.store.write(lambda tx: begin(tx, trails, trail, *own, now))
    for chain in chains:
        hours = (now - chain.ended) // EVERY
        if hours < 1:
            continue
        try:
            _write(gate, trail, chain, chain.ended + hours * EVERY, ends=not wanted)
        except AwsError as error:
            if error.status >= 500:
                raise
            log.warning("trail %s cannot deliver a digest: %s", trail.arn, error.code)
            gate.store.write(partial(_failed, trail=trail, region=chain.region, code=error.code))


def _failed(tx: Tx, trail: Trail, region: str, code: str) -> None:
    status.failed(tx, trail.id, region, "DigestDelivery", code)


def _write(gate: Gate, trail: Trail, chain: _Chain, end: float, *, ends: bool) -> None:
    """One digest. ends: the chain ends with it."""
    trails = gate.parts[Trails]
    noted = gate.store.read(lambda tx: _files(tx, trails, trail, chain))
    signer = gate.parts[SigningKeys].current(gate.store, chain.region, end)
    bucket, place = trail.get("Bucket"), trail.place
    key = files.digest_key(place_of(trail, chain.account, chain.region), place.name, place.region, end)
    listed: Sequence[LogFile] = [file for _, file in noted]
    made_now: Digest = made(chain.account, bucket, key, chain.ended, end, listed, chain.previous, signer)
    following = _Chain(
        chain.account, chain.region, end, Previous(bucket, key, made_now.digest, made_now.signature)
    )

    def work(call: Call) -> None:
        tx = call.tx
        names = [name for name, _ in noted]
        for start in range(0, len(names), 500):
            some = names[start : start + 500]
            marks = ", ".join("?" * len(some))
            if tx.run(f"DELETE FROM cloudtrail_files WHERE id IN ({marks})", some) != len(some):
                raise Taken
        moved = tx.run(
            "UPDATE cloudtrail_chains SET ended = ?, sealed = ? "
            "WHERE trail = ? AND account = ? AND region = ? AND ended = ?",
            (
                end,
                _sealed(tx, trails, trail, following),
                *(trail.id, chain.account, chain.region, chain.ended),
            ),
        )
        if not moved:
            raise Taken
        metadata = {"signature": made_now.signature, "signature-algorithm": ALGORITHM}
        write(call, trail, key, files.packed(made_now.content), metadata)
        if ends:
            tx.run(
                "DELETE FROM cloudtrail_chains WHERE trail = ? AND account = ? AND region = ?",
                (trail.id, chain.account, chain.region),
            )
        status.went_well(tx, trail.id, chain.region, "DigestDelivery", gate.clock.now())

    try:
        in_bucket(gate, trail, work)
    except Taken:
        return
