"""The requests that API destinations and authorization servers are sent, put together.

Source: "API destinations as targets in Amazon EventBridge", "HttpParameters".
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl, quote, urlencode

from casemate.engine.egress.exchange import Url, is_header, read_url
from casemate.engine.egress.hosts import Hosts, read_address
from casemate.engine.events.transform import by_path, dumps
from casemate.services.events.authorization import API_KEY, BASIC, OAUTH

AGENT: Final = "Amazon/EventBridge/ApiDestinations"
_FIXED: Final = frozenset(
    {
        *("a-im", "accept-charset", "accept-datetime", "accept-encoding", "access-control-request-headers"),
        *(
            "access-control-request-method",
            "cache-control",
            "connection",
            "content-encoding",
            "content-length",
        ),
        *("date", "expect", "forwarded", "from", "host", "http2-settings", "if-match", "if-modified-since"),
        *("if-none-match", "if-range", "if-unmodified-since", "max-forwards", "origin", "pragma"),
        *("proxy-authorization", "range", "referer", "te", "trailer", "transfer-encoding", "user-agent"),
        *("upgrade", "via", "warning"),
    }
)
"""Headers that nobody sets."""
_BODILESS: Final = ("GET", "HEAD", "OPTIONS")


class Request(NamedTuple):
    method: str
    url: Url
    headers: Mapping[str, str]
    body: bytes | None


def wrong_endpoint(endpoint: str, hosts: Hosts) -> str:
    """Why requests cannot go to an endpoint, '' where they may as far as its name tells. Wildcards stand in paths.
    Without TLS only this machine is spoken to."""
    try:
        url = read_url(endpoint)
    except ValueError:
        return "it is no URL"
    if hosts.refuses(url.host):
        return "the server is not configured to reach this host"
    if not url.secure and not _is_own(url.host):
        return "it must be an HTTPS endpoint"
    if "*" in endpoint.partition("://")[2].partition("/")[0] or "#" in endpoint:
        return "it has a wildcard where none can be, or a fragment"
    return ""


def _is_own(host: str) -> bool:
    address = read_address(host)
    return host == "localhost" if address is None else address.is_loopback


def of_destination(
    endpoint: str,
    method: str,
    given: Mapping[str, Any],
    event: Mapping[str, Any],
    text: str,
    kind: str,
    secret: Mapping[str, Any],
    token: str,
) -> Request:
    """What an API destination is sent. given: the target's HttpParameters; text: what the target is given of the
    event; kind, secret: the connection's authorization; token: of OAuth. Raises ValueError for what cannot be."""
    url = read_url(_filled(endpoint, [_value(each, event) for each in given.get("PathParameterValues", ())]))
    query = {name: _value(each, event) for name, each in given.get("QueryStringParameters", {}).items()}
    headers = {"Content-Type": "application/json; charset=utf-8"}
    for name, value in given.get("HeaderParameters", {}).items():
        _set(headers, name, _value(value, event))
    own = secret.get("invocation_http_parameters", {})
    # What the connection says goes before what a rule says: it is where the credentials are.
    for each in own.get("header_parameters", ()):
        _set(headers, each["key"], each["value"])
    query |= {each["key"]: each["value"] for each in own.get("query_string_parameters", ())}
    if kind == BASIC:
        who = f"{secret['username']}:{secret['password']}"
        _set(headers, "Authorization", f"Basic {b64encode(who.encode()).decode()}")
    elif kind == API_KEY:
        _set(headers, secret["api_key_name"], secret["api_key_value"])
    elif kind == OAUTH:
        _set(headers, "Authorization", f"Bearer {token}")
    headers["User-Agent"] = AGENT
    body = _with(text, own.get("body_parameters", ())).encode()
    return Request(method, _with_query(url, query), headers, None if method in _BODILESS else body)


def of_authorization(secret: Mapping[str, Any]) -> Request:
    """What an authorization server is asked for a token (RFC 6749, client credentials). Raises ValueError."""
    more = secret.get("oauth_http_parameters", {})
    method: str = secret["http_method"]
    fields = {
        "grant_type": "client_credentials",
        "client_id": secret["client_id"],
        "client_secret": secret["client_secret"],
        **{each["key"]: each["value"] for each in more.get("body_parameters", ())},
    }
    query = {each["key"]: each["value"] for each in more.get("query_string_parameters", ())}
    headers = {"Accept": "application/json", "User-Agent": AGENT}
    body = None
    if method == "GET":
        query = {**fields, **query}
    else:
        headers["Content-Type"] = "application/x-www-form-urlencoded; charset=utf-8"
        body = urlencode(fields).encode()
    for each in more.get("header_parameters", ()):
        _set(headers, each["key"], each["value"])
    return Request(method, _with_query(read_url(secret["authorization_endpoint"]), query), headers, body)


def _filled(endpoint: str, values: list[str]) -> str:
    """An endpoint with its wildcards replaced, in order. Raises ValueError where one is left."""
    parts = endpoint.split("*")
    if len(parts) - 1 > len(values):
        raise ValueError("a wildcard of the endpoint has no value")
    filled = parts[0]
    for part, value in zip(parts[1:], values, strict=False):
        if value in ("", ".", ".."):
            raise ValueError("a wildcard of the endpoint stands for nothing, or for another path")
        filled += quote(value, safe="") + part
    return filled


def _value(text: str, event: Mapping[str, Any]) -> str:
    """A parameter of a target: what it says or, of a path, what that finds in the event."""
    if not text.startswith("$."):
        return text
    found = by_path(event, text)
    if found is None:
        return ""
    value = json.loads(found)
    return value if isinstance(value, str) else found


def _set(headers: dict[str, str], name: str, value: str) -> None:
    """Put a header in place of one of its name. Raises ValueError for what is none."""
    folded = name.lower()
    if folded in _FIXED:
        return
    if not is_header(name, value):
        raise ValueError("a header cannot be sent")
    for each in [each for each in headers if each.lower() == folded]:
        del headers[each]
    headers[name] = value


def _with_query(url: Url, query: Mapping[str, str]) -> Url:
    if not query:
        return url
    path, _, own = url.target.partition("?")
    pairs = [pair for pair in parse_qsl(own, keep_blank_values=True) if pair[0] not in query]
    return url._replace(target=f"{path}?{urlencode([*pairs, *query.items()])}")


def _with(text: str, parameters: Iterable[Mapping[str, Any]]) -> str:
    """A body that is a JSON object, with the connection's members."""
    members = {each["key"]: each["value"] for each in parameters}
    if not members:
        return text
    try:
        found = json.loads(text)
    except ValueError:
        return text
    return dumps({**found, **members}) if isinstance(found, dict) else text
