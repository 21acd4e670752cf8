"""botocore's service models, read lean: the JSON without its documentation, shapes resolved when first asked.

The models are data files of the botocore distribution; reading them does not import botocore, which costs a
tenth of a second and the memory of an HTTP client. ``model`` gives botocore's own class to those who want it
(the generator, tests).
"""

from __future__ import annotations

import gzip
import importlib.util
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from botocore.model import ServiceModel

SERVED_PROTOCOLS = ("json", "query", "ec2", "rest-json", "rest-xml", "smithy-rpc-v2-cbor")


class Shape:
    """One shape, with the traits that the member referring to it adds (locationName, flattened, ...)."""

    __slots__ = ("_element", "_key", "_members", "_service", "kind", "name", "traits")

    def __init__(self, service: Service, name: str, traits: dict[str, Any]) -> None:
        self.name = name
        self.kind: str = traits["type"]
        """structure, list, map, string, blob, timestamp, boolean, integer, long, float, double, character"""
        self.traits = traits
        self._service = service
        self._members: dict[str, Shape] | None = None
        self._element: Shape | None = None
        self._key: Shape | None = None

    @staticmethod
    def nothing(operation: Operation) -> Shape:
        """The structure without members: the output of an operation that has none."""
        return Shape(operation.service, f"{operation.name}Output", {"type": "structure"})

    @property
    def members(self) -> dict[str, Shape]:
        """A structure's members by their model names."""
        if self._members is None:
            self._members = {
                name: self._service.resolve(ref) for name, ref in self.traits.get("members", {}).items()
            }
        return self._members

    @property
    def element(self) -> Shape:
        """A list's element, a map's value."""
        if self._element is None:
            self._element = self._service.resolve(self.traits["member" if self.kind == "list" else "value"])
        return self._element

    @property
    def key(self) -> Shape:
        """A map's key."""
        if self._key is None:
            self._key = self._service.resolve(self.traits["key"])
        return self._key

    @property
    def required(self) -> tuple[str, ...]:
        return tuple(self.traits.get("required", ()))

    @property
    def wire_name(self) -> str | None:
        name: str | None = self.traits.get("locationName")
        return name

    @property
    def location(self) -> str | None:
        """uri, querystring, header, headers, statusCode, or None for the body."""
        location: str | None = self.traits.get("location")
        return location

    @property
    def flattened(self) -> bool:
        return bool(self.traits.get("flattened"))

    @property
    def sensitive(self) -> bool:
        return bool(self.traits.get("sensitive"))

    @property
    def document(self) -> bool:
        return bool(self.traits.get("document"))

    @property
    def event_stream(self) -> bool:
        return bool(self.traits.get("eventstream"))

    def __repr__(self) -> str:
        return f"<Shape {self.name} ({self.kind})>"


class ErrorShape:
    """A modelled error: its shape, the code that goes on the query wire, and its HTTP status."""

    __slots__ = ("code", "fault", "shape", "status")

    def __init__(self, shape: Shape) -> None:
        error = shape.traits.get("error", {})
        self.shape = shape
        self.code: str = error.get("code") or shape.name
        self.fault = bool(shape.traits.get("fault"))
        """True when the server is to blame."""
        self.status: int | None = error.get("httpStatusCode") or (500 if self.fault else None)


class Operation:
    """One operation of a service, as the model describes it."""

    __slots__ = ("_output", "input", "method", "name", "service", "status", "traits", "uri")

    def __init__(self, service: Service, name: str, traits: dict[str, Any]) -> None:
        http = traits.get("http", {})
        self.service = service
        self.name = name
        self.traits = traits
        self.method: str = http.get("method", "POST")
        self.uri: str = http.get("requestUri", "/")
        self.status: int = http.get("responseCode", 200)
        self.input = service.resolve(traits["input"]) if "input" in traits else None
        self._output: Shape | None = None

    @property
    def output(self) -> Shape | None:
        if self._output is None and "output" in self.traits:
            self._output = self.service.resolve(self.traits["output"])
        return self._output

    @property
    def result_wrapper(self) -> str | None:
        wrapper: str | None = self.traits.get("output", {}).get("resultWrapper")
        return wrapper


