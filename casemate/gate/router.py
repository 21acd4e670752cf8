"""Step 2: which operation of which service a request means, by target header, path, and the signature's scope."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol
from urllib.parse import parse_qs

from casemate import wire
from casemate.errors import AwsError
from casemate.gate.auth_errors import Family, family_of
from casemate.gate.http import Exchange
from casemate.gate.operation import Api, Operation
from casemate.gate.s3_address import S3Address
from casemate.wire import Reply


class Codec(Protocol):
    """How an operation's request and answer are written; wire.OperationCodec is one."""

    def parse(
        self, method: str, path: bytes, query: bytes, headers: Mapping[bytes, bytes], body: bytes
    ) -> dict[str, Any]: ...

    def reply(self, result: Mapping[str, Any], request_id: str) -> Reply: ...

    def error(self, error: AwsError, request_id: str) -> Reply: ...

    def redact(self, params: Mapping[str, Any]) -> dict[str, Any]: ...

    def redact_result(self, result: Mapping[str, Any]) -> dict[str, Any]: ...


class Route(NamedTuple):
    """Where a request goes. family: which of AWS's sets of error codes it is answered with; region: a global
    service's, '' where the signature tells it."""

    operation: Operation[Any, Any]
    codec: Codec
    signing_name: str
    family: Family
    source: str
    region: str = ""


_S3_CONTROL = b"/v20180820/"
"""What S3 Control's paths begin with: its requests are signed for S3 and have the header of an account."""


class _Reading:
    """A codec of which only the reading of requests is another one."""

    __slots__ = ("_codec", "error", "redact", "redact_result", "reply")

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self.error = codec.error
        self.redact = codec.redact
        self.redact_result = codec.redact_result
        self.reply = codec.reply


class AddressedCodec(_Reading):
    """A codec of S3's, for requests that name their bucket in the path or in the host's name."""

    __slots__ = ("_address",)

    def __init__(self, codec: Codec, address: S3Address) -> None:
        super().__init__(codec)
        self._address = address

    def parse(
        self, method: str, path: bytes, query: bytes, headers: Mapping[bytes, bytes], body: bytes
    ) -> dict[str, Any]:
        return self._codec.parse(method, self._address.path(path, headers), query, headers, body)


class QueueCodec(_Reading):
    """A codec of SQS's query protocol, whose requests may name the queue by their path."""

    __slots__ = ()

    def parse(
        self, method: str, path: bytes, query: bytes, headers: Mapping[bytes, bytes], body: bytes
    ) -> dict[str, Any]:
        if len(path) > 1 and not _NAMES_QUEUE.search(body) and not _NAMES_QUEUE.search(query):
            query = query + b"&QueueUrl=" + path
        return self._codec.parse(method, path, query, headers, body)


_NAMES_QUEUE = re.compile(rb"(?:^|&)QueueUrl=")


class Unroutable(Exception):
    """No operation found. The error, with what is needed to render it: the protocol and, where it is known,
    the service; name: what the client asked for, for the audit."""

    def __init__(self, error: AwsError, protocol: str, service: str | None = None, name: str = "") -> None:
        super().__init__(error)
        self.error = error
        self.protocol = protocol
        self.service = service
        self.name = name


