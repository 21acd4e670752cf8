"""SAML identity providers: Create-, Update-, Get-, List- and DeleteSAMLProvider, and their tags.

Source: "Create a SAML identity provider in IAM", "CreateSAMLProvider".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from casemate.api import iam
from casemate.engine.saml.documents import SamlError, is_available
from casemate.engine.saml.metadata import read_metadata
from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.gate.operation import Need
from casemate.gate.resource import Resource
from casemate.services.iam.entities import SamlProvider, unique_id
from casemate.services.iam.quotas import check_room
from casemate.services.iam.refusals import invalid_input, no_such_entity
from casemate.services.iam.shapes import tag_list, when
from casemate.services.iam.store import Entities
from casemate.services.iam.tag_rules import merged
from casemate.services.iam.tags import list_tags, tag, untag
from casemate.services.iam.targets import NewTarget, Target, future, new_target, target_of, when_tagged

_VALID = 100 * 365 * 86_400
"""Seconds: a provider does not expire in anybody's time, and AWS says so by a date."""

_ARN = re.compile(r"arn:aws:iam::([0-9]{12}):saml-provider/([\w.-]{1,128})", re.ASCII)


def new_provider(call: Call, request: Mapping[str, Any]) -> NewTarget[SamlProvider]:
    """The provider that is to be made."""
    return new_target(call, SamlProvider, request, request["Name"])


def named_provider(call: Call, request: Mapping[str, Any]) -> Target[SamlProvider]:
    """SAMLProviderArn. Raises InvalidInput."""
    arn = request["SAMLProviderArn"]
    read = _ARN.fullmatch(arn)
    if read is None:
        raise invalid_input(f"Invalid ARN: {arn}")
    owner, name = read.groups()
    found = call.part(Entities).find(call.tx, SamlProvider, owner, name) if owner == call.account else None
    if found is None or found.name != name:
        return future(SamlProvider, owner, name, missing=no_such_entity(f"Manifest not found for arn {arn}"))
    return target_of(found)


def all_providers(call: Call, request: Mapping[str, Any]) -> Resource:
    """The account's."""
    return Resource(f"arn:aws:iam::{call.account}:saml-provider/*", call.account)


@iam.CreateSAMLProvider.writes(
    new_provider, Need("iam:CreateSAMLProvider"), Need("iam:TagSAMLProvider", when_tagged)
)
def create_saml_provider(
    call: Call, req: iam.CreateSAMLProviderRequest, target: NewTarget[SamlProvider]
) -> iam.CreateSAMLProviderResponse:
    """An identity provider that roles can trust, by its metadata document."""
    entities = call.part(Entities)
    provider = SamlProvider(
        account=call.account,
        name=req["Name"],
        id=unique_id(SamlProvider.PREFIX),
        created=call.now,
        metadata=_metadata(req),
        tags=merged({}, req.get("Tags", [])),
    )
    check_room(call, SamlProvider)
    if not entities.add(call.tx, provider):
        raise AwsError("EntityAlreadyExists", f"SAMLProvider with name {req['Name']} already exists.")
    return {"SAMLProviderArn": provider.arn, "Tags": tag_list(provider.tags)}


@iam.UpdateSAMLProvider.writes(named_provider)
def update_saml_provider(
    call: Call, req: iam.UpdateSAMLProviderRequest, target: Target[SamlProvider]
) -> iam.UpdateSAMLProviderResponse:
    """Put another metadata document in place of a provider's."""
    metadata = _metadata(req)
    call.part(Entities).save(call.tx, replace(target.entity, metadata=metadata))
    return {"SAMLProviderArn": target.arn}


@iam.GetSAMLProvider.reads(named_provider)
def get_saml_provider(
    call: Call, req: iam.GetSAMLProviderRequest, target: Target[SamlProvider]
) -> iam.GetSAMLProviderResponse:
    """All of a provider."""
    provider = target.entity
    return {
        "SAMLProviderUUID": provider.id,
        "SAMLMetadataDocument": provider.metadata,
        "CreateDate": when(provider.created),
        "ValidUntil": when(provider.created + _VALID),
        "Tags": tag_list(provider.tags),
    }


@iam.ListSAMLProviders.reads(all_providers)
def list_saml_providers(
    call: Call, req: iam.ListSAMLProvidersRequest, target: Resource
) -> iam.ListSAMLProvidersResponse:
    """The account's providers by name."""
    found = call.part(Entities).page(call.tx, SamlProvider, call.account)
    return {
        "SAMLProviderList": [
            {
                "Arn": provider.arn,
                "ValidUntil": when(provider.created + _VALID),
                "CreateDate": when(provider.created),
            }
            for provider in found
        ]
    }


@iam.DeleteSAMLProvider.writes(named_provider)
def delete_saml_provider(
    call: Call, req: iam.DeleteSAMLProviderRequest, target: Target[SamlProvider]
) -> iam.DeleteSAMLProviderResponse:
    """Delete a provider. Roles that trust it are assumed by its assertions no more."""
    call.part(Entities).remove(call.tx, target.entity)
    return {}


@iam.TagSAMLProvider.writes(named_provider)
def tag_saml_provider(
    call: Call, req: iam.TagSAMLProviderRequest, target: Target[SamlProvider]
) -> iam.TagSAMLProviderResponse:
    """Add tags to a provider, or replace those of the same keys."""
    tag(call, req, target.entity)
    return {}


@iam.UntagSAMLProvider.writes(named_provider)
def untag_saml_provider(
    call: Call, req: iam.UntagSAMLProviderRequest, target: Target[SamlProvider]
) -> iam.UntagSAMLProviderResponse:
    """Remove tags from a provider; keys that it does not have are no error."""
    untag(call, req, target.entity)
    return {}


@iam.ListSAMLProviderTags.reads(named_provider)
def list_saml_provider_tags(
    call: Call, req: iam.ListSAMLProviderTagsRequest, target: Target[SamlProvider]
) -> iam.ListSAMLProviderTagsResponse:
    """A provider's tags by key."""
    found: iam.ListSAMLProviderTagsResponse = list_tags(call, req, target.entity)
    return found


def _metadata(request: Mapping[str, Any]) -> str:
    """A request's metadata document, which must be one. Raises InvalidInput, NotImplemented."""
    if not is_available():
        raise AwsError("NotImplemented", "SAML is served where Casemate's extra saml is installed.", 501)
    if any(name in request for name in ("AssertionEncryptionMode", "AddPrivateKey", "RemovePrivateKey")):
        raise AwsError("NotImplemented", "Encrypted assertions are not served by Casemate.", 501)
    document: str = request.get("SAMLMetadataDocument", "")
    try:
        read_metadata(document.encode())
    except SamlError as error:
        raise invalid_input(error.text) from None
    return document
