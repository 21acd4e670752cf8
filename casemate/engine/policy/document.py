"""From a policy's text to compiled statements, refusing what AWS refuses, in AWS's words and order."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, NoReturn

from casemate.engine.policy.arns import check_resources, fails_legacy_parsing
from casemate.engine.policy.conditions import BadOperator, BadValue, Condition, compile_condition
from casemate.engine.policy.errors import DIALECTS, Kind, PolicyError, refusal
from casemate.engine.policy.model import Policy, Statement, action_element, resource_element
from casemate.engine.policy.principals import Name, PrincipalElement, canonical_name
from casemate.engine.policy.rcp_services import rcps_may_name

# A compiled policy takes about 15 times its text.
_CACHED_DOCUMENTS: Final = 512
_VERSIONS: Final = ("2008-10-17", "2012-10-17")
_POLICY_FIELDS: Final = frozenset({"Version", "Id", "Statement"})
_FIELDS: Final = frozenset(
    {
        "Sid",
        "Effect",
        "Principal",
        "NotPrincipal",
        "Action",
        "NotAction",
        "Resource",
        "NotResource",
        "Condition",
    }
)
_WITH_PRINCIPAL: Final = frozenset({"resource", "key", "trust", "rcp"})
_SID: Final = re.compile(r"[0-9A-Za-z]*", re.ASCII)
_VENDOR: Final = re.compile(r"[a-zA-Z0-9.-]+", re.ASCII)
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


class _Number(str):
    """A JSON number as it was written; only condition values may be one."""

    __slots__ = ()


@lru_cache(maxsize=_CACHED_DOCUMENTS)
def parse(document: str, kind: Kind) -> Policy:
    """The policy that a document says. Documents repeat, so results are remembered.

    Its size is the caller's to limit. Raises PolicyError.
    """
    policy = _members(_json(document, kind), _POLICY_FIELDS, kind, "no-statement")
    version = _version(policy, kind)
    if not isinstance(policy.get("Id", ""), str) or isinstance(policy.get("Id"), _Number):
        raise refusal("syntax", kind)
    raw = [
        _members(each, _FIELDS, kind, "syntax")
        for each in _listed(policy.get("Statement"), kind, "no-statement")
    ]
    if not raw:
        raise refusal("no-statement", kind)
    for statement in raw:
        _check_form(statement, kind)
    if DIALECTS[kind] in ("iam", "organizations") and version != "2012-10-17":
        raise refusal("old-version", kind)
    variables = version == "2012-10-17"
    # IAM looks for some faults in the whole document before it looks for the next ones: first what cannot
    # be read at all (conditions' values among it), then Sids, resources and actions.
    conditions = [_conditions(statement, kind, variables=variables) for statement in raw]
    for statement in raw:
        _check_legacy(statement, kind)
    _check_sids(raw, kind)
    for statement in raw:
        _check_content(statement, kind)
    return Policy(
        kind,
        version,
        tuple(
            _compile(index, statement, compiled, kind, variables=variables)
            for index, (statement, compiled) in enumerate(zip(raw, conditions, strict=True))
        ),
    )


def _json(document: str, kind: Kind) -> Any:
    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            # "Individual elements must not contain multiple instances of the same key" (AWS: "Grammar of the
            # IAM JSON policy language").
            raise refusal("syntax", kind)
        if any(_SURROGATE.search(text) for pair in pairs for text in pair if isinstance(text, str)):
            raise refusal("json", kind)
        return found

    def constant(_name: str) -> NoReturn:
        raise refusal("json", kind)

    try:
        return json.loads(
            document,
            object_pairs_hook=members,
            parse_int=_Number,
            parse_float=_Number,
            parse_constant=constant,
        )
    except PolicyError:
        raise
    except (ValueError, RecursionError):
        raise refusal("json", kind) from None


def _members(value: Any, known: frozenset[str], kind: Kind, fault: str) -> dict[str, Any]:
    if not isinstance(value, dict) or not value:
        raise refusal(fault, kind)
    for name in value:
        if name not in known:
            raise refusal("unknown-field", kind, name)
    return value


def _listed(value: Any, kind: Kind, fault: str) -> list[Any]:
    if value is None:
        raise refusal(fault, kind)
    return value if isinstance(value, list) else [value]


def _version(policy: Mapping[str, Any], kind: Kind) -> str:
    version = policy.get("Version", _VERSIONS[0])
    if version not in _VERSIONS:
        raise refusal("version", kind)
    return str(version)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and not isinstance(value, _Number)


def _texts(value: Any, kind: Kind) -> list[str]:
    values = _listed(value, kind, "syntax")
    if not all(_is_text(each) for each in values):
        raise refusal("syntax", kind)
    return values


def _check_form(statement: Mapping[str, Any], kind: Kind) -> None:
    """Types, exclusive and required elements: what does not need the elements' values."""
    for name in ("Principal", "NotPrincipal"):
        if name in statement and kind not in _WITH_PRINCIPAL:
            raise refusal("principal-prohibited", kind, name)
    for name in ("Resource", "NotResource"):
        if name in statement and kind == "trust":
            raise refusal("prohibited", kind, name)
    for name in ("Action", "Resource", "Principal"):
        if name in statement and "Not" + name in statement:
            raise refusal("syntax", kind)
    if "Effect" not in statement:
        raise refusal("missing", kind, "Effect")
    effect = statement["Effect"]
    if not _is_text(effect) or effect.lower() not in ("allow", "deny"):
        raise refusal("effect", kind, str(effect))
    if not _is_text(statement.get("Sid", "")):
        raise refusal("syntax", kind)
    for name in ("Action", "NotAction", "Resource", "NotResource"):
        if name in statement:
            _texts(statement[name], kind)
    if kind in _WITH_PRINCIPAL and "Principal" not in statement and "NotPrincipal" not in statement:
        raise refusal("missing", kind, "Principal")


