"""Uploads by a browser's form: POST to a bucket, a file with fields that a policy may bind, signed by whoever made
the form. Source: "POST Object", "Browser-Based Uploads Using POST".
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote, unquote, urlencode, urlsplit

from casemate import wire
from casemate.errors import AwsError
from casemate.gate.authenticate import authenticate_form
from casemate.gate.body import Body
from casemate.gate.header_rules import may_be_header
from casemate.gate.identity import ANONYMOUS, Identity
from casemate.gate.operation import Operation
from casemate.gate.router import Route
from casemate.services.s3 import post_policy
from casemate.services.s3.bodies import INLINE
from casemate.services.s3.form import Form, boundary_of, read_form
from casemate.services.s3.object_targets import NEEDS_OF_NEW, NewObject, new_object
from casemate.services.s3.post_policy import PostPolicy
from casemate.services.s3.putting import put
from casemate.services.s3.refusals import invalid_argument, malformed_xml
from casemate.wire.xml_reader import load
from casemate.wire.xml_writer import escape

if TYPE_CHECKING:
    from casemate.api import s3
    from casemate.gate.call import Call
    from casemate.wire import Reply

PostObject: Operation[Any, Any] = Operation("s3", "PostObject")
"""Not in AWS's model: no SDK sends it. What a handler gets is PutObject's request, with the form's own members."""

_FORM, _POLICY, _STATUS, _REDIRECT, _SENT = "form", "policy", "status", "redirect", "sent"
_SIGNED = ("x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-signature")
_NOT_HEADERS = frozenset(
    {
        *("key", "policy", "file", "tagging", "success_action_redirect", "redirect", "success_action_status"),
        *("x-amz-security-token", *_SIGNED),
    }
)
_HEADERS_OF = {"acl": "x-amz-acl"}


class FormBody(Body):
    """A form's file. size: more than what is held in the database, until it has come and is known."""

    __slots__ = ("_pieces", "_policy")

    def __init__(self, pieces: Iterable[bytes], policy: PostPolicy | None, size: int) -> None:
        self._pieces = pieces
        self._policy = policy
        self.size = size
        self.trailers = {}

    def __iter__(self) -> Iterator[bytes]:
        size = 0
        for piece in self._pieces:
            size += len(piece)
            post_policy.check_size(self._policy, size, whole=False)
            yield piece
        post_policy.check_size(self._policy, size, whole=True)
        self.size = size


class FormCodec:
    """How PostObject's answers are written; its request is the path, the fields follow (``claimant``)."""

    def parse(
        self,
        method: str,  # noqa: ARG002
        path: bytes,
        query: bytes,  # noqa: ARG002
        headers: Mapping[bytes, bytes],  # noqa: ARG002
        body: bytes,  # noqa: ARG002
    ) -> dict[str, Any]:
        name, _, rest = path[1:].partition(b"/")
        if rest:
            raise AwsError(
                "MethodNotAllowed", "The specified method is not allowed against this resource.", 405
            )
        return {"Bucket": unquote(name.decode("latin-1"))}

    def reply(self, result: Mapping[str, Any], request_id: str) -> Reply:
        sent: Mapping[str, str] = result[_SENT]
        members = {name: value for name, value in result.items() if name not in (_SENT, _STATUS, _REDIRECT)}
        reply = _put_codec().reply(members, request_id)
        redirect = _redirection(result[_REDIRECT], sent)
        if redirect:
            return reply._replace(status=303, head=reply.head + f"Location: {redirect}\r\n".encode())
        where = f"/{quote(sent['bucket'])}/{quote(sent['key'], safe='/')}"
        head = reply.head + f"Location: {where}\r\n".encode()
        if result[_STATUS] != 201:
            return reply._replace(status=result[_STATUS], head=head)
        document = (
            '<?xml version="1.0" encoding="UTF-8"?>\n<PostResponse>'
            f"<Location>{escape(where)}</Location><Bucket>{escape(sent['bucket'])}</Bucket>"
            f"<Key>{escape(sent['key'])}</Key><ETag>{escape(sent['etag'])}</ETag></PostResponse>"
        )
        return reply._replace(
            status=201, head=head + b"Content-Type: application/xml\r\n", body=document.encode()
        )

    def error(self, error: AwsError, request_id: str) -> Reply:
        return wire.error_reply("s3", "rest-xml", error, request_id)

    def redact(self, params: Mapping[str, Any]) -> dict[str, Any]:
        return _put_codec().redact({name: value for name, value in params.items() if name[:1].isupper()})

    def redact_result(self, result: Mapping[str, Any]) -> dict[str, Any]:
        return _put_codec().redact_result(
            {name: value for name, value in result.items() if name[:1].isupper()}
        )


