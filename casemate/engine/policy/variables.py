"""Policy variables: ``${aws:username}``, ``${aws:PrincipalTag/team, 'none'}`` and the escapes ``${*}``,
``${?}``, ``${$}`` (AWS: "IAM policy elements: Variables and tags").

A value that takes a variable's place is literal: a star in a tag is a star, not a wildcard.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

from casemate.engine.policy.wildcards import Token, tokenize

#: What a request says under a condition key.
Value = str | Sequence[str] | None
#: A condition key in lower case to its value; None when the request has no such key.
Lookup = Callable[[str], Value]

_ESCAPES: Final = frozenset("*?$")


class Variable(NamedTuple):
    key: str
    default: str | None


#: Literals, wildcards and variables, in order.
Template = tuple[Token | Variable, ...]


def template(text: str, *, wildcards: bool = True, variables: bool = True) -> Template:
    """``text`` taken apart. What only resembles a variable (``${unclosed``) stays as it is written."""
    parts: list[Token | Variable] = []
    literal = ""
    at = 0
    while variables and (start := text.find("${", at)) >= 0:
        found = _variable(text, start + 2)
        if found is None:
            literal += text[at : start + 2]
            at = start + 2
            continue
        part, end = found
        literal += text[at:start]
        at = end
        _add(parts, literal, wildcards)
        literal = ""
        parts.append(part)
    _add(parts, literal + text[at:], wildcards)
    return tuple(parts)


def _add(parts: list[Token | Variable], literal: str, wildcards: bool) -> None:
    if wildcards:
        parts.extend(tokenize(literal))
    elif literal:
        parts.append(literal)


def _variable(text: str, at: int) -> tuple[str | Variable, int] | None:
    """The variable whose name begins at ``at``, and where the text goes on after its brace."""
    close = text.find("}", at)
    if close < 0:
        return None
    name, comma, _ = text[at:close].partition(",")
    if not comma:
        if name in _ESCAPES:
            return name, close + 1
        name = name.strip()
        return (Variable(name.lower(), None), close + 1) if name else None
    # A default value stands in single quotes and may hold a brace.
    opening = at + len(name) + 1
    while text.startswith(" ", opening):
        opening += 1
    if not text.startswith("'", opening) or (closing := text.find("'", opening + 1)) < 0:
        return None
    end = closing + 1
    while text.startswith(" ", end):
        end += 1
    if not text.startswith("}", end) or not name.strip():
        return None
    return Variable(name.strip().lower(), text[opening + 1 : closing]), end + 1


def needs(parts: Iterable[Token | Variable]) -> frozenset[str]:
    """The condition keys that the template asks for."""
    return frozenset(part.key for part in parts if isinstance(part, Variable))


def resolve(parts: Template, lookup: Lookup) -> tuple[Token, ...] | None:
    """The template with its variables replaced; None when one has neither a single value nor a default."""
    tokens: list[Token] = []
    for part in parts:
        if not isinstance(part, Variable):
            tokens.append(part)
            continue
        value = lookup(part.key)
        if not isinstance(value, str):
            value = part.default
        if value is None:
            return None
        if value:
            tokens.append(value)
    return tuple(tokens)


def literal(tokens: tuple[Token, ...]) -> str:
    """A template that was taken apart without wildcards, put together again."""
    return "".join(token for token in tokens if isinstance(token, str))