class Service:
    """One service's model."""

    __slots__ = ("_errors", "_operations", "_shapes", "metadata", "name", "operations", "shapes")

    def __init__(self, name: str, description: dict[str, Any]) -> None:
        self.name = name
        self.metadata: dict[str, Any] = description["metadata"]
        self.operations: dict[str, dict[str, Any]] = description["operations"]
        self.shapes: dict[str, dict[str, Any]] = description["shapes"]
        self._shapes: dict[str, Shape] = {}
        self._operations: dict[str, Operation] = {}
        self._errors: dict[str, ErrorShape] | None = None

    def shape(self, name: str) -> Shape:
        found = self._shapes.get(name)
        if found is None:
            found = self._shapes[name] = Shape(self, name, self.shapes[name])
        return found

    def resolve(self, ref: dict[str, Any]) -> Shape:
        """The shape that a member refers to, with what the reference itself adds."""
        name = ref["shape"]
        if len(ref) == 1:
            return self.shape(name)
        added = {key: value for key, value in ref.items() if key != "shape"}
        return Shape(self, name, {**self.shapes[name], **added})

    def operation(self, name: str) -> Operation:
        """Raises KeyError for a name that the model has not."""
        found = self._operations.get(name)
        if found is None:
            found = self._operations[name] = Operation(self, name, self.operations[name])
        return found

    def error(self, code: str) -> ErrorShape | None:
        """The modelled error of that name or wire code, or None."""
        if self._errors is None:
            shapes = [
                ErrorShape(self.shape(name)) for name, raw in self.shapes.items() if raw.get("exception")
            ]
            # The shape's name wins over another shape's code: names are what handlers raise.
            self._errors = {error.code: error for error in shapes}
            self._errors |= {error.shape.name: error for error in shapes}
        return self._errors.get(code)

    @property
    def query_compatible(self) -> bool:
        """True for services that moved from the query protocol and still name its error codes."""
        return "awsQueryCompatible" in self.metadata


def unbounded(shape: Shape) -> bool:
    """True when a value of the shape can nest without end: recursive shapes and documents."""

    def walk(inner: Shape, above: frozenset[str], seen: set[str]) -> bool:
        if inner.kind not in ("structure", "list", "map"):
            return False
        if inner.document or inner.name in above:
            return True
        if inner.name in seen:
            return False
        seen.add(inner.name)
        parts = inner.members.values() if inner.kind == "structure" else (inner.element,)
        return any(walk(part, above | {inner.name}, seen) for part in parts)

    return walk(shape, frozenset(), set())


def _data_directory() -> Path:
    spec = importlib.util.find_spec("botocore")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("botocore is not installed; its service models are needed")
    return Path(spec.submodule_search_locations[0]) / "data"


def _references(description: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every dictionary of a model that carries documentation."""
    yield description
    for operation in description["operations"].values():
        yield operation
        for end in ("input", "output"):
            if end in operation:
                yield operation[end]
        yield from operation.get("errors", ())
    for shape in description["shapes"].values():
        yield shape
        yield from shape.get("members", {}).values()
        for part in ("member", "key", "value"):
            if part in shape:
                yield shape[part]


def _merge(into: dict[str, Any], extra: dict[str, Any]) -> None:
    for key, value in extra.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value


def _load(name: str) -> dict[str, Any]:
    """The model's JSON with botocore's own additions and without documentation. LookupError when unknown."""
    if not name or "/" in name or name.startswith("."):
        raise KeyError(name)
    try:
        newest = max(path for path in (_data_directory() / name).iterdir() if path.is_dir())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        raise KeyError(name) from None
    description: dict[str, Any] = orjson.loads(gzip.decompress((newest / "service-2.json.gz").read_bytes()))
    extras = newest / "service-2.sdk-extras.json"
    if extras.exists():
        _merge(description, orjson.loads(extras.read_bytes()).get("merge", {}))
    for part in _references(description):
        part.pop("documentation", None)
    if name == "s3":
        # Buckets take more canned ACLs than the model says. Source: "Canned ACL".
        description["shapes"]["BucketCannedACL"]["enum"] += ["aws-exec-read", "log-delivery-write"]
        description["shapes"]["BucketCannedACL"]["enum"] += ["bucket-owner-read", "bucket-owner-full-control"]
    if name == "sqs":
        from casemate.wire.sqs_query import complete

        complete(description)
    return description


@cache
def service(name: str) -> Service:
    """The lean model of a service, by botocore's name for it. KeyError when botocore has none."""
    return Service(name, _load(name))


@cache
def model(name: str) -> ServiceModel:
    """botocore's own model class of a service, without documentation. KeyError when botocore has none."""
    from botocore.model import ServiceModel

    return ServiceModel(_load(name), name)


def protocols(name: str) -> tuple[str, ...]:
    """The protocols of a service that are served, in the model's order of preference."""
    metadata = service(name).metadata
    listed = metadata.get("protocols") or [metadata["protocol"]]
    return tuple(protocol for protocol in listed if protocol in SERVED_PROTOCOLS)