def _put_codec() -> wire.OperationCodec:
    return wire.codec("s3", "PutObject", "rest-xml")


def _redirection(wanted: str, sent: Mapping[str, str]) -> str:
    """Where the browser is sent; '' for a URL that is none."""
    if not wanted.startswith(("http://", "https://")) or any(
        ord(each) <= 32 or ord(each) > 126 for each in wanted
    ):
        return ""
    try:
        has_query = bool(urlsplit(wanted).query)
    except ValueError:
        return ""
    return f"{wanted}{'&' if has_query else '?'}{urlencode(sent)}"


# --- who, and what


def claimant(call: Call, request: dict[str, Any]) -> Identity:
    """Who signed the form, nobody where it is not signed; and PutObject's members out of its fields, which the policy
    must allow. Raises AwsError, and Before for a form that has not come."""
    form = _form(call)
    fields = form.fields
    assert call.route is not None
    identity, policy = ANONYMOUS, None
    if "policy" in fields or any(name in fields for name in _SIGNED):
        for name in ("policy", *_SIGNED):
            if name not in fields:
                raise invalid_argument(
                    f"Bucket POST must contain a field named '{name}'.  If it is specified, please check the order "
                    "of the fields.",
                    name,
                    "",
                )
        identity = authenticate_form(call, call.route, fields)
        policy = post_policy.parse(fields["policy"])
        post_policy.check(policy, fields, request["Bucket"], time.time())
    request.update(_members(request["Bucket"], form))
    request[_FORM], request[_POLICY] = form, policy
    return identity


def _form(call: Call) -> Form:
    boundary = boundary_of(call.exchange.headers.get(b"content-type", b"").decode("latin-1"))
    arriving = call.arriving
    if arriving is None:
        form = read_form((call.exchange.body,), boundary)
        # The request may start again, and the file is read again then.
        return form._replace(file=(b"".join(form.file),))
    return call.before("form", lambda: read_form(arriving.pieces(), boundary), client=True)


def _members(bucket: str, form: Form) -> dict[str, Any]:
    """PutObject's members, as its own codec reads and checks them. Raises AwsError."""
    fields = form.fields
    key = fields.get("key", "").replace("${filename}", form.filename)
    if not key:
        raise invalid_argument(
            "Bucket POST must contain a field named 'key'.  If it is specified, please check the order of the "
            "fields.",
            "key",
            "",
        )
    headers = {
        _HEADERS_OF.get(name, name).encode(): value.encode()
        for name, value in fields.items()
        if name not in _NOT_HEADERS and not name.startswith("x-ignore-")
    }
    for name, value in headers.items():
        if not may_be_header(name, value):
            raise invalid_argument(
                "A field of the form has a character that headers cannot carry.",
                name.decode("utf-8", "replace"),
            )
    path = f"/{quote(bucket, safe='')}/{quote(key, safe='')}".encode()
    members = _put_codec().parse("PUT", path, b"", headers, b"")
    if "tagging" in fields:
        members["Tagging"] = _tagging(fields["tagging"])
    return members


def _tagging(document: str) -> str:
    """The tags of a Tagging document in the form of the header x-amz-tagging. Raises MalformedXML."""
    codec = wire.codec("s3", "PutObjectTagging", "rest-xml")
    try:
        load(document.encode())
        found = codec.parse("PUT", b"/bucket/key", b"tagging", {}, document.encode())
    except (AwsError, ValueError):
        raise malformed_xml() from None
    return urlencode([(tag["Key"], tag["Value"]) for tag in found["Tagging"]["TagSet"]])


@PostObject.streams(new_object, *NEEDS_OF_NEW, proof=claimant)
def post_object(call: Call, req: dict[str, Any], target: NewObject) -> dict[str, Any]:
    """Make an object of a browser's form."""
    form, policy = cast("Form", req[_FORM]), cast("PostPolicy | None", req[_POLICY])

    def body() -> FormBody:
        if call.arriving is None:
            return FormBody(form.file, policy, sum(map(len, form.file)))
        return FormBody(form.file, policy, INLINE + 1)

    request = {name: value for name, value in req.items() if name[:1].isupper()}
    answer = put(call, cast("s3.PutObjectRequest", request), target, body)
    fields = form.fields
    status = fields.get("success_action_status", "")
    return {
        **answer,
        _SENT: {"bucket": target.bucket.name, "key": target.key, "etag": answer.get("ETag", "")},
        _STATUS: int(status) if status in ("200", "201") else 204,
        _REDIRECT: fields.get("success_action_redirect", fields.get("redirect", "")),
    }


ROUTE = Route(PostObject, FormCodec(), "s3", "s3", "s3.amazonaws.com")
"""For the gate: where forms go."""
