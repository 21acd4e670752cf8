"""rest-xml: HTTP bindings and XML bodies. S3, with its own errors and roots, and S3 Control."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Mapping
from functools import cache
from typing import Any

from casemate.errors import AwsError
from casemate.wire import rest
from casemate.wire.models import Operation, Shape, service
from casemate.wire.query_protocol import error_content
from casemate.wire.replies import Parse, Reply, Write, header_line, resolve
from casemate.wire.xml_reader import XmlReaders, load
from casemate.wire.xml_writer import XmlWriters, escape, escape_message, namespace

_XML = b"Content-Type: application/xml\r\n"
_OCTETS = b"Content-Type: binary/octet-stream\r\n"
_TEXT = b"Content-Type: application/json\r\n"
_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'
_S3_NAMESPACE = ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'

# The model does not name the roots of S3's answers; these are those of the "Response Syntax" sections of S3's API
# reference, where they are not the output's or the payload's own name.
_S3_ROOTS: Mapping[str, str] = {
    "CompleteMultipartUpload": "CompleteMultipartUploadResult",
    "CreateMultipartUpload": "InitiateMultipartUploadResult",
    "CreateSession": "CreateSessionResult",
    "DeleteObjects": "DeleteResult",
    "GetBucketAccelerateConfiguration": "AccelerateConfiguration",
    "GetBucketAcl": "AccessControlPolicy",
    "GetBucketCors": "CORSConfiguration",
    "GetBucketLifecycle": "LifecycleConfiguration",
    "GetBucketLifecycleConfiguration": "LifecycleConfiguration",
    "GetBucketLogging": "BucketLoggingStatus",
    "GetBucketNotification": "NotificationConfiguration",
    "GetBucketNotificationConfiguration": "NotificationConfiguration",
    "GetBucketRequestPayment": "RequestPaymentConfiguration",
    "GetBucketTagging": "Tagging",
    "GetBucketVersioning": "VersioningConfiguration",
    "GetBucketWebsite": "WebsiteConfiguration",
    "GetObjectAcl": "AccessControlPolicy",
    "GetObjectAttributes": "GetObjectAttributesResponse",
    "GetObjectTagging": "Tagging",
    "ListBucketAnalyticsConfigurations": "ListBucketAnalyticsConfigurationResult",
    "ListBucketIntelligentTieringConfigurations": "ListBucketIntelligentTieringConfigurationsResult",
    "ListBucketInventoryConfigurations": "ListInventoryConfigurationsResult",
    "ListBucketMetricsConfigurations": "ListMetricsConfigurationsResult",
    "ListBuckets": "ListAllMyBucketsResult",
    "ListDirectoryBuckets": "ListAllMyDirectoryBucketsResult",
    "ListMultipartUploads": "ListMultipartUploadsResult",
    "ListObjectVersions": "ListVersionsResult",
    "ListObjects": "ListBucketResult",
    "ListObjectsV2": "ListBucketResult",
    "ListParts": "ListPartsResult",
}
_HEADERS = frozenset({"Allow", "Content-Range", "ETag", "Last-Modified"})
S3_FAMILY = ("s3", "s3control")


@cache
def _readers(_service_name: str) -> XmlReaders:
    return XmlReaders()


@cache
def _writers(service_name: str) -> XmlWriters:
    return XmlWriters(milliseconds=service_name in S3_FAMILY)


def _s3_request_lines(request_id: str) -> bytes:
    return f"x-amz-request-id: {request_id}\r\nx-amz-id-2: {host_id(request_id)}\r\n".encode()


def _request_lines(request_id: str) -> bytes:
    return header_line("x-amzn-RequestId", request_id)


def host_id(request_id: str) -> str:
    """S3's second, longer request id: opaque, the same for the header and the error document."""
    return b64encode(hashlib.sha256(request_id.encode()).digest()).decode("ascii")


def compile_parse(operation: Operation) -> Parse:
    """The function that reads a request's members. It raises Unreadable."""
    return rest.compile_document_parse(operation, _readers(operation.service.name), load)


