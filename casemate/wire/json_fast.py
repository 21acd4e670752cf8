"""The straight way through a JSON structure: one generated function instead of a closure per member.

Reading and checking happen together, member by member, and nothing is explained: whatever is not plainly right
makes the function return None, and the caller goes the general way (``json_values``, ``constraints``), which gives
the same result or says what is wrong. So this module can be slower or faster, never of another opinion; a property
test compares the two. Members that are not flat are left to the general functions.
"""

from __future__ import annotations

from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable, Mapping
from typing import Any

from casemate.wire.constraints import Check, Rules
from casemate.wire.json_values import Reader, Writer, unknown_member
from casemate.wire.models import Shape

Fast = Callable[[Any], dict[str, Any] | None]


class _Source:
    """Lines of a function, and the values that they name."""

    def __init__(self, *lines: str) -> None:
        self.lines = list(lines)
        self.names: dict[str, Any] = {}

    def bind(self, value: Any) -> str:
        name = f"_{len(self.names)}"
        self.names[name] = value
        return name

    def add(self, depth: int, *lines: str) -> None:
        self.lines.extend("    " * depth + line for line in lines)

    def function(self, name: str, **names: Any) -> Any:
        scope = {**self.names, **names}
        # The source is made of the model's names (quoted by repr) and of our own words: nothing of a request.
        exec(compile("\n".join(self.lines), f"<casemate.wire {name}>", "exec"), scope)  # noqa: S102
        return scope["run"]


def _length(shape: Shape, name: str) -> str:
    """The condition under which a measured value is refused, or ''."""
    rules = Rules(shape)
    low, high = rules.shortest, rules.longest
    if high is not None:
        return f" or not {low or 0} <= len({name}) <= {high}"
    return f" or len({name}) < {low}" if low else ""


def _string(source: _Source, shape: Shape, name: str) -> str:
    """The condition under which a JSON value is not a right string."""
    rules = Rules(shape)
    refused = f"type({name}) is not str"
    if rules.enum is not None:
        refused += f" or {name} not in {source.bind(rules.enum)}"
    refused += _length(shape, name)
    if rules.pattern is not None:
        refused += f" or not {source.bind(rules.pattern)}({name})"
    return refused


def _strings(shape: Shape) -> bool:
    """A list or map of nothing but strings."""
    texts = (shape.element,) if shape.kind == "list" else (shape.element, shape.key)
    return all(text.kind == "string" for text in texts)


def _member(source: _Source, shape: Shape, read: Reader, check: Check | None) -> None:
    """Lines that turn ``v`` into the member's value."""
    kind = shape.kind
    if kind == "string":
        source.add(2, f"if {_string(source, shape, 'v')}: return None")
    elif kind == "boolean":
        source.add(2, "if v is not True and v is not False: return None")
    elif kind == "blob":
        source.add(2, "if type(v) is not str: return None")
        source.add(2, "try: v = decode(v, strict_mode=True)", "except Base64Error: return None")
        if length := _length(shape, "v").removeprefix(" or "):
            source.add(2, f"if {length}: return None")
    elif kind == "list" and _strings(shape):
        source.add(2, f"if type(v) is not list{_length(shape, 'v')}: return None")
        source.add(2, "for x in v:", f"    if {_string(source, shape.element, 'x')}: return None")
    elif kind == "map" and _strings(shape):
        source.add(2, f"if type(v) is not dict{_length(shape, 'v')}: return None")
        source.add(2, "for k, x in v.items():", f"    if {_string(source, shape.element, 'x')}: return None")
        key = _string(source, shape.key, "k").removeprefix("type(k) is not str").removeprefix(" or ")
        if key:
            source.add(3, f"if {key}: return None")
    else:
        source.add(2, f"v = {source.bind(read)}(v)")
        if check is not None:
            source.add(2, f"if not {source.bind(check)}(v): return None")


def compile_reader(
    shape: Shape, reader: Callable[[Shape], Reader], checker: Callable[[Shape], Check | None]
) -> Fast | None:
    """A function from a parsed JSON document to its members, checked, or to None when it is not plainly right.

    It may also raise Unreadable. None instead of a function for shapes that are not for the straight way.
    """
    if shape.document or shape.traits.get("union"):
        return None
    source = _Source(
        "def run(document):", "    if type(document) is not dict: return None", "    get = document.get"
    )
    source.add(1, "members = {}")
    for name, member in shape.members.items():
        if member.event_stream:
            return None
        source.add(1, f"v = get({member.wire_name or name!r})")
        if name in shape.required:
            source.add(1, "if v is None: return None", "else:")
        else:
            source.add(1, "if v is not None:")
        _member(source, member, reader(member), checker(member))
        source.add(2, f"members[{name!r}] = v")
    source.add(1, "return members")
    fast: Fast = source.function(shape.name, decode=a2b_base64, Base64Error=Base64Error)
    return fast


def compile_writer(
    shape: Shape, writer: Callable[[Shape], Writer | None]
) -> Callable[[Mapping[str, Any]], Any]:
    """A function from a result to the document to dump. TypeError for an unknown member or a wrong type."""
    source = _Source("def run(result):", "    written = {}", "    get = result.get")
    for name, member in shape.members.items():
        key = repr(member.wire_name or name)
        source.add(1, f"v = get({name!r})", "if v is not None:")
        if member.kind == "string":
            source.add(2, f"if not isinstance(v, str): raise wrong({name!r}, v)", f"written[{key}] = v")
        elif member.kind == "blob":
            source.add(2, f"written[{key}] = encode(v, newline=False).decode()")
        elif (write := writer(member)) is None:
            source.add(2, f"written[{key}] = v")
        else:
            source.add(2, f"written[{key}] = {source.bind(write)}(v)")
    source.add(1, "if len(written) != len(result):", "    for name in result:")
    source.add(3, "if name not in known: raise unknown(name)")
    source.add(1, "return written")
    run: Callable[[Mapping[str, Any]], Any] = source.function(
        shape.name,
        known=frozenset(shape.members),
        encode=b2a_base64,
        unknown=lambda name: unknown_member(shape, name),
        wrong=lambda name, value: TypeError(f"{name}: a string was expected, not {type(value).__name__}"),
    )
    return run
