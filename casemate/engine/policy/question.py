"""What is asked of the policy engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from casemate.engine.policy import decision as words
from casemate.engine.policy.model import Policy
from casemate.engine.policy.principals import Grade, Principal
from casemate.engine.policy.rcp_services import rcps_apply_to
from casemate.engine.policy.variables import Value


@dataclass(frozen=True, slots=True)
class Attached:
    """The policies that come with a principal.

    identity: its own and its groups', or the role's. boundary: its permissions boundary. session: session
    policies; None means that none was passed and () that what was passed allows nothing (GetFederationToken
    without a policy). scps: one inner tuple a level from the organisation's root down to the account; () for
    the management account and outside organisations.
    """

    identity: tuple[Policy, ...] = ()
    boundary: Policy | None = None
    session: tuple[Policy, ...] | None = None
    scps: tuple[tuple[Policy, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Question:
    """May this principal do this to that?

    action: ``kms:Encrypt``. resource: an ARN, or ``*`` for actions without one. resource_account: who owns
    the resource; empty: the principal's own account. resource_policy: the one attached to the resource. rcps:
    of the resource's account, by level, as Attached.scps. guarded: the resource policy must allow, as of KMS
    keys and roles (identity policies count only where it lets the account delegate). known: condition keys,
    in lower case, that do not change from request to request; None says that a key is never there. Take
    ``principal_keys(principal)`` and add tags, organisation and the like. granted: how far a grant on the resource
    that allows this very request reaches the principal, as Principal elements do: a KMS grant's grantee.
    """

    principal: Principal
    attached: Attached
    action: str
    resource: str
    resource_account: str
    resource_policy: Policy | None = None
    rcps: tuple[tuple[Policy, ...], ...] = ()
    guarded: bool = False
    known: Mapping[str, Value] = field(default_factory=dict)
    granted: Grade = Grade.NONE

    @property
    def is_cross_account(self) -> bool:
        return bool(self.resource_account) and self.principal.account != self.resource_account

    @property
    def by_resource_policy_alone(self) -> bool:
        """Callers without identity policies: services, anonymous and federated ones."""
        return not self.principal.has_identity

    @property
    def limiting_scps(self) -> tuple[tuple[Policy, ...], ...]:
        """SCPs bind a member account's users, roles and root user, and no service or service-linked role
        (AWS: "Service control policies (SCPs)")."""
        principal = self.principal
        return () if self.by_resource_policy_alone or principal.is_service_linked else self.attached.scps

    @property
    def limiting_rcps(self) -> tuple[tuple[Policy, ...], ...]:
        """RCPs bind whoever asks for the resource, save service-linked roles, in the services that support them
        (AWS: "Resource control policies (RCPs)")."""
        if not self.rcps or self.principal.is_service_linked or not rcps_apply_to(self.action):
            return ()
        return self.rcps

    @property
    def identity_policies(self) -> tuple[Policy, ...]:
        return self.attached.identity if self.principal.has_identity and not self.principal.is_root else ()

    @property
    def boundary(self) -> Policy | None:
        """A boundary binds users and roles, not the root user."""
        return self.attached.boundary if self.principal.has_identity and not self.principal.is_root else None

    @property
    def session_policies(self) -> tuple[Policy, ...] | None:
        return self.attached.session if self.principal.has_identity else None

    @property
    def resource_kind(self) -> str:
        policy = self.resource_policy
        return words.TRUST if policy is not None and policy.kind == "trust" else words.RESOURCE