def _root(operation: Operation, shape: Shape) -> str:
    """The name of an answer's root element."""
    own = shape.wire_name or shape.name
    return _S3_ROOTS.get(operation.name, own) if operation.service.name == "s3" else own


def compile_reply(operation: Operation) -> Write:
    """The function that writes an answer. It raises TypeError for a member that the model has not."""
    shape = operation.output or Shape.nothing(operation)
    compiler = _writers(operation.service.name)
    s3 = operation.service.name in S3_FAMILY

    def declared(of: Shape) -> str:
        return namespace(of) or (_S3_NAMESPACE if operation.service.name == "s3" else "")

    def whole(name: str, payload: Shape) -> rest.WriteBody:
        if payload.kind == "blob":
            return bytes
        if payload.kind == "string":
            return str.encode
        root = payload.wire_name or name
        content = compiler.content(payload)
        opening = f"{_DECLARATION}<{root}{declared(payload)}>"
        return lambda value: f"{opening}{content(value)}</{root}>".encode()

    def members(of: Shape, shapes: dict[str, Shape]) -> rest.WriteBody:
        if operation.service.name == "s3" and operation.name == "GetBucketLocation":
            return _location
        root = _root(operation, of)
        content = compiler.members(of, shapes)
        opening = f"{_DECLARATION}<{root}{declared(of)}>"
        return lambda value: f"{opening}{content(value)}</{root}>".encode()

    payload = shape.traits.get("payload")
    kind = shape.members[payload].kind if payload is not None else None
    content_type = {"blob": _OCTETS, "string": _TEXT}.get(kind or "", _XML)
    output = rest.Output(shape, _status(operation), whole, members, False)
    return rest.compile_reply(output, content_type, _s3_request_lines if s3 else _request_lines)


def _location(value: Mapping[str, Any]) -> bytes:
    """GetBucketLocation's answer is the root's text, empty for us-east-1: no other operation has such a one."""
    region = escape(value.get("LocationConstraint", ""))
    return f"{_DECLARATION}<LocationConstraint{_S3_NAMESPACE}>{region}</LocationConstraint>".encode()


def _status(operation: Operation) -> int:
    """S3's model leaves out that its DELETEs answer 204."""
    if operation.service.name == "s3" and operation.method == "DELETE":
        return 204
    return operation.status


def error(name: str | None, failure: AwsError, request_id: str) -> Reply:
    """An error's answer; name: the service's, None when it is not known. S3 has a document of its own, and errors
    with headers: the fields whose names begin with "x-amz-", and those of ``_HEADERS``."""
    resolved = resolve(service(name) if name is not None else None, failure)
    headers = {
        key: value for key, value in failure.fields.items() if key.startswith("x-amz-") or key in _HEADERS
    }
    if headers:
        told = {key: value for key, value in failure.fields.items() if key not in headers}
        failure = AwsError(failure.code, failure.message, failure.status, **told)
    fields = error_content(_writers(name or ""), failure, resolved)
    code, message = escape(resolved.code), escape_message(failure.message)
    if name == "s3":
        body = (
            f"{_DECLARATION}<Error><Code>{code}</Code><Message>{message}</Message>{fields}"
            f"<RequestId>{escape(request_id)}</RequestId><HostId>{host_id(request_id)}</HostId></Error>"
        )
    else:
        body = (
            f"{_DECLARATION}<ErrorResponse><Error><Type>{'Sender' if resolved.sender else 'Receiver'}</Type>"
            f"<Code>{code}</Code><Message>{message}</Message>{fields}</Error>"
            f"<RequestId>{escape(request_id)}</RequestId></ErrorResponse>"
        )
    lines = _s3_request_lines(request_id) if name in S3_FAMILY else _request_lines(request_id)
    lines += b"".join([header_line(key, str(value)) for key, value in headers.items()])
    return Reply(resolved.status, _XML + lines, body.encode())
