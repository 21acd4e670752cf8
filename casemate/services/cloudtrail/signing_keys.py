"""What digest files are signed with: RSA keys, each Region's own, one after the other; and ListPublicKeys.

They are CloudTrail's, of no account: a private key is sealed under the root key. Source: "ListPublicKeys",
"Validating CloudTrail log file integrity".
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from casemate.api import cloudtrail
from casemate.engine.cloudtrail.digests import fingerprint, public_key
from casemate.services.cloudtrail.refusals import bad_times
from casemate.services.cloudtrail.targets import anything

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    from casemate.gate.call import Call
    from casemate.gate.keyring import Keyring
    from casemate.gate.resource import Resource
    from casemate.store.database import Store, Tx

VALID = 90 * 86_400.0
"""Seconds for which a key signs."""
_PURPOSE = "cloudtrail signing keys"


class _Kept(NamedTuple):
    starts: float
    ends: float
    key: RSAPrivateKey


class SigningKeys:
    """The keys that this worker has opened: ``gate.parts[SigningKeys]``."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring
        self._kept: dict[str, _Kept] = {}

    def __repr__(self) -> str:
        return f"<SigningKeys of {len(self._kept)} Regions>"

    def current(self, store: Store, region: str, now: float) -> RSAPrivateKey:
        """The Region's key of this time, made where there is none. Not in a transaction. Raises Tampered."""
        kept = self._kept.get(region)
        if kept is None or not kept.starts <= now < kept.ends:
            found = store.read(lambda tx: self._load(tx, region, now))
            if found is None:
                # Slow, hence before the transaction; another worker may be the first.
                made = _made()
                found = store.write(
                    lambda tx: self._load(tx, region, now) or self._add(tx, region, now, made)
                )
            kept = self._kept[region] = found
        return kept.key

    def _load(self, tx: Tx, region: str, now: float) -> _Kept | None:
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
        from cryptography.hazmat.primitives.serialization import load_der_private_key

        row = tx.one(
            "SELECT fingerprint, starts, ends, sealed FROM cloudtrail_keys "
            "WHERE region = ? AND starts <= ? AND ends > ? ORDER BY starts DESC LIMIT 1",
            (region, now, now),
        )
        if row is None:
            return None
        name, starts, ends, sealed = row
        private = self._keyring.service_key(_PURPOSE).unwrap(
            sealed, _PURPOSE, *_bound(region, name, starts, ends)
        )
        key = load_der_private_key(private, None)
        assert isinstance(key, RSAPrivateKey)
        return _Kept(starts, ends, key)

    def _add(self, tx: Tx, region: str, now: float, key: RSAPrivateKey) -> _Kept:
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

        # Of the whole second, as clients show it.
        starts = float(int(now))
        ends, public = starts + VALID, public_key(key)
        private = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        name = fingerprint(public)
        sealed = self._keyring.service_key(_PURPOSE).wrap(
            private, _PURPOSE, *_bound(region, name, starts, ends)
        )
        tx.run(
            "INSERT INTO cloudtrail_keys (region, fingerprint, starts, ends, public, sealed) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            (region, name, starts, ends, public, sealed),
        )
        return _Kept(starts, ends, key)


def _bound(region: str, name: str, starts: float, ends: float) -> tuple[str, ...]:
    return (region, name, str(starts), str(ends))


def _made() -> RSAPrivateKey:
    from cryptography.hazmat.primitives.asymmetric import rsa

    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@cloudtrail.ListPublicKeys.reads(anything, near=True)
def list_public_keys(
    call: Call, req: cloudtrail.ListPublicKeysRequest, target: Resource
) -> cloudtrail.ListPublicKeysResponse:
    """The keys that verify the Region's digest files of a time."""
    start = req["StartTime"].timestamp() if "StartTime" in req else call.now
    end = req["EndTime"].timestamp() if "EndTime" in req else max(start, call.now)
    if start > end:
        raise bad_times("The start time must be before the end time.")
    rows = call.tx.all(
        "SELECT public, starts, ends, fingerprint FROM cloudtrail_keys "
        "WHERE region = ? AND starts <= ? AND ends >= ? ORDER BY starts",
        (call.region, end, start),
    )
    return {
        "PublicKeyList": [
            {
                "Value": bytes(public),
                "ValidityStartTime": datetime.fromtimestamp(starts, UTC),
                "ValidityEndTime": datetime.fromtimestamp(ends, UTC),
                "Fingerprint": name,
            }
            for public, starts, ends, name in rows
        ]
    }
