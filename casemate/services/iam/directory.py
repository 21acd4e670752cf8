"""Where the gate finds who calls: access keys with their users, roles, and what is attached to them, in memory."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping

from casemate.engine.envelope.errors import Tampered
from casemate.engine.policy import Attached, Policy, Principal, parse, principal_keys, with_names
from casemate.engine.session_token import BadToken, Session, SessionTokens
from casemate.gate.canonical_user import canonical_user
from casemate.gate.identity import Credential, Identity, OidcIssuer, RoleEntry, SessionCredential, tag_keys
from casemate.gate.keyring import Keyring
from casemate.gate.organization import NoOrganizations, Organizations, Oversight
from casemate.services.iam import entities, mfa, sessions
from casemate.services.iam.identities import ACTIVE, unwrap_secret
from casemate.services.iam.managed_policies import aws_managed
from casemate.services.iam.root_access import features_of
from casemate.services.iam.store import DOMAIN, Entities
from casemate.services.iam.trust import ids_named, names_now
from casemate.services.iam.uses import Uses
from casemate.store.cache import Cache
from casemate.store.database import Store, Tx

MOST_SESSIONS = 20_000
"""Sessions that are kept in memory; past that all are found anew."""


class IamDirectory:
    """The gate's ``Directory``, by the tables of IAM. uses: where it remembers who called last; tokens: opens session
    tokens; without it there are no sessions; organizations: tells which accounts are closed."""

    def __init__(
        self,
        store: Store,
        keyring: Keyring,
        uses: Uses | None = None,
        tokens: SessionTokens | None = None,
        organizations: Organizations | None = None,
    ) -> None:
        self._keyring = keyring
        self._organizations = organizations or NoOrganizations()
        self.entities = Entities(keyring)
        """The rows, for IAM's operations too, so that what one has opened the others need not open."""
        self._credentials: Cache[str, Credential | None] = Cache(store, DOMAIN, self._load)
        self._roles: Cache[tuple[str, str], RoleEntry | None] = Cache(store, DOMAIN, self._load_role)
        self._groups: Cache[tuple[str, str], tuple[Policy, ...]] = Cache(store, DOMAIN, self._load_group)
        self._policies: Cache[tuple[str, str], Policy | None] = Cache(store, DOMAIN, self._load_policy)
        self._saml: Cache[tuple[str, str], str | None] = Cache(store, DOMAIN, self._load_saml)
        self._issuers: Cache[tuple[str, str], OidcIssuer | None] = Cache(store, DOMAIN, self._load_issuer)
        self._sessions: Cache[str, SessionCredential | None] = Cache(
            store, DOMAIN, self._load_session, MOST_SESSIONS
        )
        self._tokens = tokens
        self.used = (Uses() if uses is None else uses).note

    def credential(self, access_key_id: str, tx: Tx | None) -> Credential | None:
        """The access key with its user; None when there is none. Raises Miss when that is not in memory and
        tx is None."""
        return self._credentials.get(access_key_id, tx)

    def session(self, token: str, tx: Tx | None) -> SessionCredential | None:
        """The temporary credentials of a session token, expired or not; None when the token is none or its user or
        role is no more. Raises Miss as above."""
        return self._sessions.get(token, tx)

    def user(self, account: str, name: str, access_key_id: str, tx: Tx) -> Identity | None:
        """A user as a caller by an access key, whether or not there is that key; None when there is no such user."""
        user = self.entities.find(tx, entities.User, account, name)
        return None if user is None or user.name != name else self._user(tx, user, access_key_id)

    def role(self, account: str, name: str, tx: Tx | None) -> RoleEntry | None:
        """The role as it can be assumed; None when there is none. Raises Miss as above."""
        return self._roles.get((account, name.lower()), tx)

    def oidc_issuer(self, account: str, url: str, tx: Tx | None) -> OidcIssuer | None:
        """The account's identity provider whose tokens that URL issues; None when there is none. Raises Miss as
        above."""
        return self._issuers.get((account, url), tx)

    def saml_metadata(self, account: str, arn: str, tx: Tx | None) -> str | None:
        """The metadata document of the account's SAML identity provider of that ARN; None when there is none. Raises
        Miss as above."""
        return self._saml.get((account, arn), tx)

    def policy(self, account: str, arn: str, tx: Tx | None) -> Policy | None:
        """A managed policy, AWS's or the account's own; None when there is none. Raises Miss as above."""
        return self._policies.get((account, arn), tx)

    def root_features(self, tx: Tx, organization: Oversight) -> tuple[str, ...]:
        """What an organisation may do with its members' root users."""
        return features_of(self.entities, tx, organization)

    def second_factor(self, tx: Tx, user: Principal, serial: str, code: str) -> bool:
        """Whether it is what the user's MFA device shows now; then it is used up."""
        return mfa.proves(self.entities, tx, user.account, user.id, serial, code, time.time())

    def principal_ids(self, tx: Tx, policy: Policy) -> Mapping[str, str | None]:
        """The unique ids of all users and roles that a policy names, by ARN; None of those that do not exist."""
        return ids_named(tx, self.entities, policy)

    def principal_names(self, tx: Tx, ids: Mapping[str, str]) -> Mapping[str, str]:
        """What those are called now who had these ARNs and ids, where that is another name."""
        return names_now(tx, self.entities, ids)

    # --- loading

    def _load(self, tx: Tx, access_key_id: str) -> Credential | None:
        row = tx.one(
            "SELECT account, user_name, secret, status FROM iam_access_keys WHERE id = ?", (access_key_id,)
        )
        if row is None:
            return None
        account, user, wrapped, status = row
        secret = unwrap_secret(tx, self._keyring, account, user, access_key_id, status, wrapped)
        if user:
            found = self.entities.find(tx, entities.User, account, user)
            if found is None or found.name != user:
                return None
            identity = self._user(tx, found, access_key_id)
        else:
            identity = _root(account, access_key_id)
        closed = self._organizations.standing(account, tx).closed
        return Credential(access_key_id, secret, status == ACTIVE and not closed, identity)

    def _load_session(self, tx: Tx, token: str) -> SessionCredential | None:
        if self._tokens is None:
            return None
        try:
            session = self._tokens.open(token)
        except BadToken:
            return None
        return self.of_session(session, tx)

    def of_session(self, session: Session, tx: Tx) -> SessionCredential | None:
        """The temporary credentials of a session; None when its user or role is no more, or a policy that limits
        it."""
        if self._organizations.standing(session.account, tx).closed:
            return None
        policies: list[Policy] = []
        if session.policy is not None:
            policies.append(parse(session.policy, "session").named("session policy"))
        for arn in session.policy_arns:
            policy = self.policy(session.account, arn, tx)
            if policy is None:
                # It may have been one that denies.
                return None
            policies.append(policy)
        limit = tuple(policies) if policies else None
        if session.kind == "role":
            role = self.role(session.account, session.name, tx)
            if role is None or role.id != session.id:
                return None
            return sessions.of_role(session, role, limit)
        if session.kind == "root":
            return sessions.of_root(session, _root(session.account, session.access_key_id), limit)
        if not session.name:
            # The federated user of a root user.
            return sessions.of_federated(session, _root(session.account, session.access_key_id), limit)
        user = self.entities.find(tx, entities.User, session.account, session.name)
        if user is None or user.id != session.id:
            return None
        identity = self._user(tx, user, session.access_key_id)
        if session.kind == "user":
            return sessions.of_user(session, identity)
        return sessions.of_federated(session, identity, limit)

    def _user(self, tx: Tx, user: entities.User, access_key_id: str) -> Identity:
        principal = Principal(
            kind="user",
            arn=user.arn,
            account=user.account,
            id=user.id,
            canonical=canonical_user(user.account),
        )
        of_groups = [self._groups.get((user.account, group), tx) for group in user.groups]
        audit = {
            "type": "IAMUser",
            "principalId": user.id,
            "arn": user.arn,
            "accountId": user.account,
            "accessKeyId": access_key_id,
            "userName": user.name,
        }
        attached = Attached(
            identity=(*self._permissions(tx, user), *(policy for group in of_groups for policy in group)),
            boundary=self._boundary(tx, user),
        )
        return Identity(principal, attached, principal_keys(principal) | tag_keys(user.tags), audit)

    def _load_role(self, tx: Tx, key: tuple[str, str]) -> RoleEntry | None:
        role = self.entities.find(tx, entities.Role, *key)
        if role is None or self._organizations.standing(role.account, tx).closed:
            return None
        return RoleEntry(
            role.account,
            role.name,
            role.path,
            role.id,
            role.arn,
            parse(with_names(role.trust, role.trusted), "trust").named(role.arn),
            role.longest,
            role.tags,
            Attached(identity=tuple(self._permissions(tx, role)), boundary=self._boundary(tx, role)),
        )

    def _load_saml(self, tx: Tx, key: tuple[str, str]) -> str | None:
        account, arn = key
        provider = self.entities.find(tx, entities.SamlProvider, account, arn.rpartition("/")[2])
        return None if provider is None or provider.arn != arn else provider.metadata

    def _load_issuer(self, tx: Tx, key: tuple[str, str]) -> OidcIssuer | None:
        account, url = key
        provider = self.entities.find(tx, entities.OidcProvider, account, url.removeprefix("https://"))
        if provider is None or f"https://{provider.name}" != url:
            return None
        return OidcIssuer(account, provider.arn, url, tuple(provider.clients), tuple(provider.thumbprints))

    def _load_group(self, tx: Tx, key: tuple[str, str]) -> tuple[Policy, ...]:
        return tuple(self._permissions(tx, self.entities.with_id(tx, entities.Group, *key)))

    def _load_policy(self, tx: Tx, key: tuple[str, str]) -> Policy | None:
        account, arn = key
        policy = aws_managed().get(arn) or self.entities.policy(tx, account, arn)
        return None if policy is None else parse(policy.document, "identity").named(arn)

    def _attached(self, tx: Tx, account: str, arn: str) -> Policy:
        policy = self.policy(account, arn, tx)
        if policy is None:
            # It may have been one that denies: without it, nothing of the principal is known.
            raise Tampered(f"the stored policy {arn} is missing")
        return policy

    def _permissions(self, tx: Tx, holder: entities.Principal) -> Iterator[Policy]:
        for arn in holder.attached:
            yield self._attached(tx, holder.account, arn)
        for name, document in holder.inline.items():
            yield parse(document, "identity").named(name)

    def _boundary(self, tx: Tx, holder: entities.Bounded) -> Policy | None:
        return self._attached(tx, holder.account, holder.boundary) if holder.boundary else None


def _root(account: str, access_key_id: str) -> Identity:
    arn = f"arn:aws:iam::{account}:root"
    principal = Principal(
        kind="root", arn=arn, account=account, id=account, canonical=canonical_user(account)
    )
    audit = {
        "type": "Root",
        "principalId": account,
        "arn": arn,
        "accountId": account,
        "accessKeyId": access_key_id,
    }
    return Identity(principal, Attached(), principal_keys(principal), audit)
