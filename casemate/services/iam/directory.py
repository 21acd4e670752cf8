"""Where the gate finds who calls: access keys with their users, and what is attached to them, in memory."""

from __future__ import annotations

from casemate.engine.policy import Attached, Policy, Principal, parse, principal_keys
from casemate.gate.identity import Credential, Identity
from casemate.gate.keyring import Keyring
from casemate.services.iam.identities import ACTIVE, DOMAIN, User, load_user, unwrap_secret
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
        secret = unwrap_secret(tx, self._keyring, account, user, access_key_id, status, wrapped)
        if user:
            found = load_user(tx, self._keyring, account, user)
            if found is None:
                return None
            identity = _user(found, access_key_id)
        else:
            identity = _root(account, access_key_id)
        return Credential(access_key_id, secret, status == ACTIVE, identity)


def _root(account: str, access_key_id: str) -> Identity:
    arn = f"arn:aws:iam::{account}:root"
    principal = Principal(kind="root", arn=arn, account=account, id=account)
    audit = {
        "type": "Root",
        "principalId": account,
        "arn": arn,
        "accountId": account,
        "accessKeyId": access_key_id,
    }
    return Identity(principal, Attached(), principal_keys(principal), audit)


def _user(user: User, access_key_id: str) -> Identity:
    arn = f"arn:aws:iam::{user.account}:user{user.path}{user.name}"
    principal = Principal(kind="user", arn=arn, account=user.account, id=user.id)
    policies = (
        *(parse(AWS_MANAGED[arn], "identity").named(arn) for arn in user.attached),
        *(parse(document, "identity").named(name) for name, document in user.inline),
    )
    audit = {
        "type": "IAMUser",
        "principalId": user.id,
        "arn": arn,
        "accountId": user.account,
        "accessKeyId": access_key_id,
        "userName": user.name,
    }
    return Identity(principal, Attached(identity=policies), principal_keys(principal), audit)
