"""How a connection authorises: what of its parameters is secret, what is shown, and how an update changes them.

All parameters of a connection lie in its secret, as a JSON object under the names that AWS uses there; what of them
is no secret also lies in the connection itself, to be shown. Source: "Connections for HTTP endpoint targets in Amazon
EventBridge", "CreateConnection".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from casemate.services.events.refusals import invalid, not_served

BASIC: Final = "BASIC"
API_KEY: Final = "API_KEY"
OAUTH: Final = "OAUTH_CLIENT_CREDENTIALS"

_MEMBERS: Final = {
    BASIC: "BasicAuthParameters",
    API_KEY: "ApiKeyAuthParameters",
    OAUTH: "OAuthParameters",
}
_NAMES: Final = {
    "Username": "username",
    "Password": "password",
    "ApiKeyName": "api_key_name",
    "ApiKeyValue": "api_key_value",
    "ClientID": "client_id",
    "ClientSecret": "client_secret",
    "AuthorizationEndpoint": "authorization_endpoint",
    "HttpMethod": "http_method",
}
_NEEDED: Final = {
    BASIC: ("Username", "Password"),
    API_KEY: ("ApiKeyName", "ApiKeyValue"),
    OAUTH: ("ClientID", "ClientSecret", "AuthorizationEndpoint", "HttpMethod"),
}
_LISTS: Final = {
    "HeaderParameters": "header_parameters",
    "QueryStringParameters": "query_string_parameters",
    "BodyParameters": "body_parameters",
}


def merged(kind: str, given: Mapping[str, Any], kept: Mapping[str, Any]) -> dict[str, Any]:
    """The content of the secret: what is given, and else what is kept of the secret that there is ({} where there is
    none). Raises ValidationException, NotImplemented."""
    for other, member in _MEMBERS.items():
        if other != kind and member in given:
            raise invalid(f"{member} is not supported for the authorization type {kind}.")
    if "ConnectivityParameters" in given:
        raise not_served("Connections to private APIs are")
    parameters = dict(given.get(_MEMBERS[kind], {}))
    parameters |= parameters.pop("ClientParameters", {})
    content: dict[str, Any] = {}
    for name in _NEEDED[kind]:
        value = parameters.get(name, kept.get(_NAMES[name]))
        if value is None:
            raise invalid(f"Parameter {name} must be specified for the authorization type {kind}.")
        content[_NAMES[name]] = value
    for member, holder, at in (
        ("InvocationHttpParameters", given, "invocation_http_parameters"),
        ("OAuthHttpParameters", parameters, "oauth_http_parameters"),
    ):
        if at == "oauth_http_parameters" and kind != OAUTH:
            continue
        if member in holder:
            found = _lists(holder[member])
            if found:
                content[at] = found
        elif at in kept:
            content[at] = kept[at]
    return content


def _lists(given: Mapping[str, Any]) -> dict[str, Any]:
    found = {}
    for member, name in _LISTS.items():
        if given.get(member):
            found[name] = [
                {
                    "key": each["Key"],
                    "value": each.get("Value", ""),
                    "is_value_secret": bool(each.get("IsValueSecret", True)),
                }
                for each in given[member]
                if _has_key(each)
            ]
    return found


def _has_key(parameter: Mapping[str, Any]) -> bool:
    if not parameter.get("Key"):
        raise invalid("A parameter of a connection must have a Key.")
    return True


def shown(kind: str, content: Mapping[str, Any]) -> dict[str, Any]:
    """AuthParameters as DescribeConnection shows them: without what is secret."""
    found: dict[str, Any] = {}
    if kind == BASIC:
        found["BasicAuthParameters"] = {"Username": content["username"]}
    elif kind == API_KEY:
        found["ApiKeyAuthParameters"] = {"ApiKeyName": content["api_key_name"]}
    else:
        parameters = {
            "ClientParameters": {"ClientID": content["client_id"]},
            "AuthorizationEndpoint": content["authorization_endpoint"],
            "HttpMethod": content["http_method"],
        }
        if "oauth_http_parameters" in content:
            parameters["OAuthHttpParameters"] = _shown_lists(content["oauth_http_parameters"])
        found["OAuthParameters"] = parameters
    if "invocation_http_parameters" in content:
        found["InvocationHttpParameters"] = _shown_lists(content["invocation_http_parameters"])
    return found


def _shown_lists(content: Mapping[str, Any]) -> dict[str, Any]:
    return {
        member: [
            {"Key": each["key"], "IsValueSecret": each["is_value_secret"]}
            | ({} if each["is_value_secret"] else {"Value": each["value"]})
            for each in content[name]
        ]
        for member, name in _LISTS.items()
        if name in content
    }
