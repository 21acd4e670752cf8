"""UploadServerCertificate, GetServerCertificate, ListServerCertificates, UpdateServerCertificate,
DeleteServerCertificate, TagServerCertificate, UntagServerCertificate, ListServerCertificateTags.

The private key is sealed, and no operation shows it. Source: "Manage server certificates in IAM".
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import replace
from typing import Any, NamedTuple

from casemate.api import iam
from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.gate.operation import Need
from casemate.gate.resource import Resource
from casemate.services.iam.entities import ServerCertificate, unique_id
from casemate.services.iam.pages import Page
from casemate.services.iam.quotas import check_room
from casemate.services.iam.refusals import exists
from casemate.services.iam.shapes import tag_list, when
from casemate.services.iam.store import Entities
from casemate.services.iam.tag_rules import merged
from casemate.services.iam.tags import list_tags, tag, untag
from casemate.services.iam.targets import (
    NewTarget,
    Renaming,
    Target,
    all_certificates,
    named_certificate,
    new_certificate,
    renamed_certificate,
    when_tagged,
)

_PURPOSE = "iam server certificate key"


class _Checked(NamedTuple):
    """expires: seconds since the epoch."""

    expires: float


def _malformed(text: str) -> AwsError:
    return AwsError("MalformedCertificate", text)


def _check(body: str, key: str, chain: str) -> _Checked:
    """Raises MalformedCertificate, KeyPairMismatch."""
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

    try:
        (certificate,) = x509.load_pem_x509_certificates(body.encode())
        above = x509.load_pem_x509_certificates(chain.encode()) if chain else []
    except (ValueError, UnsupportedAlgorithm):
        raise _malformed(
            "Unable to parse certificate. Please ensure the certificate is in PEM format."
        ) from None
    try:
        private = load_pem_private_key(key.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise _malformed(
            "Unable to parse key; the body must be a single, unencrypted private key in PEM format."
        ) from None

    def spki(public: Any) -> bytes:
        encoded: bytes = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return encoded

    if spki(private.public_key()) != spki(certificate.public_key()):
        raise AwsError("KeyPairMismatch", "The public key certificate and the private key do not match.")
    below = certificate
    for issuer in above:
        try:
            below.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
            raise _malformed(
                "Unable to validate certificate chain. The certificate chain must start with the immediate signing "
                "certificate, followed by any intermediaries in order."
            ) from None
        below = issuer
    return _Checked(certificate.not_valid_after_utc.timestamp())


def _metadata(found: ServerCertificate) -> iam.ServerCertificateMetadata:
    return {
        "Path": found.path,
        "ServerCertificateName": found.name,
        "ServerCertificateId": found.id,
        "Arn": found.arn,
        "UploadDate": when(found.created),
        "Expiration": when(found.expires),
    }


@iam.UploadServerCertificate.writes(
    new_certificate, Need("iam:UploadServerCertificate"), Need("iam:TagServerCertificate", when_tagged)
)
def upload_server_certificate(
    call: Call, req: iam.UploadServerCertificateRequest, target: NewTarget[ServerCertificate]
) -> iam.UploadServerCertificateResponse:
    """A certificate with its private key, which must belong to it, and the chain above it."""
    entities, name = call.part(Entities), req["ServerCertificateName"]
    body, chain = req["CertificateBody"], req.get("CertificateChain", "")
    # Slow enough not to be done while others wait for the database.
    checked = call.before("certificate", lambda: _check(body, req["PrivateKey"], chain))
    if entities.find(call.tx, ServerCertificate, call.account, name) is not None:
        raise exists(ServerCertificate, name)
    check_room(call, ServerCertificate)
    unique = unique_id(ServerCertificate.PREFIX)
    wrapped = entities.keyring.account_key(call.account, call.tx).wrap(
        req["PrivateKey"].encode(), _PURPOSE, unique
    )
    made = ServerCertificate(
        account=call.account,
        name=name,
        path=req.get("Path", "/"),
        id=unique,
        created=call.now,
        tags=merged({}, req.get("Tags", [])),
        body=body,
        chain=chain,
        key=b64encode(wrapped).decode(),
        expires=checked.expires,
    )
    entities.add(call.tx, made)
    answer: iam.UploadServerCertificateResponse = {"ServerCertificateMetadata": _metadata(made)}
    if made.tags:
        answer["Tags"] = tag_list(made.tags)
    return answer


@iam.GetServerCertificate.reads(named_certificate)
def get_server_certificate(
    call: Call, req: iam.GetServerCertificateRequest, target: Target[ServerCertificate]
) -> iam.GetServerCertificateResponse:
    """A certificate with its chain, without its private key."""
    found = target.entity
    shape: iam.ServerCertificate = {
        "ServerCertificateMetadata": _metadata(found),
        "CertificateBody": found.body,
    }
    if found.chain:
        shape["CertificateChain"] = found.chain
    if found.tags:
        shape["Tags"] = tag_list(found.tags)
    return {"ServerCertificate": shape}


@iam.ListServerCertificates.reads(all_certificates)
def list_server_certificates(
    call: Call, req: iam.ListServerCertificatesRequest, target: Resource
) -> iam.ListServerCertificatesResponse:
    """The account's certificates by name, those under a path."""
    page = Page(call, req)
    found = call.part(Entities).page(
        call.tx, ServerCertificate, call.account, page.after, page.limit + 1, req.get("PathPrefix", "/")
    )
    shown, more = page.cut(found, lambda certificate: certificate.handle)
    return {"ServerCertificateMetadataList": [_metadata(each) for each in shown], **more}  # type: ignore[typeddict-item]


