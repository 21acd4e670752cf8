"""Where the gate finds who calls: access keys with their users, and what is attached to them, in memory."""

from __future__ import annotations

from casemate.engine.policy import Attached, Policy, Principal, parse
from casemate.gate.identity import Credential, Identity
from casemate.gate.keyring import Keyring
from casemate.services.iam.identities import DOMAIN, unwrap_secret
from casemate.services.iam.managed_policies import AWS_MANAGED
from casemate.store.cache import Cache
from casemate.store.database import Store, Tx


class IamDirectory:
    """The gate's ``Directory``, by the tables of IAM."""

    def __init__(self, store: Store, keyring: Keyring) -> None:
        self._keyring = keyring
        self._credentials: Cache[str, Credential | None] = Cache(store, DOMAIN, self._load)

    def credential(self, access_key_id: str, tx: Tx | None) -> Credential | None:
        """The access key with its user; None when there is none. Raises Miss when that is not in memory and
        tx is None."""
        return self._credentials.get(access_key_id, tx)

    def resource_controls(self, account: str, tx: Tx | None) -> tuple[tuple[Policy, ...], ...]:  # noqa: ARG002
        """None: there are no organisations yet."""
        return ()

    def _load(self, tx: Tx, access_key_id: str) -> Credential | None:
        row = tx.one(
            "SELECT account, user_name, secret, status FROM iam_access_keys WHERE id = ?", (access_key_id,)
        )
        if row is None:
            return None
        account, user, wrapped, status = row
        identity = _root(account, access_key_id) if not user else _user(tx, account, user, access_key_id)
        if identity is None:
            return None
        secret = unwrap_secret(tx, self._keyring, account, user, access_key_id, wrapped)
        return Credential(access_key_id, secret, status == "Active", identity)


def _root(account: str, access_key_id: str) -> Identity:
    arn = f"arn:aws:iam::{account}:root"
    return Identity(
        Principal(kind="root", arn=arn, account=account, id=account),
        Attached(),
        {
            "aws:principalarn": arn,
            "aws:principalaccount": account,
            "aws:principaltype": "Account",
            "aws:principalisawsservice": "false",
            "aws:userid": account,
        },
        {
            "type": "Root",
            "principalId": account,
            "arn": arn,
            "accountId": account,
            "accessKeyId": access_key_id,
        },
    )


def _user(tx: Tx, account: str, name: str, access_key_id: str) -> Identity | None:
    row = tx.one("SELECT path, id FROM iam_users WHERE account = ? AND name = ?", (account, name))
    if row is None:
        return None
    path, user_id = row
    arn = f"arn:aws:iam::{account}:user{path}{name}"
    return Identity(
        Principal(kind="user", arn=arn, account=account, id=user_id),
        Attached(identity=_policies(tx, account, name)),
        {
            "aws:principalarn": arn,
            "aws:principalaccount": account,
            "aws:principaltype": "User",
            "aws:principalisawsservice": "false",
            "aws:userid": user_id,
            "aws:username": name,
        },
        {
            "type": "IAMUser",
            "principalId": user_id,
            "arn": arn,
            "accountId": account,
            "accessKeyId": access_key_id,
            "userName": name,
        },
    )


def _policies(tx: Tx, account: str, user: str) -> tuple[Policy, ...]:
    attached = tx.all(
        "SELECT policy_arn FROM iam_attached_policies WHERE account = ? AND user_name = ? "
        "ORDER BY policy_arn",
        (account, user),
    )
    inline = tx.all(
        "SELECT name, document FROM iam_inline_policies WHERE account = ? AND user_name = ? ORDER BY name",
        (account, user),
    )
    return (
        *(parse(AWS_MANAGED[arn], "identity").named(arn) for (arn,) in attached),
        *(parse(document, "identity").named(name) for name, document in inline),
    )
