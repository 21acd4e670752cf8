"""What messages are signed by: an RSA key of each account, with a certificate that anybody may fetch.

Source: "Verifying the signatures of Amazon SNS messages".
"""

from __future__ import annotations

import datetime
from base64 import b64encode
from typing import TYPE_CHECKING, Any

from casemate.gate.keyring import Keyring
from casemate.store.ids import new_id

if TYPE_CHECKING:
    from casemate.store.database import Tx

_PURPOSE = "sns signing key"
_OF_NOTICES = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
_OF_OTHERS = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")


class Signers:
    """The accounts' keys that this worker has opened: ``call.part(Signers)``."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring
        self._keys: dict[str, tuple[str, Any]] = {}

    def __repr__(self) -> str:
        return f"<Signers of {len(self._keys)} accounts>"

    def signed(self, tx: Tx, account: str, notice: dict[str, str], version: str, base: str) -> dict[str, str]:
        """The notice with its signature. version: "1" (SHA-1) or "2" (SHA-256); base: the server's URL."""
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15

        name, key = self._key(tx, account)
        members = _OF_NOTICES if notice["Type"] == "Notification" else _OF_OTHERS
        text = "".join(f"{each}\n{notice[each]}\n" for each in members if each in notice)
        digest = hashes.SHA256() if version == "2" else hashes.SHA1()  # noqa: S303 - AWS's version 1
        signature = key.sign(text.encode(), PKCS1v15(), digest)
        return {
            **notice,
            "SignatureVersion": version,
            "Signature": b64encode(signature).decode(),
            "SigningCertURL": f"{base}/SimpleNotificationService-{name}.pem",
        }

    def _key(self, tx: Tx, account: str) -> tuple[str, Any]:
        from cryptography.hazmat.primitives.serialization import load_der_private_key

        kept = self._keys.get(account)
        if kept is not None:
            return kept
        wrapping = self._keyring.account_key(account, tx)
        row = tx.one("SELECT name, private_key FROM sns_signing_keys WHERE account = ?", (account,))
        if row is not None:
            key = load_der_private_key(wrapping.unwrap(row[1], _PURPOSE, row[0]), None)
            if tx.is_current():
                self._keys[account] = (row[0], key)
            return row[0], key
        name = new_id()
        private, certificate = _made(name)
        tx.run(
            "INSERT INTO sns_signing_keys (account, name, certificate, private_key) VALUES (?, ?, ?, ?)",
            (account, name, certificate, wrapping.wrap(private, _PURPOSE, name)),
        )
        return name, load_der_private_key(private, None)


def _made(name: str) -> tuple[bytes, bytes]:
    """A new private key (PKCS #8, DER) and its certificate (PEM)."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"sns.casemate {name}")])
    # By the machine's clock, as other certificates are checked.
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=3650))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return private, certificate.public_bytes(Encoding.PEM)


def certificate_of(tx: Tx, name: str) -> bytes | None:
    """A certificate by the name in its URL."""
    row = tx.one("SELECT certificate FROM sns_signing_keys WHERE name = ?", (name,))
    return None if row is None else bytes(row[0])
