"""Which operation a REST request is: by method, raw path, query parameters and, in S3, headers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

from casemate.wire.form import pairs
from casemate.wire.models import Operation, service
from casemate.wire.refusals import Unreadable
from casemate.wire.rest import template

# S3 operations that share method, path and query with another and are never meant on our endpoints.
_ELSEWHERE = {"s3": frozenset({"ListDirectoryBuckets"})}


class _Candidate(NamedTuple):
    operation: str
    fixed: tuple[tuple[str, str], ...]
    queries: frozenset[str]
    headers: frozenset[bytes]
    rank: tuple[int, int, bool]
    """More fixed and required parts first; of equal ones, the operation that is not deprecated."""


class _Group(NamedTuple):
    path: re.Pattern[bytes]
    candidates: tuple[_Candidate, ...]


def _candidate(operation: Operation, fixed: tuple[tuple[str, str], ...]) -> _Candidate:
    shape = operation.input
    required = [shape.members[name] for name in shape.required] if shape is not None else []
    names = {"querystring": set[str](), "header": set[str]()}
    for name, member in zip(shape.required if shape is not None else (), required, strict=True):
        if member.location in names:
            names[member.location].add(member.wire_name or name)
    queries = frozenset(names["querystring"])
    headers = frozenset(name.lower().encode() for name in names["header"])
    current = not operation.traits.get("deprecated", False)
    return _Candidate(
        operation.name, fixed, queries, headers, (len(fixed), len(queries) + len(headers), current)
    )


@cache
def _routes(service_name: str) -> dict[str, tuple[_Group, ...]]:
    """By method, the paths with their operations, the most specific first."""
    model = service(service_name)
    found: dict[str, dict[re.Pattern[bytes], tuple[tuple[int, int], list[_Candidate]]]] = {}
    for name in model.operations:
        if name in _ELSEWHERE.get(service_name, ()):
            continue
        operation = model.operation(name)
        parts = template(operation.uri)
        groups = found.setdefault(operation.method, {})
        group = groups.setdefault(parts.path, (parts.weight, []))
        group[1].append(_candidate(operation, parts.fixed))
    return {
        method: tuple(
            _Group(path, tuple(sorted(candidates, key=lambda one: one.rank, reverse=True)))
            for path, (_, candidates) in sorted(groups.items(), key=lambda item: item[1][0], reverse=True)
        )
        for method, groups in found.items()
    }


def route_rest(
    service_name: str, method: str, path: bytes, query: bytes, headers: Mapping[bytes, bytes] | None = None
) -> str | None:
    """The operation's name, or None when the service has none for the request.

    path and query are raw; headers have lower-case names and matter only in S3 (x-amz-copy-source). Where several
    operations fit, the one that asks for most wins; where the fixed parameters name operations whose required
    ones are all missing, the least demanding one is named, so that its codec can say what is missing.
    """
    groups = _routes(service_name).get(method)
    if groups is None:
        return None
    try:
        given = dict(pairs(query)) if query else {}
    except Unreadable:
        return None
    for group in groups:
        if group.path.fullmatch(path) is None:
            continue
        lacking: _Candidate | None = None
        for candidate in group.candidates:
            if not all(
                name in given and (not value or given[name] == value) for name, value in candidate.fixed
            ):
                continue
            if lacking is not None and len(lacking.fixed) > len(candidate.fixed):
                break
            if candidate.queries <= given.keys() and (
                not candidate.headers or (headers is not None and candidate.headers <= headers.keys())
            ):
                return candidate.operation
            lacking = candidate
        if lacking is not None:
            return lacking.operation
    return None