class Router:
    """The routes of the served services. paths: further routes by exact method and path (the server's own); address:
    how S3's requests name buckets; form: where browsers' uploads by a form go; prefixes: where
    unsigned GET requests go whose paths begin so."""

    def __init__(
        self,
        apis: Sequence[Api],
        paths: Mapping[tuple[str, bytes], Route] | None = None,
        address: S3Address | None = None,
        form: Route | None = None,
        prefixes: Mapping[bytes, Route] | None = None,
    ) -> None:
        self._prefixes = tuple((prefixes or {}).items())
        self._form = form
        self._address = address or S3Address()
        self._by_target = {api.target_prefix: api for api in apis if api.target_prefix}
        self._by_service = {api.service: api for api in apis}
        # Of services that share a name, the first is meant, unless the request shows that it is the other's.
        self._by_signing_name = {api.signing_name: api for api in reversed(apis)}
        self._by_version = {api.version: api for api in apis if {"query", "ec2"} & set(api.protocols)}
        self._operations = {(api.service, op.name): op for api in apis for op in api.operations}
        self._paths: dict[tuple[str, bytes], Route] = dict(paths or {})
        self._targets: dict[bytes, Route] = {}
        self._routes: dict[tuple[str, str, str], Route] = {}

    def route(self, exchange: Exchange) -> Route:
        """The route of a request whose body has come. Raises Unroutable."""
        target = exchange.headers.get(b"x-amz-target")
        if target is not None:
            route = self._targets.get(target)
            return route if route is not None else self._of_target(target)
        own = self._paths.get((exchange.method, exchange.path)) if self._paths else None
        if own is not None:
            return own
        if exchange.headers.get(b"smithy-protocol") == b"rpc-v2-cbor":
            return self._of_rpc_path(exchange.path)
        scope = service_in_scope(exchange)
        api = self._by_signing_name.get(scope)
        if (
            scope == "s3"
            and b"x-amz-account-id" in exchange.headers
            and exchange.path.startswith(_S3_CONTROL)
        ):
            api = self._by_service.get("s3control")
        if api is not None and {"rest-json", "rest-xml"} & set(api.protocols):
            return self._of_rest(api, exchange)
        return self._of_action(api, exchange, scope)

    def route_to(self, operation: Operation[Any, Any]) -> Route:
        """The route of an operation that another service asks, in its service's preferred protocol."""
        api = self._by_service[operation.service]
        return self._named(api, operation.name, api.protocols[0])

    def operation(self, service: str, name: str) -> Operation[Any, Any]:
        """An operation by its service's and its own name. Raises KeyError."""
        return self._operations[service, name]

    def _of_target(self, target: bytes) -> Route:
        prefix, _, name = target.decode("latin-1").rpartition(".")
        api = self._by_target.get(prefix)
        if api is None:
            raise Unroutable(
                AwsError(
                    "NotImplemented", f"The service of the target {prefix!r} is not served by Casemate.", 501
                ),
                "json",
                name=name,
            )
        route = self._named(api, name, "json")
        self._targets[target] = route
        return route

    def _of_rpc_path(self, path: bytes) -> Route:
        # /service/{target prefix}/operation/{name}
        parts = path.decode("latin-1").split("/")
        protocol = "smithy-rpc-v2-cbor"
        if len(parts) != 5 or parts[1] != "service" or parts[3] != "operation":
            raise Unroutable(_unknown_operation("", protocol), protocol)
        api = self._by_target.get(parts[2])
        if api is None or protocol not in api.protocols:
            raise Unroutable(
                AwsError("NotImplemented", f"The service {parts[2]!r} is not served by Casemate.", 501),
                protocol,
                name=parts[4],
            )
        return self._named(api, parts[4], protocol)

    def _of_rest(self, api: Api, exchange: Exchange) -> Route:
        protocol = "rest-json" if "rest-json" in api.protocols else "rest-xml"
        path, s3 = exchange.path, api.service == "s3"
        if s3:
            path = self._address.path(path, exchange.headers)
            if self._form is not None and is_form(exchange):
                return self._form._replace(codec=AddressedCodec(self._form.codec, self._address))
            of_object = _OF_OBJECTS.get(exchange.method)
            if (
                of_object is not None
                and not exchange.query
                and 0 < path.find(b"/", 2) < len(path) - 1
                and _COPIES not in exchange.headers
            ):
                # Most of what comes: an object, and nothing said besides.
                return self._named(api, of_object, protocol)
        headers: Mapping[bytes, bytes] = exchange.headers
        if s3 and exchange.query and b"authorization" not in headers:
            # A presigned URL may have what tells a copy from a PUT in its query.
            from casemate.gate.presigned import with_hoisted

            try:
                headers = with_hoisted(exchange.query, headers)
            except AwsError as error:
                raise Unroutable(error, protocol, api.service) from None
        name = wire.route_rest(api.service, exchange.method, path, exchange.query, headers)
        if name is None:
            raise Unroutable(
                _not_allowed() if s3 else _unknown_operation("", protocol), protocol, api.service
            )
        return self._named(api, name, protocol)

    def _of_action(self, api: Api | None, exchange: Exchange, scope: str) -> Route:
        """The query protocols: Action and Version, in the body of a POST or in the query."""
        form = exchange.body if exchange.method == "POST" and exchange.body else exchange.query
        action, version = _action_of(form)
        if not scope and exchange.method == "GET":
            for prefix, route in self._prefixes:
                if exchange.path.startswith(prefix):
                    return route
        if not scope and not action and self._names_bucket(exchange):
            return self._of_rest(self._by_service["s3"], exchange)
        if api is None and not scope:
            api = self._by_version.get(version)
        if api is None or not action:
            if scope or action:
                what = f"The service {scope!r}" if scope else f"The action {action!r}"
                raise Unroutable(
                    AwsError("NotImplemented", f"{what} is not served by Casemate.", 501),
                    "query",
                    name=action,
                )
            raise Unroutable(
                AwsError("MissingAuthenticationToken", "Missing Authentication Token", 403), "rest-json"
            )
        protocol = "ec2" if "ec2" in api.protocols else "query"
        if protocol not in api.protocols:
            spoken = api.protocols[0]
            raise Unroutable(_unknown_operation(action, spoken), spoken, api.service, action)
        return self._named(api, action, protocol)

    def is_s3(self, exchange: Exchange) -> bool:
        """Whether a request whose body has not come is S3's: signed for it or, unsigned, for a bucket."""
        scope = service_in_scope(exchange)
        if scope:
            return scope == "s3" and "s3" in self._by_service
        headers = exchange.headers
        kind = headers.get(b"content-type", b"")
        document = b"x-amz-target" in headers or kind.startswith(
            (b"application/x-www-form-urlencoded", b"application/x-amz-json")
        )
        return not document and b"Action=" not in exchange.query and self._names_bucket(exchange)

    def s3_path(self, exchange: Exchange) -> bytes:
        """The path of a request that is S3's, with the bucket in it."""
        return self._address.path(exchange.path, exchange.headers)

    def _names_bucket(self, exchange: Exchange) -> bool:
        """Whether an unsigned request has the form of one for a bucket or an object."""
        if "s3" not in self._by_service:
            return False
        path = self._address.path(exchange.path, exchange.headers)
        return len(path) > 1 and path[1:2] != b"/"

    def _named(self, api: Api, name: str, protocol: str) -> Route:
        key = (api.service, name, protocol)
        route = self._routes.get(key)
        if route is not None:
            return route
        operation = self._operations.get((api.service, name))
        if operation is None:
            raise Unroutable(_unknown_operation(name, protocol), protocol, api.service, name)
        codec: Codec = wire.codec(api.service, name, protocol)
        if api.service == "s3":
            codec = AddressedCodec(codec, self._address)
        elif api.service == "sqs" and protocol == "query":
            codec = QueueCodec(codec)
        route = self._routes[key] = Route(
            operation,
            codec,
            api.signing_name,
            family_of(protocol, api.signing_name),
            f"{api.signing_name}.amazonaws.com",
            api.region,
        )
        return route


