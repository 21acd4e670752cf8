"""Percent-encoded text: query strings and form bodies, as pairs and as the tree that dotted names make."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote_to_bytes

from casemate.wire.refusals import Unreadable

MAX_NESTING = 60
"""How many dots the name of a form field may have."""

Node = dict[str, Any]
"""A field's parts: the name's next part → str or Node. Its own value, where it has both, is at ''."""


def decode(raw: bytes) -> str:
    """Percent-decoded UTF-8. Raises Unreadable when it is not UTF-8."""
    try:
        return (unquote_to_bytes(raw) if b"%" in raw else raw).decode("utf-8")
    except UnicodeDecodeError:
        raise Unreadable("A name or value is not UTF-8") from None


def pairs(raw: bytes) -> Iterator[tuple[str, str]]:
    """The fields of a query string or form, in order; ``+`` is a space. Raises Unreadable."""
    for field in raw.split(b"&"):
        if field:
            name, _, value = field.replace(b"+", b" ").partition(b"=")
            yield decode(name), decode(value)


def tree(fields: Iterator[tuple[str, str]]) -> Node:
    """``Tags.member.1.Key=a`` → {"Tags": {"member": {"1": {"Key": "a"}}}}. Of two equal names the first counts.

    Raises Unreadable when a name is nested too deeply.
    """
    root: Node = {}
    for name, value in fields:
        if name.count(".") > MAX_NESTING:
            raise Unreadable("The name of a parameter is nested too deeply")
        *above, last = name.split(".")
        node = root
        for part in above:
            inner = node.get(part)
            if not isinstance(inner, dict):
                inner = node[part] = {} if inner is None else {"": inner}
            node = inner
        found = node.get(last)
        if isinstance(found, dict):
            found.setdefault("", value)
        elif found is None:
            node[last] = value
    return root
