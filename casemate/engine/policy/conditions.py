"""The Condition element: operators, ``IfExists``, ``ForAllValues:`` and ``ForAnyValue:`` (AWS: "IAM JSON
policy elements: Condition operators", "Multivalued context keys").

Each ``operator: {key: values}`` is compiled once into a function of the request's lookup. Where the pages
leave a case open, the reading that gives less access is taken, and the place says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from casemate.engine.policy import operators
from casemate.engine.policy.operators import Hit
from casemate.engine.policy.variables import Lookup, Template, literal, needs, resolve, template

Check = Callable[[Lookup], bool]


class BadOperator(ValueError):
    """No such operator."""


class BadValue(ValueError):
    """The operator cannot take this value (``NumericEquals: {"k": "ten"}``)."""


class Operator(NamedTuple):
    """``ForAnyValue:StringNotLikeIfExists`` is ("string-like", negated, "ForAnyValue", if_exists)."""

    family: str
    negated: bool
    quantifier: str
    if_exists: bool


_NAMES: Final = {
    "StringEquals": ("string", False),
    "StringNotEquals": ("string", True),
    "StringEqualsIgnoreCase": ("string-ignoring-case", False),
    "StringNotEqualsIgnoreCase": ("string-ignoring-case", True),
    "StringLike": ("string-like", False),
    "StringNotLike": ("string-like", True),
    "NumericEquals": ("number =", False),
    "NumericNotEquals": ("number =", True),
    "NumericLessThan": ("number <", False),
    "NumericLessThanEquals": ("number <=", False),
    "NumericGreaterThan": ("number >", False),
    "NumericGreaterThanEquals": ("number >=", False),
    "DateEquals": ("date =", False),
    "DateNotEquals": ("date =", True),
    "DateLessThan": ("date <", False),
    "DateLessThanEquals": ("date <=", False),
    "DateGreaterThan": ("date >", False),
    "DateGreaterThanEquals": ("date >=", False),
    "Bool": ("bool", False),
    "BinaryEquals": ("binary", False),
    "IpAddress": ("ip", False),
    "NotIpAddress": ("ip", True),
    "ArnEquals": ("arn", False),
    "ArnNotEquals": ("arn", True),
    "ArnLike": ("arn", False),
    "ArnNotLike": ("arn", True),
    "Null": ("null", False),
}

#: Policy variables work in the values of these; anywhere else ``${...}`` is plain text.
_WITH_VARIABLES: Final = frozenset({"string", "string-ignoring-case", "string-like", "arn", "bool"})
_WITH_WILDCARDS: Final = frozenset({"string-like", "arn"})


def parse_operator(name: str) -> Operator:
    """Raises BadOperator. Names are case-sensitive, as AWS's own."""
    quantifier, colon, base = name.partition(":")
    if not colon:
        quantifier, base = "", name
    elif quantifier not in ("ForAllValues", "ForAnyValue"):
        raise BadOperator(name)
    known = _NAMES.get(base)
    if known is not None:
        return Operator(known[0], known[1], quantifier, False)
    known = _NAMES.get(base.removesuffix("IfExists")) if base.endswith("IfExists") else None
    if known is None or known[0] == "null":
        raise BadOperator(name)
    return Operator(known[0], known[1], quantifier, True)


class Condition(NamedTuple):
    """One ``operator: {key: values}``. A statement applies when all of its conditions hold.

    keys: every condition key that the check may ask for; bind: for values with variables, makes the check
    that is left once those are known (``variables`` are the keys they ask for).
    """

    operator: str
    key: str
    keys: frozenset[str]
    check: Check
    variables: frozenset[str] = frozenset()
    bind: Callable[[Lookup], Check] | None = None


def compile_condition(
    name: str, key: str, values: tuple[str, ...], *, variables: bool, allow: bool
) -> Condition:
    """``variables``: the policy's version has them. ``allow``: the statement's effect, which decides what a
    negated comparison with a variable that has no value says: an Allow does not apply, a Deny does.

    Raises BadOperator, BadValue.
    """
    operator = parse_operator(name)
    lowered = key.lower()
    templated = variables and operator.family in _WITH_VARIABLES
    wildcards = operator.family in _WITH_WILDCARDS
    templates = [template(value, wildcards=wildcards, variables=templated) for value in values]
    asked = frozenset().union(*map(needs, templates)) if templated else frozenset()
    if asked:
        bind = _binder(operator, lowered, templates, allow)
        return Condition(name, lowered, asked | {lowered}, lambda lookup: bind(lookup)(lookup), asked, bind)
    if operator.family == "null":
        check = _null_check(lowered, values)
    else:
        check = _fused(operator, lowered, templates, values)
    return Condition(name, lowered, frozenset((lowered,)), check)


