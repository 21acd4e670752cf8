"""The comparisons of event patterns, each a function of one value of the event.

Source: "Comparison operators for use in event patterns".
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from casemate.engine.events.alike import TOGETHER, Alike, Matcher, Range, any_but, is_number, of_text, parted
from casemate.engine.events.tokens import Token, Tokens

_LARGEST: Final = 5_000_000_000
_ONE_KEY: Final = "Only one key allowed in match expression"
_TOO_MANY: Final = "Too many elements in numeric expression"


def ABSENT(_value: Any) -> bool:  # noqa: N802 - a constant that happens to be a function
    """Of no value: the field must not be there."""
    return False


def _present(_value: Any) -> bool:
    return True


def scalar(token: Token) -> Matcher:
    """A value that must be equal, of the same type."""
    match token.kind:
        case "null":
            return lambda value: value is None
        case "true":
            return lambda value: value is True
        case "false":
            return lambda value: value is False
        case "number":
            number = token.value
            return lambda value: is_number(value) and value == number
        case _:
            text = token.value
            return lambda value: isinstance(value, str) and value == text


def any_of(tokens: Sequence[Token]) -> Matcher:
    """Any of these values, in the same time however many they are."""
    if len(tokens) == 1:
        return scalar(tokens[0])
    one_of_each = {token.kind: token for token in tokens}
    texts = frozenset(token.value for token in tokens if token.kind == "string")
    numbers = frozenset(token.value for token in tokens if token.kind == "number")
    constants = [scalar(token) for kind, token in one_of_each.items() if kind in ("null", "true", "false")]

    def test(value: Any) -> bool:
        if isinstance(value, str):
            return value in texts
        return value in numbers if is_number(value) else any(constant(value) for constant in constants)

    return test


def match_expression(tokens: Tokens) -> Matcher:
    """``{"prefix": "x"}`` and the like, whose opening brace was read. Raises PatternError."""
    if tokens.next().kind != "name":
        raise tokens.fail("Match expression name not found")
    name = tokens.current.value
    known = _EXPRESSIONS.get(name)
    if known is None:
        raise tokens.fail(f"Unrecognized match type {name}")
    return known(tokens)


def _only_key(tokens: Tokens, reason: str = _ONE_KEY) -> None:
    if tokens.next().kind != "}":
        raise tokens.fail(reason)


def _text(tokens: Tokens, what: str) -> str:
    if tokens.next().kind != "string":
        raise tokens.fail(f"{what} match pattern must be a string")
    text: str = tokens.current.value
    return text


def _exactly(tokens: Tokens) -> Matcher:
    text = _text(tokens, "exact")
    _only_key(tokens)
    return Alike("exactly", text, of_text(text.__eq__))


def _affix(kind: str) -> Callable[[Tokens], Matcher]:
    def parse(tokens: Tokens) -> Matcher:
        if tokens.next().kind == "{":
            if tokens.next().kind != "name" or tokens.current.value != "equals-ignore-case":
                raise tokens.fail(f"Unsupported {kind} match pattern: {tokens.current.value}")
            folded = _text(tokens, "equals-ignore-case").casefold()
            _only_key(tokens)
            _only_key(tokens)
            if kind == "prefix":
                test = of_text(lambda value: value.casefold().startswith(folded))
            else:
                test = of_text(lambda value: value.casefold().endswith(folded))
            return Alike(f"{kind} equals-ignore-case", folded, test)
        if tokens.current.kind != "string":
            raise tokens.fail(f"{kind} match pattern must be a string")
        text = tokens.current.value
        _only_key(tokens)
        if kind == "prefix":
            return Alike(kind, text, of_text(lambda value: value.startswith(text)))
        return Alike(kind, text, of_text(lambda value: value.endswith(text)))

    return parse


def _equals_ignore_case(tokens: Tokens) -> Matcher:
    folded = _text(tokens, "equals-ignore-case").casefold()
    _only_key(tokens)
    return Alike("equals-ignore-case", folded, of_text(lambda value: value.casefold() == folded))


def _exists(tokens: Tokens) -> Matcher:
    kind = tokens.next().kind
    if kind not in ("true", "false"):
        raise tokens.fail("exists match pattern must be either true or false.")
    _only_key(tokens)
    return _present if kind == "true" else ABSENT


def _wildcard(tokens: Tokens) -> Matcher:
    parts = wildcard(tokens, _text(tokens, "wildcard"))
    _only_key(tokens)
    return Alike("wildcard", parts, of_text(parted(parts)))


def wildcard(tokens: Tokens, text: str) -> list[str]:
    """The parts between the wildcards: ``*`` stands for any characters; ``\\*`` and ``\\\\`` for themselves. Raises
    PatternError."""
    parts = [""]
    at = 0
    while at < len(text):
        char = text[at]
        if char == "\\":
            if at + 1 == len(text) or text[at + 1] not in "*\\":
                raise tokens.fail(f"Invalid escape character at pos {at + 1}", read=True)
            parts[-1] += text[at + 1]
            at += 2
            continue
        if char == "*":
            if at + 1 < len(text) and text[at + 1] == "*":
                raise tokens.fail(f"Consecutive wildcard characters at pos {at + 1}", read=True)
            parts.append("")
        else:
            parts[-1] += char
        at += 1
    return parts


def _cidr(tokens: Tokens) -> Matcher:
    if tokens.next().kind != "string":
        raise tokens.fail("prefix match pattern must be a string")
    network = _network(tokens, tokens.current.value)
    _only_key(tokens)

    def test(value: str) -> bool:
        try:
            return ipaddress.ip_address(value) in network
        except ValueError:
            return False

    return Alike("cidr", network, of_text(test))


def _network(tokens: Tokens, text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    address, slash, bits = text.partition("/")
    if not slash or "/" in bits:
        raise tokens.fail("Malformed CIDR, one '/' required", read=True)
    if re.fullmatch(r"[0-9]{1,3}", bits) is None:
        raise tokens.fail("Malformed CIDR, mask bits must be an integer", read=True)
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        raise tokens.fail(f"Nonstandard IP address: {address}", read=True) from None
    if int(bits) > parsed.max_prefixlen:
        limit = f"IPv{parsed.version} mask bits must be < {parsed.max_prefixlen}"
        raise tokens.fail(limit, read=True)
    return ipaddress.ip_network(text, strict=False)


# --- numeric

_Compare = Callable[[float, float], bool]
_OPERATORS: Final[dict[str, _Compare]] = {
    "=": lambda value, bound: value == bound,
    ">": lambda value, bound: value > bound,
    ">=": lambda value, bound: value >= bound,
    "<": lambda value, bound: value < bound,
    "<=": lambda value, bound: value <= bound,
}


def _numeric(tokens: Tokens) -> Matcher:
    if tokens.next().kind != "[":
        raise tokens.fail("Value of numeric must be an array.")
    if tokens.next().kind != "string":
        raise tokens.fail(f"Invalid member in numeric match: {_shown(tokens.current)}", read=True)
    operator = tokens.current.value
    compare = _OPERATORS.get(operator)
    if compare is None:
        raise tokens.fail(f"Unrecognized numeric range operator: {operator}", read=True)
    bound = _bound(tokens, "equals" if operator == "=" else operator)
    token = tokens.next()
    if token.kind == "]":
        _only_key(tokens, _TOO_MANY)
        test: Matcher = lambda value: is_number(value) and compare(value, bound)  # noqa: E731
        return Alike("numeric", _range(operator, bound), test)
    if operator not in (">", ">="):
        raise tokens.fail(_TOO_MANY)
    if token.kind != "string":
        raise tokens.fail(f"Bad value in numeric range: {_shown(token)}", read=True)
    if token.value not in ("<", "<="):
        raise tokens.fail(f"Bad numeric range operator: {token.value}", read=True)
    below, top = _OPERATORS[token.value], _bound(tokens, token.value)
    if tokens.next().kind != "]":
        raise tokens.fail("Too many terms in numeric range expression")
    if bound >= top:
        raise tokens.fail("Bottom must be less than top")
    _only_key(tokens, _TOO_MANY)
    between = Range(bound, operator == ">=", top, token.value == "<=")
    return Alike(
        "numeric", between, lambda value: is_number(value) and compare(value, bound) and below(value, top)
    )


def _range(operator: str, bound: float) -> Range:
    if operator == "=":
        return Range(bound, True, bound, True)
    if operator in (">", ">="):
        return Range(bound, operator == ">=", math.inf, True)
    return Range(-math.inf, True, bound, operator == "<=")


def _shown(token: Token) -> str:
    return str(token.value) if token.value is not None else token.kind


def _bound(tokens: Tokens, operator: str) -> float:
    if tokens.next().kind != "number":
        raise tokens.fail(f"Value of {operator} must be numeric")
    return _in_range(tokens)


def _in_range(tokens: Tokens) -> float:
    value: float = tokens.current.value
    if not -_LARGEST <= value <= _LARGEST:
        raise tokens.fail("Value must be between -5.0E9 and 5.0E9, inclusive")
    return value


# --- anything-but


def _anything_but(tokens: Tokens) -> Matcher:
    token = tokens.next()
    if token.kind == "{":
        return _anything_but_nested(tokens)
    if token.kind == "[":
        texts, numbers = _list(tokens)
        _only_key(tokens, _TOO_MANY)
        return _but(texts, numbers)
    if token.kind == "string":
        text = token.value
        _only_key(tokens, _TOO_MANY)
        return _but([text], [])
    if token.kind == "number":
        number = _in_range(tokens)
        _only_key(tokens, _TOO_MANY)
        return _but([], [number])
    raise tokens.fail("Value of anything-but must be an array or single string/number value.")


def _but(texts: Sequence[str], numbers: Sequence[float]) -> Matcher:
    forbidden = (frozenset(texts), frozenset(numbers))
    return Alike("anything-but", forbidden, any_but([forbidden]))


def _list(tokens: Tokens) -> tuple[list[str], list[float]]:
    texts: list[str] = []
    numbers: list[float] = []
    while (token := tokens.next()).kind != "]":
        if token.kind == "string":
            texts.append(token.value)
        elif token.kind == "number":
            numbers.append(_in_range(tokens))
        else:
            raise tokens.fail("Inside anything but list, start|null|boolean is not supported.")
    if bool(texts) == bool(numbers):
        raise tokens.fail(
            "Inside anything but list, either all values are number or string, mixed type is not supported"
        )
    return texts, numbers


def _anything_but_nested(tokens: Tokens) -> Matcher:
    if tokens.next().kind != "name":
        raise tokens.fail("Anything-But expression name not found")
    kind = tokens.current.value
    if kind not in ("prefix", "suffix", "equals-ignore-case", "wildcard"):
        raise tokens.fail(f"Unsupported anything-but pattern: {kind}")
    texts = _texts(tokens, kind)
    _only_key(tokens)
    _only_key(tokens)
    among = TOGETHER[kind]([_compared(tokens, kind, text) for text in texts])
    return lambda value: not among(value)


def _texts(tokens: Tokens, kind: str) -> Sequence[str]:
    token = tokens.next()
    if token.kind == "string":
        if not token.value:
            raise tokens.fail(
                "Null prefix/suffix not allowed" if kind.endswith("fix") else f"Null {kind} not allowed"
            )
        return [token.value]
    if token.kind != "[":
        if kind in ("prefix", "suffix"):
            raise tokens.fail("prefix/suffix match pattern must be a string")
        raise tokens.fail("Value of anything-but must be an array or single string/number value.")
    texts: list[str] = []
    while (token := tokens.next()).kind != "]":
        if token.kind != "string":
            raise tokens.fail(f"Inside anything-but/{kind} list, number|start|null|boolean is not supported.")
        if not token.value and kind.endswith("fix"):
            raise tokens.fail("Null prefix/suffix not allowed")
        texts.append(token.value)
    if not texts:
        raise tokens.fail("Empty arrays are not allowed")
    return texts


def _compared(tokens: Tokens, kind: str, text: str) -> Any:
    if kind == "wildcard":
        return wildcard(tokens, text)
    return text.casefold() if kind == "equals-ignore-case" else text


_EXPRESSIONS: Final[dict[str, Callable[[Tokens], Matcher]]] = {
    "exactly": _exactly,
    "prefix": _affix("prefix"),
    "suffix": _affix("suffix"),
    "numeric": _numeric,
    "anything-but": _anything_but,
    "exists": _exists,
    "cidr": _cidr,
    "equals-ignore-case": _equals_ignore_case,
    "wildcard": _wildcard,
}
