"""Values made from botocore's shapes, within their constraints, and botocore as the opposite end of the wire."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from io import BytesIO
from random import Random
from typing import Any
from urllib.parse import quote, urlencode

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import re._constants as sre  # type: ignore[import-not-found]
    import re._parser as sre_parser  # type: ignore[import-not-found]

from botocore.awsrequest import HeadersDict
from botocore.model import ListShape, MapShape, OperationModel, Shape, StringShape, StructureShape
from botocore.parsers import create_parser
from botocore.serialize import create_serializer

from casemate.wire import Reply, model, protocols
from casemate.wire.patterns import UNSATISFIABLE, _ascii_category, _translate, matcher

SERVICES = (
    *(
        "kms",
        "sts",
        "iam",
        "s3",
        "s3control",
        "ssm",
        "secretsmanager",
        "logs",
        "cloudtrail",
        "events",
        "sns",
        "sqs",
    ),
    *(
        "lambda",
        "organizations",
        "ec2",
        "ebs",
        "codebuild",
        "wafv2",
        "shield",
        "fms",
        "guardduty",
        "inspector2",
    ),
    *("macie2", "cloudformation", "service-quotas", "cloudwatch", "elbv2"),
)

SAMPLED = {"ec2": 90}
"""Services of which a run takes only so many operations."""


AMBIGUOUS = {("s3", "PutBucketNotification"), ("s3", "GetBucketNotification")}
"""Deprecated operations whose model has two members of one name (Event, Events)."""


class CannotMake(Exception):
    """No value of the shape was found within its constraints."""


def operations(service: str, protocol: str, random: Random) -> list[OperationModel]:
    """The service's operations that the protocol's round trips can be made of: no event streams."""
    names = [name for name in model(service).operation_names if (service, name) not in AMBIGUOUS]
    if service in SAMPLED:
        names = random.sample(names, SAMPLED[service])
    return [model(service).operation_model(name) for name in names]


def error_shapes(service: str) -> list[StructureShape]:
    return [shape for shape in model(service).error_shapes if isinstance(shape, StructureShape)]


# botocore has forgotten SQS's query protocol, of which some names are not the model's: tests/sqs tries its wire.
FORGOTTEN = {("sqs", "query")}
PAIRS = [
    (service, protocol)
    for service in SERVICES
    for protocol in protocols(service)
    if (service, protocol) not in FORGOTTEN
]

# ---- strings that match a pattern ----


def _pick(random: Random, tree: Any) -> str:
    return "".join(_node(random, operator, argument) for operator, argument in tree)


_CATEGORIES = {
    sre.CATEGORY_DIGIT: "0123456789",
    sre.CATEGORY_WORD: "abcXYZ019_",
    sre.CATEGORY_SPACE: " ",
    sre.CATEGORY_NOT_SPACE: "abc-9",
    sre.CATEGORY_NOT_DIGIT: "abc-",
    sre.CATEGORY_NOT_WORD: "-/ ",
}


def _in(random: Random, items: list[Any]) -> str:
    if items[0][0] is sre.NEGATE:
        refused = items[1:]
        for _ in range(60):
            char = chr(random.randrange(0x20, 0x7F))
            if not any(_holds(char, item) for item in refused):
                return char
        return "a"
    operator, argument = random.choice(items)
    if operator is sre.RANGE:
        low, high = argument
        return chr(random.randint(low, min(high, low + 90)))
    if operator is sre.CATEGORY:
        return random.choice(_CATEGORIES[argument])
    return chr(argument)


def _holds(char: str, item: Any) -> bool:
    operator, argument = item
    if operator is sre.RANGE:
        return bool(argument[0] <= ord(char) <= argument[1])
    if operator is sre.CATEGORY:
        if argument in (sre.CATEGORY_NOT_SPACE, sre.CATEGORY_NOT_DIGIT, sre.CATEGORY_NOT_WORD):
            return char in "abc-9/"
        return bool(
            re.match({sre.CATEGORY_DIGIT: r"\d", sre.CATEGORY_WORD: r"\w"}.get(argument, r"\s"), char)
        )
    return bool(ord(char) == argument)


def _node(random: Random, operator: Any, argument: Any) -> str:
    if operator is sre.LITERAL:
        return chr(argument)
    if operator is sre.NOT_LITERAL:
        return "a" if argument != ord("a") else "b"
    if operator is sre.ANY:
        return random.choice("abc/-")
    if operator is sre.IN:
        return _in(random, argument)
    if operator is sre.BRANCH:
        return _pick(random, random.choice(argument[1]))
    if operator is sre.SUBPATTERN:
        return _pick(random, argument[3])
    if operator in (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT):
        low, high, inner = argument
        count = random.randint(low, min(high, low + random.choice((1, 3, 12))))
        return "".join(_pick(random, inner) for _ in range(count))
    if operator is sre.ATOMIC_GROUP:
        return _pick(random, argument)
    return ""  # anchors and assertions: the candidate is tried afterwards


@cache
def _tree(pattern: str) -> Any:
    return sre_parser.parse(_translate(pattern, _ascii_category), re.ASCII)


def matching(random: Random, pattern: str, low: int, high: int, fits: Callable[[str], bool]) -> str:
    match = matcher(pattern)
    for attempt in range(60):
        text = _pick(random, _tree(pattern))
        if attempt % 3 == 2:
            text = (text * (1 + low // max(1, len(text))))[:high]
        text = text[:high] if attempt % 2 else text
        if low <= len(text) <= high and match(text) and fits(text):
            return text
    raise CannotMake(pattern)


# ---- values ----


class Maker:
    """Makes values of shapes; protocol: text and emptiness are kept to what it can carry."""

    def __init__(self, random: Random, protocol: str) -> None:
        self.random = random
        self.protocol = protocol
        self.textual = protocol in ("query", "ec2", "rest-xml")

    def make(self, shape: Shape, depth: int = 0, place: str | None = None) -> Any:
        kind = shape.type_name
        if isinstance(shape, StructureShape):
            return self.structure(shape, depth)
        if isinstance(shape, ListShape):
            return self.list(shape, depth, place)
        if isinstance(shape, MapShape):
            return self.map(shape, depth, place)
        if kind in ("string", "character"):
            return self.string(shape, place)
        low, high = shape.metadata.get("min"), shape.metadata.get("max")
        if kind == "blob":
            size = self.random.randint(int(low or 0), min(int(high or 40), int(low or 0) + 40))
            return self.random.randbytes(size)
        if kind == "boolean":
            return self.random.random() < 0.5
        if kind in ("integer", "long"):
            bits = 31 if kind == "integer" else 63
            bottom = max(int(low) if low is not None else -(2**bits), -(2**bits))
            top = min(int(high) if high is not None else 2**bits - 1, 2**bits - 1)
            return self.random.choice((bottom, top, self.random.randint(bottom, top)))
        if kind in ("float", "double"):
            bottom = float(low) if low is not None else -1e6
            top = float(high) if high is not None else 1e6
            # A single-precision float survives where CBOR writes only four bytes.
            return float(round(self.random.uniform(bottom, top) * 8) / 8) if top - bottom > 1 else bottom
        if kind == "timestamp":
            moment = datetime(2020, 1, 1, tzinfo=UTC) + timedelta(seconds=self.random.randrange(10**8))
            whole = place in ("header", "headers") or shape.serialization.get("timestampFormat") == "rfc822"
            return moment if whole else moment + timedelta(milliseconds=self.random.choice((0, 1, 250, 999)))
        raise AssertionError(kind)

    def string(self, shape: Shape, place: str | None) -> str:
        metadata = shape.metadata
        if isinstance(shape, StringShape) and shape.enum:
            return str(self.random.choice(shape.enum))
        low = int(metadata.get("min") or 0)
        high = int(metadata["max"]) if metadata.get("max") is not None else low + 50
        if place is not None:
            low = max(low, 1)
        if "pattern" in metadata and metadata["pattern"] not in UNSATISFIABLE:
            high = high if "max" in metadata else 400
            return matching(self.random, metadata["pattern"], low, high, lambda text: self.fits(text, place))
        size = self.random.randint(low, min(high, low + 20))
        if place == "host":
            letters = "abcxyz019"
        elif place in ("header", "headers", "list"):
            letters = "abcXYZ019-_./"
        elif place is not None:
            letters = "abcXYZ019-_./ ü%+&=?#"
        else:
            letters = "abcXYZ019-_./ üé漢😀<>&\"'%+=\\"
        text = "".join(self.random.choice(letters) for _ in range(size))
        return text.strip().ljust(low, "x") if place is not None else text

    def fits(self, text: str, place: str | None) -> bool:
        """Whether a text can stand in its place: not everything can be in a header or in XML."""
        if place == "host":
            return text.isalnum() and text.isascii()
        if place is not None:
            return text == text.strip() and text.isprintable() and text.isascii()
        return not self.textual or all(char.isprintable() or char in "\t\n" for char in text)

    def list(self, shape: ListShape, depth: int, place: str | None) -> Any:
        low = int(shape.metadata.get("min") or 0)
        high = int(shape.metadata["max"]) if shape.metadata.get("max") is not None else low + 3
        if (
            (shape.serialization.get("flattened") and self.textual)
            or place is not None
            or self.protocol == "ec2"
        ):
            low = max(low, 1)  # an empty flattened list has no elements, so it is not on the wire
        count = low if depth > 5 else self.random.randint(low, min(high, low + 2))
        return [self.make(shape.member, depth + 1, "list" if place else None) for _ in range(count)]

    def map(self, shape: MapShape, depth: int, place: str | None) -> Any:
        low = int(shape.metadata.get("min") or 0)
        high = int(shape.metadata["max"]) if shape.metadata.get("max") is not None else low + 3
        if self.textual or place is not None:
            low = max(low, 1)
        made: dict[str, Any] = {}
        for _ in range(low if depth > 5 else self.random.randint(low, max(low, min(high, low + 2)))):
            key = self.make(shape.key, depth + 1, "headers" if place else None)
            key = key.lower() if place == "headers" else key
            made[key] = self.make(shape.value, depth + 1, place)
        if len(made) < low:
            raise CannotMake(shape.name)
        return made

    def structure(self, shape: StructureShape, depth: int) -> Any:
        if shape.is_document_type:
            return {"a": [1, "b", None, {"c": True}]}
        members = list(shape.members.items())
        required = set(shape.required_members)
        if shape.is_tagged_union:
            # A union that never ends is left by the member that ends soonest.
            order = self.random.sample(members, len(members))
            if depth > 4:
                order.sort(key=lambda item: item[1].type_name in ("structure", "list", "map"))
            for name, member in order:
                try:
                    return {name: self.make(member, depth + 1)}
                except (CannotMake, RecursionError):
                    continue
            raise CannotMake(shape.name)
        made: dict[str, Any] = {}
        for name, member in members:
            if member.serialization.get("eventstream"):
                continue
            wanted = name in required
            if not wanted and (depth > 3 or self.random.random() < (0.5 if depth else 0.3)):
                continue
            if depth > 25:
                raise CannotMake(shape.name)
            location = member.serialization.get("location")
            if member.serialization.get("hostLabel"):
                location = "host"
            if name == shape.serialization.get("payload") and member.type_name == "string":
                location = "payload"  # an empty body stands for no payload
            try:
                made[name] = self.make(member, depth + 1, location if location != "statusCode" else None)
            except CannotMake:
                if wanted:
                    raise
        if self.textual and depth and not any(not _bare(value) for value in made.values()):
            # A structure without content leaves no trace in form fields or in some XML.
            for name, member in self.random.sample(members, len(members)):
                if member.type_name in ("string", "integer", "boolean", "long"):
                    try:
                        made[name] = self.make(member, depth + 1)
                    except CannotMake:
                        continue
                    return made
            raise CannotMake(shape.name)
        return made


def _bare(value: Any) -> bool:
    return isinstance(value, dict | list) and not value


# ---- botocore as client ----


def request(
    operation: OperationModel, protocol: str, params: dict[str, Any]
) -> tuple[str, bytes, bytes, dict[bytes, bytes], bytes]:
    """(method, path, query, headers, body) as botocore puts them on the wire."""
    serializer = create_serializer(protocol, include_validation=False)
    made = serializer.serialize_to_request(params, operation)
    path, _, fixed = made["url_path"].partition("?")
    query = made["query_string"]
    query_text = query if isinstance(query, str) else urlencode(query, doseq=True, quote_via=quote)
    body = made["body"]
    if isinstance(body, dict):
        body = urlencode(body, doseq=True, quote_via=quote).encode()
    elif isinstance(body, str):
        body = body.encode()
    elif hasattr(body, "read"):
        body = body.read()
    headers = {name.lower().encode(): str(value).encode() for name, value in made["headers"].items()}
    if "host_prefix" in made:
        headers[b"host"] = (made["host_prefix"] + "service.us-east-1.amazonaws.com").encode()
    full_query = "&".join(part for part in (fixed, query_text) if part)
    return made["method"], path.encode(), full_query.encode(), headers, bytes(body)


def response(reply: Reply, protocol: str, shape: Shape | None) -> dict[str, Any]:
    """What botocore makes of an answer."""
    headers = HeadersDict()
    for line in reply.head.decode().split("\r\n"):
        if line:
            name, _, value = line.partition(": ")
            headers[name] = value
    body: Any = reply.body
    payload = None
    streamed = False
    if isinstance(shape, StructureShape) and (payload := shape.serialization.get("payload")) is not None:
        streamed = shape.members[payload].type_name == "blob"
    if streamed and reply.status < 300:
        body = BytesIO(body)  # as botocore does: a blob that is the whole body is a stream
    parsed = create_parser(protocol).parse(
        {"body": body, "headers": headers, "status_code": reply.status, "context": {}},
        shape,  # type: ignore[arg-type]  # None for an operation without output
    )
    assert isinstance(parsed, dict)
    if payload in parsed and isinstance(parsed[payload], BytesIO):
        parsed[payload] = parsed[payload].read()
    return parsed


def same(value: Any) -> Any:
    """Values made comparable: times in UTC."""
    if isinstance(value, dict):
        return {key: same(item) for key, item in value.items()}
    if isinstance(value, list):
        return [same(item) for item in value]
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    return value
