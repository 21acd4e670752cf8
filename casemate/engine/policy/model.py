"""A policy as it is evaluated: compiled statements and an index that finds those for an action."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from casemate.engine.policy.conditions import Condition
from casemate.engine.policy.errors import Kind
from casemate.engine.policy.operators import split_arn
from casemate.engine.policy.principals import Name, PrincipalElement
from casemate.engine.policy.variables import Lookup, Template, needs, resolve, template
from casemate.engine.policy.wildcards import STAR, Matcher, Token, glob, matcher, tokenize

_REMEMBERED_ACTIONS: Final = 256


@dataclass(frozen=True, slots=True)
class ActionElement:
    """Action or (``negated``) NotAction, in lower case: case does not matter in actions."""

    negated: bool
    texts: tuple[str, ...]
    exact: frozenset[str]
    globs: tuple[Matcher, ...]

    def covers(self, action: str) -> bool:
        """``action`` in lower case."""
        found = action in self.exact or any(match(action) for match in self.globs)
        return found is not self.negated


def action_element(texts: Iterable[str], *, negated: bool) -> ActionElement:
    lowered = tuple(text.lower() for text in texts)
    wild = [text for text in lowered if "*" in text or "?" in text]
    return ActionElement(
        negated,
        lowered,
        frozenset(lowered) - frozenset(wild),
        tuple(glob(text) for text in wild),
    )


@dataclass(frozen=True, slots=True)
class ResourceElement:
    """Resource or (``negated``) NotResource.

    A star reaches over colons and slashes (AWS: "IAM JSON policy elements: Resource"). Variables work after
    the fifth colon only, and only where the version has them. For an Allow with NotResource, a variable that
    has no value makes the statement not apply; a Deny applies.

    everything: any resource is meant; prefixes: what the ARNs begin with that can be meant, each once, "" among them
    where that may be anything.
    """

    negated: bool
    texts: tuple[str, ...]
    globs: tuple[Matcher, ...]
    templates: tuple[Template, ...]
    keys: frozenset[str]
    allow: bool
    everything: bool
    prefixes: tuple[str, ...]

    def covers(self, resource: str, lookup: Lookup) -> bool:
        """Whether the statement is about this resource, for a request with these keys."""
        if any(match(resource) for match in self.globs):
            return not self.negated
        found = False
        for parts in self.templates:
            tokens = resolve(parts, lookup)
            if tokens is None:
                if self.negated and self.allow:
                    return False
            elif matcher(tokens)(resource):
                found = True
        return found is not self.negated

    def settled(self, resource: str) -> bool | None:
        """The same as far as it does not hang on the request's keys; None: it does."""
        for match in self.globs:
            if match(resource):
                return not self.negated
        return None if self.templates else self.negated


def resource_element(texts: Iterable[str], *, negated: bool, variables: bool, allow: bool) -> ResourceElement:
    texts = tuple(texts)
    globs: list[Matcher] = []
    templates: list[Template] = []
    prefixes: set[str] = set()
    everything = False
    for text in texts:
        parts = _arn_template(text, variables)
        prefixes.add(_beginning(parts))
        everything = everything or (not negated and bool(parts) and all(part == STAR for part in parts))
        if needs(parts):
            templates.append(parts)
        else:
            globs.append(matcher(tuple(part for part in parts if isinstance(part, str | int))))
    keys = frozenset().union(*map(needs, templates))
    found = ("",) if negated or "" in prefixes else tuple(sorted(prefixes))
    return ResourceElement(negated, texts, tuple(globs), tuple(templates), keys, allow, everything, found)


def _beginning(parts: Template) -> str:
    """What is written before the first wildcard or variable."""
    literal = ""
    for part in parts:
        if not isinstance(part, str):
            break
        literal += part
    return literal


def _arn_template(text: str, variables: bool) -> Template:
    if text == "*":
        return template(text)
    head, last = _cut(text)
    if last is None:
        # An ARN with fewer than six parts is completed with stars.
        joined: list[Token] = []
        for index, part in enumerate(split_arn(tokenize(text))):
            joined.extend((":", *part) if index else part)
        return tuple(joined)
    return (*template(head, variables=False), *template(last, variables=variables))


def _cut(text: str) -> tuple[str, str | None]:
    """The first five parts of an ARN with their colons, and the rest if there is one."""
    parts = text.split(":", 5)
    return (text, None) if len(parts) < 6 else (":".join(parts[:5]) + ":", parts[5])


