"""A grant as it is stored, and what grants allow. Source: "Grants in AWS KMS", "Creating grants".

A principal may have tens of thousands of grants on one key, which differ in their constraints: what a request meets
is looked up by its encryption context, not searched for.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from casemate.engine.envelope.hierarchy import AccountKey
from casemate.services.kms.naming import key_arn

_ROW = "kms-grant"

WITH_CONTEXT = frozenset(
    {
        *("Encrypt", "Decrypt", "ReEncryptFrom", "ReEncryptTo"),
        *("GenerateDataKey", "GenerateDataKeyWithoutPlaintext"),
        *("GenerateDataKeyPair", "GenerateDataKeyPairWithoutPlaintext"),
    }
)
"""The operations that take an encryption context: constraints on it do not apply to others."""

MANAGING = frozenset({"CreateGrant", "RetireGrant", "DescribeKey"})

OPERATIONS: Mapping[str, frozenset[str]] = {
    "ENCRYPT_DECRYPT": frozenset({"Encrypt", "Decrypt", "ReEncryptFrom", "ReEncryptTo", "GetPublicKey"}),
    "SIGN_VERIFY": frozenset({"Sign", "Verify", "GetPublicKey"}),
    "GENERATE_VERIFY_MAC": frozenset({"GenerateMac", "VerifyMac"}),
    "KEY_AGREEMENT": frozenset({"DeriveSharedSecret", "GetPublicKey"}),
    "ENCAPSULATE_DECAPSULATE": frozenset({"Encapsulate", "Decapsulate", "GetPublicKey"}),
}
"""What a grant may allow on an asymmetric or HMAC key of that usage, besides MANAGING; on a symmetric encryption key
it is WITH_CONTEXT."""

GRANTABLE = frozenset().union(MANAGING, WITH_CONTEXT, *OPERATIONS.values())

Pairs = frozenset[tuple[str, str]]
"""An encryption context as constraints compare it: names without regard to case, values with. Source:
"GrantConstraints"."""


def pairs_of(context: Mapping[str, str] | None) -> Pairs:
    return frozenset((name.lower(), value) for name, value in context.items()) if context else frozenset()


class Constraints(NamedTuple):
    """equals, subset: of the request's encryption context, None where it is not constrained; source_arn: the resource
    on whose behalf the request must be made, '' for any."""

    equals: Mapping[str, str] | None = None
    subset: Mapping[str, str] | None = None
    source_arn: str = ""

    def met_by(self, operation: str, context: Pairs, source_arn: str) -> bool:
        return self.source_met_by(source_arn) and (
            operation not in WITH_CONTEXT or self.context_met_by(context)
        )

    def source_met_by(self, source_arn: str) -> bool:
        return not self.source_arn or self.source_arn == source_arn

    def context_met_by(self, context: Pairs) -> bool:
        return (self.equals is None or pairs_of(self.equals) == context) and (
            self.subset is None or pairs_of(self.subset) <= context
        )

    def as_strict_as(self, parent: Constraints) -> bool:
        """Whether no request meets these and not the parent's. Source: "Granting CreateGrant permission"."""
        if parent.source_arn and self.source_arn != parent.source_arn:
            return False
        if self.equals is not None:
            return parent.context_met_by(pairs_of(self.equals))
        return parent.equals is None and pairs_of(parent.subset) <= pairs_of(self.subset)

    def stored(self) -> str:
        return json.dumps({name: value for name, value in self._asdict().items() if value not in (None, "")})

    def shown(self) -> dict[str, Any]:
        """As ListGrants shows them."""
        found = {
            "EncryptionContextEquals": self.equals,
            "EncryptionContextSubset": self.subset,
            "SourceArn": self.source_arn or None,
        }
        return {name: value for name, value in found.items() if value is not None}


def constraints_of(request: Mapping[str, Any]) -> Constraints:
    """CreateGrant's. An empty subset constrains nothing; an empty EncryptionContextEquals wants an empty context."""
    wanted: Mapping[str, Any] = request.get("Constraints") or {}
    return Constraints(
        wanted.get("EncryptionContextEquals"),
        wanted.get("EncryptionContextSubset") or None,
        wanted.get("SourceArn", ""),
    )