def is_form(exchange: Exchange) -> bool:
    """Whether a request is a browser's upload by a form."""
    return exchange.method == "POST" and exchange.headers.get(b"content-type", b"").lower().startswith(
        b"multipart/form-data"
    )


_OF_OBJECTS = {"GET": "GetObject", "PUT": "PutObject", "HEAD": "HeadObject", "DELETE": "DeleteObject"}
_COPIES = b"x-amz-copy-source"

_SCOPE = re.compile(
    rb"Credential=[^/,&]+(?:/|%2[Ff])[0-9]{8}(?:/|%2[Ff])[^/,&%]+(?:/|%2[Ff])([a-z0-9.-]{1,63})(?:/|%2[Ff])"
)


def service_in_scope(exchange: Exchange) -> str:
    """The service that the signature claims to be for, '' where there is none to be read. Only routing relies
    on it; authentication reads the claim with all its rules."""
    found = _SCOPE.search(exchange.headers.get(b"authorization") or exchange.query)
    return found[1].decode("ascii") if found is not None else ""


def _action_of(form: bytes) -> tuple[str, str]:
    try:
        fields = parse_qs(form.decode("ascii"), max_num_fields=10_000)
    except (UnicodeDecodeError, ValueError):
        return "", ""
    return fields.get("Action", [""])[0], fields.get("Version", [""])[0]


def _not_allowed() -> AwsError:
    return AwsError("MethodNotAllowed", "The specified method is not allowed against this resource.", 405)


def _unknown_operation(name: str, protocol: str) -> AwsError:
    if protocol in ("query", "ec2"):
        return AwsError("InvalidAction", f"The action {name} is not valid for this web service.", 400)
    if protocol == "json":
        return AwsError("UnknownOperationException", "", 400)
    return AwsError("UnknownOperationException", "", 404)
