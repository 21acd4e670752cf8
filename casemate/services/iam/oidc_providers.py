"""OpenID Connect identity providers: Create-, Get-, List- and DeleteOpenIDConnectProvider, their client ids,
thumbprints and tags.

Source: "Create an OpenID Connect (OIDC) identity provider in IAM", "CreateOpenIDConnectProvider".
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from casemate.api import iam
from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.gate.operation import Need
from casemate.gate.resource import Resource
from casemate.services.iam.entities import OidcProvider, unique_id
from casemate.services.iam.quotas import check_room
from casemate.services.iam.refusals import invalid_input, limit_exceeded, no_such_entity
from casemate.services.iam.shapes import tag_list, when
from casemate.services.iam.store import Entities
from casemate.services.iam.tag_rules import merged
from casemate.services.iam.tags import list_tags, tag, untag
from casemate.services.iam.targets import NewTarget, Target, future, new_target, target_of, when_tagged

MOST_CLIENTS = 100
MOST_THUMBPRINTS = 5

_ARN = re.compile(r"arn:aws:iam::([0-9]{12}):oidc-provider/([!-~]{1,255})", re.ASCII)
_HOST = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)*(:[0-9]{1,5})?", re.ASCII | re.IGNORECASE)
_THUMBPRINT = re.compile(r"[0-9a-fA-F]{40}", re.ASCII)


def new_provider(call: Call, request: Mapping[str, Any]) -> NewTarget[OidcProvider]:
    """The provider that is to be made. Raises InvalidInput for a URL that no provider has."""
    return new_target(call, OidcProvider, request, _name_of(request["Url"]))


def named_provider(call: Call, request: Mapping[str, Any]) -> Target[OidcProvider]:
    """OpenIDConnectProviderArn. Raises InvalidInput."""
    arn = request["OpenIDConnectProviderArn"]
    read = _ARN.fullmatch(arn)
    if read is None:
        raise invalid_input(f"Invalid ARN: {arn}")
    owner, name = read.groups()
    found = call.part(Entities).find(call.tx, OidcProvider, owner, name) if owner == call.account else None
    if found is None or found.name != name:
        missing = no_such_entity(f"OpenIDConnect Provider not found for arn {arn}")
        return future(OidcProvider, owner, name, missing=missing)
    return target_of(found)


def provider_if_any(call: Call, request: Mapping[str, Any]) -> Target[OidcProvider]:
    """The same; that there is none is no error."""
    target = named_provider(call, request)
    target.missing = None
    return target


def all_providers(call: Call, request: Mapping[str, Any]) -> Resource:
    """The account's."""
    return Resource(f"arn:aws:iam::{call.account}:oidc-provider/*", call.account)


@iam.CreateOpenIDConnectProvider.writes(
    new_provider,
    Need("iam:CreateOpenIDConnectProvider"),
    Need("iam:TagOpenIDConnectProvider", when_tagged),
)
def create_oidc_provider(
    call: Call, req: iam.CreateOpenIDConnectProviderRequest, target: NewTarget[OidcProvider]
) -> iam.CreateOpenIDConnectProviderResponse:
    """An identity provider that roles can trust."""
    entities = call.part(Entities)
    provider = OidcProvider(
        account=call.account,
        name=_name_of(req["Url"]),
        id=unique_id(OidcProvider.PREFIX),
        created=call.now,
        clients=_clients(req.get("ClientIDList", ())),
        thumbprints=_thumbprints(req.get("ThumbprintList", ())),
        tags=merged({}, req.get("Tags", [])),
    )
    check_room(call, OidcProvider)
    if not entities.add(call.tx, provider):
        raise AwsError("EntityAlreadyExists", f"Provider with url {req['Url']} already exists.")
    return {"OpenIDConnectProviderArn": provider.arn, "Tags": tag_list(provider.tags)}


@iam.GetOpenIDConnectProvider.reads(named_provider)
def get_oidc_provider(
    call: Call, req: iam.GetOpenIDConnectProviderRequest, target: Target[OidcProvider]
) -> iam.GetOpenIDConnectProviderResponse:
    """All of a provider."""
    provider = target.entity
    return {
        "Url": provider.name,
        "ClientIDList": list(provider.clients),
        "ThumbprintList": list(provider.thumbprints),
        "CreateDate": when(provider.created),
        "Tags": tag_list(provider.tags),
    }


@iam.ListOpenIDConnectProviders.reads(all_providers)
def list_oidc_providers(
    call: Call, req: iam.ListOpenIDConnectProvidersRequest, target: Resource
) -> iam.ListOpenIDConnectProvidersResponse:
    """The ARNs of the account's providers."""
    found = call.part(Entities).page(call.tx, OidcProvider, call.account)
    return {"OpenIDConnectProviderList": [{"Arn": provider.arn} for provider in found]}