@iam.UpdateServerCertificate.writes(
    renamed_certificate,
    Need("iam:UpdateServerCertificate", lambda renaming: renaming.target),
    Need("iam:UpdateServerCertificate", lambda renaming: renaming.becomes),
)
def update_server_certificate(
    call: Call, req: iam.UpdateServerCertificateRequest, renaming: Renaming[ServerCertificate]
) -> iam.UpdateServerCertificateResponse:
    """Another name or path."""
    found, entities = renaming.target.entity, call.part(Entities)
    name = req.get("NewServerCertificateName", found.name)
    taken = entities.find(call.tx, ServerCertificate, call.account, name)
    if taken is not None and taken.id != found.id:
        raise exists(ServerCertificate, name)
    entities.save(call.tx, replace(found, name=name, path=req.get("NewPath", found.path)))
    return {}


@iam.DeleteServerCertificate.writes(named_certificate)
def delete_server_certificate(
    call: Call, req: iam.DeleteServerCertificateRequest, target: Target[ServerCertificate]
) -> iam.DeleteServerCertificateResponse:
    """Delete a certificate with its private key."""
    call.part(Entities).remove(call.tx, target.entity)
    return {}


@iam.TagServerCertificate.writes(named_certificate)
def tag_server_certificate(
    call: Call, req: iam.TagServerCertificateRequest, target: Target[ServerCertificate]
) -> iam.TagServerCertificateResponse:
    """Add tags to a certificate, or replace those of the same keys."""
    tag(call, req, target.entity)
    return {}


@iam.UntagServerCertificate.writes(named_certificate)
def untag_server_certificate(
    call: Call, req: iam.UntagServerCertificateRequest, target: Target[ServerCertificate]
) -> iam.UntagServerCertificateResponse:
    """Remove tags from a certificate; keys that it does not have are no error."""
    untag(call, req, target.entity)
    return {}


@iam.ListServerCertificateTags.reads(named_certificate)
def list_server_certificate_tags(
    call: Call, req: iam.ListServerCertificateTagsRequest, target: Target[ServerCertificate]
) -> iam.ListServerCertificateTagsResponse:
    """A certificate's tags by key."""
    found: iam.ListServerCertificateTagsResponse = list_tags(call, req, target.entity)
    return found
