"""ListSecrets: an account's secrets in a Region, filtered, sorted, in pages."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast

from casemate.api import secretsmanager
from casemate.gate.call import Call
from casemate.gate.markers import read_marker, write_marker
from casemate.services.secretsmanager.details import details
from casemate.services.secretsmanager.naming import NAME
from casemate.services.secretsmanager.refusals import invalid_parameter, invalid_token
from casemate.services.secretsmanager.rows import SecretRow
from casemate.services.secretsmanager.secrets import SELECT_SECRET, Secrets
from casemate.services.secretsmanager.targets import AccountWide, account_wide

_SCANNED = 2_000
"""So many secrets are looked at for a page; where filters leave few of them, it has fewer entries, as AWS's do."""
_CHUNK = 200

_COLUMNS: Mapping[str, str] = {
    "created-date": "created",
    "last-accessed-date": "accessed",
    "last-changed-date": "changed",
    "name": "name",
}

Filter = Callable[[SecretRow], bool]


class Entry(NamedTuple):
    """A secret in a list. accessed: the day of its last use, 0 for never."""

    row: SecretRow
    accessed: float


class Listing:
    """The part of the account's secrets that a request asks for. operation: whose tokens are taken, no other's; most:
    of MaxResults. Raises InvalidNextTokenException, InvalidParameterException."""

    def __init__(self, call: Call, operation: str, request: Mapping[str, Any], *, most: int) -> None:
        self._call = call
        self._operation = operation
        self._limit: int = request.get("MaxResults", most)
        self._column = _COLUMNS[request.get("SortBy", "created-date")]
        self._descending = request.get("SortOrder", "asc") == "desc"
        self._planned = bool(request.get("IncludePlannedDeletion"))
        self._filters = [_filter(each) for each in request.get("Filters", ())]
        self._after = self._position(request.get("NextToken"))

    def page(self) -> tuple[list[Entry], dict[str, Any]]:
        """Its entries, and NextToken where there may be more."""
        secrets, tx = self._call.part(Secrets), self._call.tx
        found: list[Entry] = []
        after = self._after
        for _ in range(_SCANNED // _CHUNK):
            rows = tx.all(*self._query(after))
            for *columns, accessed in rows:
                row = secrets.opened(tx, tuple(columns))
                after = self._place(row, accessed)
                if (self._planned or row.deletion is None) and all(wanted(row) for wanted in self._filters):
                    found.append(Entry(row, accessed))
                    if len(found) == self._limit:
                        return found, self._more(after) if tx.all(*self._query(after, 1)) else {}
            if len(rows) < _CHUNK:
                return found, {}
        assert after is not None
        return found, self._more(after)

    def _query(self, after: tuple[str, str] | None, count: int = _CHUNK) -> tuple[str, list[Any]]:
        column, name = self._column, "name"
        sign, direction = ("<", "DESC") if self._descending else (">", "ASC")
        place: list[Any] = [self._call.account, self._call.region]
        beyond = ""
        if after is not None:
            if column == name:
                beyond = f" AND name {sign} ?"
                place.append(after[1])
            else:
                beyond = f" AND ({column} {sign} ? OR ({column} = ? AND name {sign} ?))"
                value = float(after[0])
                place += [value, value, after[1]]
        ordered = f"{column} {direction}, name {direction}" if column != name else f"name {direction}"
        sql = f"{SELECT_SECRET} WHERE account = ? AND region = ?{beyond} ORDER BY {ordered} LIMIT {count}"
        return sql, place

    def _place(self, row: SecretRow, accessed: float) -> tuple[str, str]:
        value = {"created": row.created, "changed": row.changed, "accessed": accessed, "name": 0.0}
        return repr(value[self._column]), row.name

    def _order(self) -> str:
        return f"{self._column} {'desc' if self._descending else 'asc'}"

    def _more(self, after: tuple[str, str]) -> dict[str, Any]:
        return {"NextToken": write_marker(self._operation, "\n".join((self._order(), *after)))}

    def _position(self, token: str | None) -> tuple[str, str] | None:
        if token is None:
            return None
        parts = (read_marker(self._operation, token) or "").split("\n")
        if len(parts) != 3 or parts[0] != self._order() or NAME.fullmatch(parts[2]) is None:
            raise invalid_token()
        try:
            finite = math.isfinite(float(parts[1]))
        except ValueError:
            finite = False
        if not finite:
            raise invalid_token()
        return parts[1], parts[2]


# --- filters. Source: "Filter", "Find secrets in AWS Secrets Manager".


def _filter(given: Mapping[str, Any]) -> Filter:
    """Any of the values must match, of those that are negated with an exclamation mark none."""
    if "Key" not in given or not given.get("Values"):
        raise invalid_parameter("You must provide both a Key and Values for each filter.")
    matches = _MATCHES[given["Key"]]
    wanted = [value for value in given["Values"] if not value.startswith("!")]
    unwanted = [value[1:] for value in given["Values"] if value.startswith("!")]

    def holds(row: SecretRow) -> bool:
        if any(matches(row, value) for value in unwanted):
            return False
        return not wanted or any(matches(row, value) for value in wanted)

    return holds


def _prefix(attributes: Callable[[SecretRow], Iterable[str]]) -> Callable[[SecretRow, str], bool]:
    return lambda row, value: any(each.startswith(value) for each in attributes(row))


def _in_description(row: SecretRow, value: str) -> bool:
    """From the beginning of any of its words."""
    text, wanted = row.description.lower(), value.lower()
    return text.startswith(wanted) or f" {wanted}" in text


def _everywhere(row: SecretRow, value: str) -> bool:
    attributes = [row.name, row.description, row.owner, row.primary_region, *row.tags, *row.tags.values()]
    text = "\n".join(attributes).lower()
    return all(word in text for word in value.lower().split())


_MATCHES: Mapping[str, Callable[[SecretRow, str], bool]] = {
    "name": _prefix(lambda row: (row.name,)),
    "description": _in_description,
    "tag-key": _prefix(lambda row: row.tags),
    "tag-value": _prefix(lambda row: row.tags.values()),
    "primary-region": _prefix(lambda row: (row.primary_region,) if row.primary_region else ()),
    "owning-service": _prefix(lambda row: (row.owner,) if row.owner else ()),
    "all": _everywhere,
}


@secretsmanager.ListSecrets.reads(account_wide)
def list_secrets(
    call: Call, req: secretsmanager.ListSecretsRequest, account: AccountWide
) -> secretsmanager.ListSecretsResponse:
    """The account's secrets in the Region, without those that are marked for deletion unless these are asked for."""
    found, more = Listing(call, "ListSecrets", req, most=100).page()
    entries: Sequence[Any] = [details(entry.row, entry.accessed, listed=True) for entry in found]
    return cast("secretsmanager.ListSecretsResponse", {"SecretList": entries, **more})