class Grant(NamedTuple):
    """created: seconds since the epoch; name: '' without one; grantee, retiree: an ARN or a service's name, retiree
    '' without one; issuer: the account that made it."""

    account: str
    region: str
    key_id: str
    id: str
    created: float
    name: str
    grantee: str
    retiree: str
    issuer: str
    operations: tuple[str, ...]
    constraints: Constraints

    @property
    def key_arn(self) -> str:
        return key_arn(self.account, self.region, self.key_id)

    def same_as(self, other: Grant) -> bool:
        """Whether a retried CreateGrant would have made the other one."""
        return self._replace(id=other.id, created=other.created, operations=()) == other._replace(
            operations=()
        ) and set(self.operations) == set(other.operations)

    def allows_child(self, operations: Iterable[str], constraints: Constraints, source_arn: str) -> bool:
        """Whether who is granted CreateGrant by this may make such a grant, on behalf of that resource."""
        return (
            "CreateGrant" in self.operations
            and set(operations) <= set(self.operations)
            and self.constraints.source_met_by(source_arn)
            and constraints.as_strict_as(self.constraints)
        )


COLUMNS = (*Grant._fields, "seal")


def stored_grant(account: AccountKey, grant: Grant) -> tuple[Any, ...]:
    """The grant's columns, its seal the last."""
    columns = (*grant[:-2], json.dumps(grant.operations), grant.constraints.stored())
    return (*columns, account.wrap(b"", _ROW, *_bound(columns)))


def loaded_grant(account: AccountKey, columns: tuple[Any, ...]) -> Grant:
    """The grant out of its columns. Raises Tampered."""
    *row, seal = columns
    account.unwrap(seal, _ROW, *_bound(row))
    return Grant._make((*row[:-2], tuple(json.loads(row[-2])), Constraints(**json.loads(row[-1]))))


def _bound(columns: Sequence[Any]) -> tuple[str, ...]:
    account, region, key_id, grant_id, created, *rest = columns
    return (account, region, key_id, grant_id, repr(float(created)), *rest)


class GrantSet:
    """All grants of one grantee on one key, by what a request must have to be allowed by them."""

    __slots__ = ("_by_operation", "grants")

    def __init__(self, grants: Iterable[Grant]) -> None:
        self.grants = tuple(grants)
        self._by_operation: dict[str, Mapping[Hashable, list[Grant]]] = {}

    def allows(self, operation: str, context: Mapping[str, str] | None, source_arn: str) -> bool:
        """Whether any of them allows the operation with this encryption context, made on behalf of that resource."""
        if not self.grants:
            return False
        index = self._by_operation.get(operation)
        if index is None:
            index = self._by_operation[operation] = _indexed(operation, self.grants)
        if "" in index:
            return True
        pairs = pairs_of(context)
        keys: tuple[Hashable, ...] = (source_arn, pairs, *pairs)
        return any(
            grant.constraints.met_by(operation, pairs, source_arn)
            for key in keys
            for grant in index.get(key, ())
        )


def _indexed(operation: str, grants: Sequence[Grant]) -> Mapping[Hashable, list[Grant]]:
    """The grants of the operation: under their SourceArn, mostly '', those that no encryption context constrains,
    under the whole context those that want exactly that, under the least common of their pairs those that want a
    part."""
    index: dict[Hashable, list[Grant]] = {}
    meant = [grant for grant in grants if operation in grant.operations]
    common = Counter(pair for grant in meant for pair in pairs_of(grant.constraints.subset))
    for grant in meant:
        equals, subset, source_arn = grant.constraints
        key: Hashable = source_arn
        if operation in WITH_CONTEXT:
            if equals is not None:
                key = pairs_of(equals)
            elif subset:
                key = min(pairs_of(subset), key=lambda pair: common[pair])
        index.setdefault(key, []).append(grant)
    return index


NO_GRANTS = GrantSet(())


def operations_on(key_usage: str, key_spec: str) -> frozenset[str]:
    """What a grant may allow on such a key. Source: "Grant operations"."""
    if key_spec == "SYMMETRIC_DEFAULT":
        return WITH_CONTEXT | MANAGING
    return OPERATIONS[key_usage] | MANAGING