@iam.DeleteOpenIDConnectProvider.writes(provider_if_any)
def delete_oidc_provider(
    call: Call, req: iam.DeleteOpenIDConnectProviderRequest, target: Target[OidcProvider]
) -> iam.DeleteOpenIDConnectProviderResponse:
    """Delete a provider; that there is none is no error. Roles that trust it are assumed by its tokens no more."""
    if target.found is not None:
        call.part(Entities).remove(call.tx, target.found)
    return {}


@iam.AddClientIDToOpenIDConnectProvider.writes(named_provider)
def add_client_id(
    call: Call, req: iam.AddClientIDToOpenIDConnectProviderRequest, target: Target[OidcProvider]
) -> iam.AddClientIDToOpenIDConnectProviderResponse:
    """Let a provider's tokens be for another audience."""
    provider = target.entity
    clients = _clients([*provider.clients, req["ClientID"]])
    call.part(Entities).save(call.tx, replace(provider, clients=clients))
    return {}


@iam.RemoveClientIDFromOpenIDConnectProvider.writes(named_provider)
def remove_client_id(
    call: Call, req: iam.RemoveClientIDFromOpenIDConnectProviderRequest, target: Target[OidcProvider]
) -> iam.RemoveClientIDFromOpenIDConnectProviderResponse:
    """Refuse a provider's tokens for an audience; one that was none is no error."""
    provider = target.entity
    clients = [each for each in provider.clients if each != req["ClientID"]]
    call.part(Entities).save(call.tx, replace(provider, clients=clients))
    return {}


@iam.UpdateOpenIDConnectProviderThumbprint.writes(named_provider)
def update_thumbprints(
    call: Call, req: iam.UpdateOpenIDConnectProviderThumbprintRequest, target: Target[OidcProvider]
) -> iam.UpdateOpenIDConnectProviderThumbprintResponse:
    """Put other thumbprints in place of a provider's."""
    thumbprints = _thumbprints(req["ThumbprintList"])
    call.part(Entities).save(call.tx, replace(target.entity, thumbprints=thumbprints))
    return {}


@iam.TagOpenIDConnectProvider.writes(named_provider)
def tag_oidc_provider(
    call: Call, req: iam.TagOpenIDConnectProviderRequest, target: Target[OidcProvider]
) -> iam.TagOpenIDConnectProviderResponse:
    """Add tags to a provider, or replace those of the same keys."""
    tag(call, req, target.entity)
    return {}


@iam.UntagOpenIDConnectProvider.writes(named_provider)
def untag_oidc_provider(
    call: Call, req: iam.UntagOpenIDConnectProviderRequest, target: Target[OidcProvider]
) -> iam.UntagOpenIDConnectProviderResponse:
    """Remove tags from a provider; keys that it does not have are no error."""
    untag(call, req, target.entity)
    return {}


@iam.ListOpenIDConnectProviderTags.reads(named_provider)
def list_oidc_provider_tags(
    call: Call, req: iam.ListOpenIDConnectProviderTagsRequest, target: Target[OidcProvider]
) -> iam.ListOpenIDConnectProviderTagsResponse:
    """A provider's tags by key."""
    found: iam.ListOpenIDConnectProviderTagsResponse = list_tags(call, req, target.entity)
    return found


def _name_of(url: str) -> str:
    """A provider's name: its URL without https:// and a slash at the end. Raises InvalidInput."""
    scheme, separator, name = url.partition("://")
    if scheme.lower() != "https" or not separator:
        raise invalid_input("Invalid Open ID Connect Provider URL")
    try:
        parts = urlsplit(url)
        plain = not (parts.query or parts.fragment or "?" in url or "#" in url or "@" in parts.netloc)
    except ValueError:
        plain = False
    if not plain or not _HOST.fullmatch(name.partition("/")[0]) or not re.fullmatch(r"[!-~]+", name):
        raise invalid_input("Invalid Open ID Connect Provider URL")
    return name.rstrip("/")


def _clients(given: Sequence[str]) -> list[str]:
    """Client ids, each once. Raises LimitExceeded."""
    clients = list(dict.fromkeys(given))
    if len(clients) > MOST_CLIENTS:
        raise limit_exceeded("ClientIdsPerOpenIdConnectProvider", MOST_CLIENTS)
    return clients


def _thumbprints(given: Sequence[str]) -> list[str]:
    """Thumbprints in lower case. Raises InvalidInput."""
    if len(given) > MOST_THUMBPRINTS:
        raise invalid_input(f"Thumbprint list must contain fewer than {MOST_THUMBPRINTS} entries.")
    for thumbprint in given:
        if not _THUMBPRINT.fullmatch(thumbprint):
            raise invalid_input("Invalid thumbprint")
    return [thumbprint.lower() for thumbprint in given]
