"""How the management policies over an account become one: AWS's inheritance operators. Pure.

A setting is a JSON object with operators, or a plain value, which is the same as ``@@assign``. Policies are merged
from the root down; an operator that a policy of a level above does not let its children use has no effect. Of several
on one level, in the order of their attachment, the later ones come after the earlier, and none limits another.
Source: "Inheritance operators".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

ASSIGN, APPEND, REMOVE = "@@assign", "@@append", "@@remove"
CONTROL: Final = "@@operators_allowed_for_child_policies"
_OPERATORS: Final = frozenset({ASSIGN, APPEND, REMOVE})


class _Node:
    """A setting or a group of them, as far as it is merged. allowed: what policies below may do here; value: a
    setting's, None of a group."""

    __slots__ = ("allowed", "children", "value")

    def __init__(self, allowed: frozenset[str] = _OPERATORS) -> None:
        self.allowed = allowed
        self.children: dict[str, _Node] = {}
        self.value: Any = None

    def plain(self) -> Any:
        """What is left when all is merged; None of what says nothing."""
        if self.value is not None:
            return self.value
        found = {name: child.plain() for name, child in self.children.items()}
        return {name: value for name, value in found.items() if value is not None} or None


def effective(levels: Sequence[Sequence[Mapping[str, Any]]]) -> dict[str, Any]:
    """levels: the documents on each level, from the root down to the account."""
    root = _Node()
    for documents in levels:
        for document in documents:
            _merge(root, document)
        # Only now: what a level says of its children holds for the next one.
        for document in documents:
            _control(root, document, _OPERATORS)
    return root.plain() or {}


def _merge(node: _Node, document: Mapping[str, Any]) -> None:
    for name, content in document.items():
        if name == CONTROL:
            continue
        child = node.children.get(name)
        if child is None:
            # A setting that is new is assigned, whatever the operator.
            if ASSIGN not in node.allowed and APPEND not in node.allowed:
                continue
            child = node.children[name] = _Node(node.allowed)
        if isinstance(content, Mapping) and not _OPERATORS.intersection(content):
            _merge(child, content)
            continue
        _set(child, content if isinstance(content, Mapping) else {ASSIGN: content})


def _set(node: _Node, operators: Mapping[str, Any]) -> None:
    if ASSIGN in operators and ASSIGN in node.allowed:
        node.value = operators[ASSIGN]
    if APPEND in operators and APPEND in node.allowed:
        there = _listed(node.value)
        node.value = there + [each for each in _listed(operators[APPEND]) if each not in there]
    if REMOVE in operators and REMOVE in node.allowed and node.value is not None:
        gone = _listed(operators[REMOVE])
        node.value = [each for each in _listed(node.value) if each not in gone]


def _listed(value: Any) -> list[Any]:
    return [] if value is None else list(value) if isinstance(value, list) else [value]


def _control(node: _Node, document: Mapping[str, Any], above: frozenset[str]) -> None:
    """Narrow what policies below may do; nothing widens it again."""
    allowed = above
    if CONTROL in document:
        named = set(_listed(document[CONTROL]))
        if "@@all" not in named:
            allowed = above & named
    _narrow(node, allowed)
    for name, content in document.items():
        child = node.children.get(name)
        if child is not None and isinstance(content, Mapping):
            _control(child, content, allowed)


def _narrow(node: _Node, allowed: frozenset[str]) -> None:
    node.allowed &= allowed
    for child in node.children.values():
        _narrow(child, allowed)
