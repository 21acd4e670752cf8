"""Writes the tables of served operations into the documentation, from the operations themselves.

    python tools/served_operations.py [--check]

A service's page in docs/services/ has its tables between two markers: the operations, and the actions that they need,
as AWS's Service Authorization Reference has them; docs/services/README.md has the overview.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from casemate.api.reference import action
from casemate.gate.operation import Api, Mode, Operation
from casemate.server.composition import APIS

PAGES = Path(__file__).resolve().parent.parent / "docs" / "services"
OVERVIEW = "README.md"

BEGIN = "<!-- begin of what tools/served_operations.py writes -->"
END = "<!-- end of what tools/served_operations.py writes -->"

_KINDS = {Mode.READ: "read", Mode.WRITE: "write", Mode.STREAM: "stream"}


class BadPage(Exception):
    """A page that cannot be written: it is missing, or its markers are."""


def served(api: Api) -> list[Operation[Any, Any]]:
    """The operations of a service that have a handler, in the model's order."""
    return [operation for operation in api.operations if operation.served is not None]


def description(operation: Operation[Any, Any]) -> str:
    """The first sentence of the handler's docstring, on one line."""
    assert operation.served is not None
    text = " ".join((operation.served.handler.__doc__ or "").split("\n\n")[0].split())
    if not text:
        raise BadPage(f"the handler of {operation} has no docstring, from which its row is made")
    return text.replace("|", "\\|")


def permissions(operation: Operation[Any, Any]) -> str:
    """The actions that a caller must be allowed; some only where the request calls for them."""
    assert operation.served is not None
    needs = operation.served.needs
    # The same one may be needed on several resources.
    actions = dict.fromkeys(need.action for need in needs)
    return ", ".join(f"`{action}`" for action in actions) if actions else "none: any signed caller"


def table(api: Api) -> str:
    """A service's table, without a line's end."""
    lines = ["| Operation | Permissions | Kind | What it does |", "|---|---|---|---|"]
    for operation in served(api):
        assert operation.served is not None
        kind = _KINDS[operation.served.mode]
        lines.append(f"| {operation.name} | {permissions(operation)} | {kind} | {description(operation)} |")
    return "\n".join([*lines, "", *actions_table(api)])


def actions_table(api: Api) -> list[str]:
    """What policies may say of the actions that a service's operations need."""
    needs = (need.action for operation in served(api) if operation.served for need in operation.served.needs)
    lines = [
        "The actions, as AWS's Service Authorization Reference has them. A policy that names resources must name one "
        "of a type with a star; where none is listed, it must name `*`.",
        "",
        "| Action | Level | Resource types | Condition keys |",
        "|---|---|---|---|",
    ]
    for name in sorted(set(needs)):
        known = action(name)
        if known is None:
            raise BadPage(f"{name} is in no reference: run tools/generate_reference.py")
        resources = ", ".join(known.resources).replace("*", "\\*")
        # Numbered keys as one.
        keys = dict.fromkeys(_NUMBER.sub("<n>", key) for key in known.conditions)
        conditions = ", ".join(f"`{key}`" for key in keys)
        lines.append(f"| `{name}` | {known.level} | {resources} | {conditions} |")
    return lines


_NUMBER = re.compile(r"\d+$")


def overview(apis: Iterable[Api]) -> str:
    """How much of each service is served."""
    lines = ["| Service | Served | In AWS's model | API version |", "|---|---|---|---|"]
    lines += [
        f"| [{api.service}]({api.service}.md) | {len(served(api))} | {len(api.operations)} | {api.version} |"
        for api in apis
    ]
    return "\n".join(lines)


def inserted(page: str, text: str, name: str) -> str:
    """The page with the text between its markers. Raises BadPage."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or END in after or BEGIN in rest:
        raise BadPage(f"docs/services/{name} must have each marker once: {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{text}\n\n{END}{after}"


def pages(folder: Path = PAGES) -> dict[Path, tuple[str, str]]:
    """Each page's text as it is and as it should be."""
    found = {}
    wanted = {OVERVIEW: overview(APIS), **{f"{api.service}.md": table(api) for api in APIS}}
    for name, text in wanted.items():
        path = folder / name
        try:
            page = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise BadPage(f"docs/services/{name} is missing") from None
        found[path] = page, inserted(page, text, name)
    return found


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Write the tables of served operations into docs/services/.")
    parser.add_argument("--check", action="store_true", help="only compare; exit 1 when not current")
    check: bool = parser.parse_args(arguments).check
    stale = []
    for path, (page, wanted) in pages().items():
        if page != wanted:
            stale.append(path.name)
            if not check:
                path.write_text(wanted, encoding="utf-8")
    print(f"{'not current' if check else 'written'}: {', '.join(stale) or 'none'}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