def _binder(
    operator: Operator, key: str, templates: Sequence[Template], allow: bool
) -> Callable[[Lookup], Check]:
    def bind(lookup: Lookup) -> Check:
        resolved = [resolve(parts, lookup) for parts in templates]
        if operator.negated and allow and None in resolved:
            return _never
        return _fused(operator, key, [tokens for tokens in resolved if tokens is not None], None)

    return bind


def _never(_lookup: Lookup) -> bool:
    return False


def _null_check(key: str, values: tuple[str, ...]) -> Check:
    """``"true"``: the request lacks the key (an empty list is a lack, too)."""
    wanted = frozenset(_truth(value) for value in values)

    def check(lookup: Lookup) -> bool:
        value = lookup(key)
        return (value is None or (not value and not isinstance(value, str))) in wanted

    return check


def _truth(value: str) -> bool:
    lowered = value.lower()
    if lowered not in ("true", "false"):
        raise BadValue(value)
    return lowered == "true"


def _fused(
    operator: Operator, key: str, templates: Sequence[Template], values: tuple[str, ...] | None
) -> Check:
    """The check of an operator without open variables. ``values`` is None when variables were filled in: a
    value that then cannot be read is no match, rather than an error at request time."""
    hit = _hit(operator.family, templates, values)
    plain = operator.family == "string" and not operator.negated and not operator.quantifier
    if plain and not operator.if_exists and len(templates) == 1:
        return _equals(key, literal(templates[0]))  # type: ignore[arg-type]
    if operator.quantifier == "ForAllValues":
        return _for_all(key, hit, operator.negated)
    if operator.quantifier == "ForAnyValue":
        return _for_any(key, hit, operator.negated, operator.if_exists)
    if operator.negated:
        return _for_none(key, hit)
    return _for_one(key, hit, operator.if_exists)


def _equals(key: str, wanted: str) -> Check:
    """By far the commonest condition, with nothing in its way."""

    def check(lookup: Lookup) -> bool:
        value = lookup(key)
        return value == wanted if value.__class__ is str else (value is not None and wanted in value)

    return check


def _hit(family: str, templates: Sequence[Template], values: tuple[str, ...] | None) -> Hit:
    """A function that tells whether one of the request's values meets one of the policy's."""
    kind, _, comparison = family.partition(" ")
    tokens: list[tuple[str | int, ...]] = templates  # type: ignore[assignment]  # no variable is left
    if family == "arn":
        return operators.arn_like(tokens)
    if family == "string-like":
        return operators.string_like(tokens)
    texts = [literal(parts) for parts in tokens] if values is None else list(values)
    if family == "string":
        return operators.string_equals([literal(parts) for parts in tokens])
    if family == "string-ignoring-case":
        return operators.string_equals_ignoring_case([literal(parts) for parts in tokens])
    if family == "bool":
        return operators.boolean(texts if values is None else [str(_truth(text)) for text in texts])
    try:
        if kind == "number":
            return operators.numeric(comparison, texts)
        if kind == "date":
            return operators.date(comparison, texts)
        return operators.binary(texts) if family == "binary" else operators.ip_address(texts)
    except ValueError as error:
        raise BadValue(str(error)) from None


# What quantifiers and IfExists make of it. Without a quantifier a key with several values is met when any of
# them is, and its negation when none is. A request that lacks the key (or has an empty list of values) fails
# a positive test and passes a negated one; it passes ForAllValues and fails ForAnyValue in both forms. For a
# quantifier an empty string is an empty list.


def _for_one(key: str, hit: Hit, absent: bool) -> Check:
    def check(lookup: Lookup) -> bool:
        value = lookup(key)
        if isinstance(value, str):
            return hit(value)
        return any(map(hit, value)) if value else absent

    return check


def _for_none(key: str, hit: Hit) -> Check:
    def check(lookup: Lookup) -> bool:
        value = lookup(key)
        if isinstance(value, str):
            return not hit(value)
        return not value or not any(map(hit, value))

    return check


def _for_all(key: str, hit: Hit, negated: bool) -> Check:
    def check(lookup: Lookup) -> bool:
        value = lookup(key)
        if not value:
            return True
        if isinstance(value, str):
            return hit(value) is not negated
        return all(hit(each) is not negated for each in value)

    return check


def _for_any(key: str, hit: Hit, negated: bool, absent: bool) -> Check:
    def check(lookup: Lookup) -> bool:
        value = lookup(key)
        if not value:
            return absent
        if isinstance(value, str):
            return hit(value) is not negated
        return any(hit(each) is not negated for each in value)

    return check