@dataclass(frozen=True, slots=True)
class Statement:
    """resources: None where the kind has none, so that any is meant (trust policies); ineffective: a
    statement that AWS accepts and never applies (a key policy's without Resource); prefixes: the resources'."""

    index: int
    sid: str
    allow: bool
    actions: ActionElement
    resources: ResourceElement | None
    principals: PrincipalElement | None
    conditions: tuple[Condition, ...]
    ineffective: bool = False
    prefixes: tuple[str, ...] = ("",)


class About(NamedTuple):
    """Statements of a policy that are about an action, in their order."""

    allows: tuple[Statement, ...]
    denies: tuple[Statement, ...]


class _Index:
    """Statements of one effect by action: literal actions in a dict, wildcards by service, the rest looked at one by
    one."""

    __slots__ = ("everywhere", "literal", "services", "statements")

    def __init__(self, statements: Iterable[Statement]) -> None:
        self.statements = tuple(statements)
        self.literal: dict[str, list[int]] = {}
        self.services: dict[str, dict[str, tuple[Matcher, list[int]]]] = {}
        """By service and pattern: many statements of a policy often share one."""
        self.everywhere: list[int] = []
        for at, statement in enumerate(self.statements):
            self._add(at, statement.actions)

    def _add(self, at: int, actions: ActionElement) -> None:
        if actions.negated:
            self.everywhere.append(at)
            return
        for text in actions.exact:
            self.literal.setdefault(text, []).append(at)
        for text in actions.texts:
            if text not in actions.exact:
                service, colon, _ = text.partition(":")
                if not colon or "*" in service or "?" in service:
                    self.everywhere.append(at)
                else:
                    patterns = self.services.setdefault(service, {})
                    if text not in patterns:
                        patterns[text] = (glob(text), [])
                    patterns[text][1].append(at)

    def find(self, action: str) -> tuple[Statement, ...]:
        statements = self.statements
        chosen = {at for at in self.everywhere if statements[at].actions.covers(action)}
        chosen.update(self.literal.get(action, ()))
        for match, some in self.services.get(action.partition(":")[0], {}).values():
            if match(action):
                chosen.update(some)
        return tuple(map(statements.__getitem__, sorted(chosen)))


class _Actions:
    """What a policy's statements say about each action that was asked for."""

    __slots__ = ("_allows", "_denies", "_remembered")

    def __init__(self, statements: tuple[Statement, ...]) -> None:
        effective = [statement for statement in statements if not statement.ineffective]
        self._allows: Final = _Index(statement for statement in effective if statement.allow)
        self._denies: Final = _Index(statement for statement in effective if not statement.allow)
        self._remembered: Final[dict[str, About]] = {}

    def find(self, action: str) -> About:
        found = self._remembered.get(action)
        if found is None:
            if len(self._remembered) >= _REMEMBERED_ACTIONS:
                self._remembered.clear()
            found = self._remembered[action] = About(self._allows.find(action), self._denies.find(action))
        return found


class Policy:
    """A parsed document. Immutable and shared: the same text gives the same compiled statements.

    name: where it comes from, for the reasons of decisions: an ARN, or an inline policy's name.
    """

    __slots__ = ("_actions", "kind", "name", "statements", "version")

    def __init__(
        self,
        kind: Kind,
        version: str,
        statements: tuple[Statement, ...],
        name: str = "",
        *,
        _actions: _Actions | None = None,
    ) -> None:
        self.kind: Final = kind
        self.version: Final = version
        self.statements: Final = statements
        self.name: Final = name
        self._actions: Final = _actions or _Actions(statements)

    def named(self, name: str) -> Policy:
        """The same policy under a name."""
        return Policy(self.kind, self.version, self.statements, name, _actions=self._actions)

    def about(self, action: str) -> About:
        """The effective statements whose Action or NotAction covers the action, given in lower case."""
        return self._actions.find(action)

    def principals(self) -> Iterator[Name]:
        """Everyone whom Principal and NotPrincipal elements name, for services that check that they exist:
        ("AWS", "arn:aws:iam::111122223333:user/x"), ("Service", "logs.amazonaws.com"); an account's root is
        ("AWS", "111122223333"). Wildcards are left out."""
        for statement in self.statements:
            if statement.principals is not None:
                yield from statement.principals

    def __repr__(self) -> str:
        return f"Policy({self.kind}, {self.name or 'unnamed'}, {len(self.statements)} statements)"
