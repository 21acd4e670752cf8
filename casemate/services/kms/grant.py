"""A grant as it is stored, and what grants allow. Source: "Grants in AWS KMS", "Creating grants"."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
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


@dataclass(frozen=True)
class Constraints:
    """equals, subset: of the request's encryption context, None where it is not constrained; source_arn: the resource
    on whose behalf the request must be made, '' for any."""

    equals: Mapping[str, str] | None = None
    subset: Mapping[str, str] | None = None
    source_arn: str = ""

    @cached_property
    def all_pairs(self) -> Pairs:
        return pairs_of(self.equals)

    @cached_property
    def some_pairs(self) -> Pairs:
        return pairs_of(self.subset)

    def met_by(self, operation: str, context: Pairs, source_arn: str) -> bool:
        return self.source_met_by(source_arn) and (
            operation not in WITH_CONTEXT or self.context_met_by(context)
        )

    def source_met_by(self, source_arn: str) -> bool:
        return not self.source_arn or self.source_arn == source_arn

    def context_met_by(self, context: Pairs) -> bool:
        return (self.equals is None or self.all_pairs == context) and self.some_pairs <= context

    def as_strict_as(self, parent: Constraints) -> bool:
        """Whether no request meets these and not the parent's. Source: "Granting CreateGrant permission"."""
        if parent.source_arn and self.source_arn != parent.source_arn:
            return False
        if self.equals is not None:
            return parent.context_met_by(self.all_pairs)
        return parent.equals is None and parent.some_pairs <= self.some_pairs

    def stored(self) -> str:
        found = {"equals": self.equals, "subset": self.subset, "source_arn": self.source_arn or None}
        return json.dumps({name: value for name, value in found.items() if value is not None})

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
    """created: seconds since the epoch; name: '' without one; grantee, retiree: a user's or role's unique id, an ARN,
    or a service's name, retiree '' without one; issuer: the account that made it; named: the ARNs that those of
    unique ids had then."""

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
    named: Mapping[str, str] = {}

    @property
    def key_arn(self) -> str:
        return key_arn(self.account, self.region, self.key_id)

    def same_as(self, other: Grant) -> bool:
        """Whether a retried CreateGrant would have made the other one."""
        return self._replace(id=other.id, created=other.created, operations=(), named={}) == other._replace(
            operations=(), named={}
        ) and set(self.operations) == set(other.operations)

    def allows_child(self, operations: frozenset[str], constraints: Constraints, source_arn: str) -> bool:
        """Whether who is granted CreateGrant by this may make such a grant, on behalf of that resource."""
        return (
            "CreateGrant" in self.operations
            and operations <= set(self.operations)
            and self.constraints.source_met_by(source_arn)
            and constraints.as_strict_as(self.constraints)
        )


COLUMNS = (*Grant._fields, "seal")


def stored_grant(account: AccountKey, grant: Grant) -> tuple[Any, ...]:
    """The grant's columns, its seal the last."""
    named = json.dumps(grant.named) if grant.named else ""
    columns = (*grant[:9], json.dumps(grant.operations), grant.constraints.stored(), named)
    return (*columns, account.wrap(b"", _ROW, *_bound(columns)))


def loaded_grant(account: AccountKey, columns: Sequence[Any]) -> Grant:
    """The grant out of its columns. Raises Tampered."""
    *row, seal = columns
    account.unwrap(seal, _ROW, *_bound(row))
    *plain, operations, constraints, named = row
    return Grant._make(
        (
            *plain,
            tuple(json.loads(operations)),
            Constraints(**json.loads(constraints)),
            json.loads(named) if named else {},
        )
    )


def _bound(columns: Sequence[Any]) -> tuple[str, ...]:
    account, region, key_id, grant_id, created, *rest, named = columns
    # The names were added later: see casemate/services/kms/rows.py.
    return (account, region, key_id, grant_id, repr(float(created)), *rest, *([named] if named else []))


# --- where grants are looked for
#
# A principal may have tens of thousands of grants on one key, which differ in their constraints. They are not loaded
# together, but by what a request must have: its source, its whole encryption context, or one pair of it.


class Shape(NamedTuple):
    """What grants of a grantee have in common: "source", "equals" with the names of the encryption context, "subset"
    with the name of one pair, or "" without constraints."""

    kind: str
    names: tuple[str, ...] = ()

    def buckets(self, context: Pairs, source_arn: str) -> list[str]:
        """Where the grants of this shape are that such a request may meet."""
        if self.kind == "source":
            return [_digest(source_arn)] if source_arn else []
        if self.kind == "equals":
            found = tuple(sorted(context))
            return [_digest(found)] if tuple(name for name, _ in found) == self.names else []
        return [_digest(pair) for pair in context if pair[0] in self.names]

    def stored(self) -> str:
        return json.dumps([self.kind, *self.names]) if self.kind else ""


def places_of(constraints: Constraints) -> list[tuple[Shape, str]]:
    """In which buckets a grant may be kept; any of them will do."""
    if constraints.source_arn:
        return [(Shape("source"), _digest(constraints.source_arn))]
    if constraints.equals is not None:
        pairs = tuple(sorted(constraints.all_pairs))
        return [(Shape("equals", tuple(name for name, _ in pairs)), _digest(pairs))]
    places = [(Shape("subset", (pair[0],)), _digest(pair)) for pair in sorted(constraints.some_pairs)]
    return places or [(Shape(""), "")]


def _digest(value: Hashable) -> str:
    return sha256(json.dumps(value).encode()).hexdigest()


class Wanted(NamedTuple):
    """What grants are asked for: an operation with its encryption context, on behalf of a resource or ''; and of
    CreateGrant the operations of the new grant and its constraints, which the context is that of."""

    operation: str
    context: Pairs
    source_arn: str
    child: tuple[frozenset[str], Constraints] | None = None

    def met_by(self, grant: Grant) -> bool:
        """Whether the grant allows it."""
        if self.operation not in grant.operations:
            return False
        if self.child is not None:
            return grant.allows_child(*self.child, self.source_arn)
        return grant.constraints.met_by(self.operation, self.context, self.source_arn)


def wanted_by(
    operation: str, request: Mapping[str, Any], context: Mapping[str, str] | None, source_arn: str
) -> Wanted:
    """What a request wants of grants. context: its encryption context."""
    if operation != "CreateGrant":
        return Wanted(operation, pairs_of(context), source_arn)
    constraints = constraints_of(request)
    context_given = constraints.some_pairs if constraints.equals is None else constraints.all_pairs
    return Wanted(operation, context_given, source_arn, (frozenset(request["Operations"]), constraints))


def operations_on(key_usage: str, key_spec: str) -> frozenset[str]:
    """What a grant may allow on such a key. Source: "Grant operations"."""
    if key_spec == "SYMMETRIC_DEFAULT":
        return WITH_CONTEXT | MANAGING
    return OPERATIONS[key_usage] | MANAGING