def _check_legacy(statement: Mapping[str, Any], kind: Kind) -> None:
    if statement["Effect"] not in ("Allow", "Deny"):
        raise refusal("effect-case", kind, statement["Effect"])
    if DIALECTS[kind] == "iam" and fails_legacy_parsing(_resources(statement)):
        raise refusal("legacy", kind)


def _check_sids(statements: list[dict[str, Any]], kind: Kind) -> None:
    seen: set[str] = set()
    for statement in statements:
        sid = statement.get("Sid", "")
        # Only IAM and Organizations restrict Sids; a key policy's may hold spaces, for one.
        if DIALECTS[kind] in ("iam", "trust", "organizations") and _SID.fullmatch(sid) is None:
            raise refusal("sid", kind)
        if sid and sid in seen and DIALECTS[kind] in ("iam", "organizations"):
            raise refusal("duplicate-sid", kind)
        seen.add(sid)


def _check_content(statement: Mapping[str, Any], kind: Kind) -> None:
    if "Resource" in statement or "NotResource" in statement:
        check_resources(_resources(statement), kind)
    actions = _actions(statement)
    if not actions:
        raise refusal("no-actions", kind)
    for action in actions:
        _check_action(action, kind)
    # AWS KMS takes a statement without Resource; it just has no effect (AWS: "Creating a key policy").
    if not _resources(statement) and kind not in ("trust", "key"):
        raise refusal("no-resources", kind)
    if kind == "rcp":
        _check_rcp(statement)


def _check_action(action: str, kind: Kind) -> None:
    if kind == "trust" and not action.lower().startswith("sts:"):
        raise refusal("not-sts", kind)
    if action == "*":
        return
    vendor, colon, name = action.partition(":")
    if not colon:
        raise refusal("no-vendor", kind)
    if ":" in name:
        raise refusal("colons", kind)
    if _VENDOR.fullmatch(vendor) is None and action != "*:*":
        raise refusal("vendor", kind, vendor)


def _check_rcp(statement: Mapping[str, Any]) -> None:
    """Customers' RCPs deny, to everybody, with Actions that each name a service that supports RCPs; Allow is
    RCPFullAWSAccess's own (AWS: "RCP syntax")."""
    if statement.get("Principal") != "*" or "NotAction" in statement:
        raise refusal("organizations", "rcp")
    full_access = (
        _actions(statement) == ["*"]
        and statement.get("Resource") in ("*", ["*"])
        and "Condition" not in statement
    )
    if statement["Effect"] == "Allow" and not full_access:
        raise refusal("organizations", "rcp")
    if statement["Effect"] == "Deny" and not all(map(rcps_may_name, _actions(statement))):
        raise refusal("organizations", "rcp")


def _actions(statement: Mapping[str, Any]) -> list[str]:
    value = statement.get("Action", statement.get("NotAction", []))
    return value if isinstance(value, list) else [value]


def _resources(statement: Mapping[str, Any]) -> list[str]:
    value = statement.get("Resource", statement.get("NotResource", []))
    return value if isinstance(value, list) else [value]


def _conditions(statement: Mapping[str, Any], kind: Kind, *, variables: bool) -> tuple[Condition, ...]:
    block = statement.get("Condition", {})
    if not isinstance(block, dict):
        raise refusal("syntax", kind)
    allow = statement["Effect"].lower() == "allow"
    found: list[Condition] = []
    for name, tests in block.items():
        if not isinstance(tests, dict):
            raise refusal("syntax", kind)
        for key, value in tests.items():
            values = tuple(_condition_value(each, kind) for each in _listed(value, kind, "syntax"))
            try:
                found.append(compile_condition(name, key, values, variables=variables, allow=allow))
            except BadOperator:
                raise refusal("operator", kind, name) from None
            except BadValue as error:
                raise refusal("condition-value", kind, str(error)) from None
    return tuple(found)


def _condition_value(value: Any, kind: Kind) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return str(value)
    raise refusal("syntax", kind)


def _principals(statement: Mapping[str, Any], kind: Kind) -> PrincipalElement | None:
    negated = "NotPrincipal" in statement
    element = statement.get("NotPrincipal" if negated else "Principal")
    if element is None:
        return None
    if element == "*":
        return PrincipalElement(negated, True, False)
    if not isinstance(element, dict) or not element:
        raise refusal("principal", kind, "AWS", str(element))
    names: set[Name] = set()
    every_aws = False
    for entry, value in element.items():
        values = _texts(value, kind)
        if not values:
            raise refusal("principal", kind, entry, "")
        for each in values:
            if entry == "AWS" and each == "*":
                every_aws = True
                continue
            name = canonical_name(entry, each)
            if name is None or (entry == "CanonicalUser" and kind != "resource"):
                raise refusal("principal", kind, entry, each)
            names.add(name)
    return PrincipalElement(negated, False, every_aws, frozenset(names))


def _compile(
    index: int,
    statement: Mapping[str, Any],
    conditions: tuple[Condition, ...],
    kind: Kind,
    *,
    variables: bool,
) -> Statement:
    allow = statement["Effect"] == "Allow"
    texts = _resources(statement)
    resources = (
        resource_element(texts, negated="NotResource" in statement, variables=variables, allow=allow)
        if texts
        else None
    )
    return Statement(
        index,
        statement.get("Sid", ""),
        allow,
        action_element(_actions(statement), negated="NotAction" in statement),
        resources,
        _principals(statement, kind),
        conditions,
        ineffective=kind == "key" and not texts,
        prefixes=("",) if resources is None else resources.prefixes,
    )
