"""What the audit journal may show of a request and its answer: CloudTrail's ``requestParameters`` and
``responseElements``.

Sensitive members are replaced by CloudTrail's own phrase, blobs (plaintexts, ciphertexts, key material) are left
out, names begin in lower case, times look as CloudTrail writes them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from casemate.wire.constraints import lower_first
from casemate.wire.models import Shape
from casemate.wire.timestamps import to_cloudtrail

HIDDEN = "HIDDEN_DUE_TO_SECURITY_REASONS"
_LEFT_OUT = object()
_UNSHOWN = frozenset({"GrantTokenType"})
"""Shapes that CloudTrail does not show although the model does not call them sensitive."""

_UNMARKED = frozenset({"MFA", "MessageAttributeMap", "TargetInput", "tokenType"})
"""Shapes that the models do not mark as sensitive although they are: codes of MFA devices in S3's requests,
attributes of SNS's messages, rule targets' inputs, session tokens."""

_UNMARKED_MEMBERS = frozenset(
    {
        ("ConfirmSubscriptionInput", "Token"),
        ("InputLogEvent", "message"),
        ("InputTransformer", "InputTemplate"),
        ("PutMetricDataInput", "MetricData"),
        ("PutMetricDataInput", "EntityMetricData"),
        ("InvocationRequest", "ClientContext"),
        ("PublishBatchRequestEntry", "Message"),
        ("PublishBatchRequestEntry", "Subject"),
        ("PublishInput", "Message"),
        ("PublishInput", "Subject"),
        ("PutEventsRequestEntry", "Detail"),
        ("SubscribeInput", "Endpoint"),
        ("TestEventPatternRequest", "Event"),
    }
)
"""Members whose shapes are not their own, by structure: events and what is made of them, a function's context,
log entries and what was measured of them, SNS's messages, endpoints that have passwords."""

Redactor = Callable[[Any], Any]


def _shown_name(name: str, member: Shape) -> str:
    """How a member is called in a record."""
    return "bucketName" if member.name == "BucketName" and name == "Bucket" else lower_first(name)


def _hide(_value: Any) -> str:
    return HIDDEN


def _leave_out(_value: Any) -> Any:
    return _LEFT_OUT


class _Redactors:
    def __init__(self) -> None:
        self._done: dict[str, Redactor | None] = {}
        self._open: set[str] = set()

    def compile(self, shape: Shape) -> Redactor | None:
        """A function from a member to what the journal shows; None where that is the member itself."""
        if shape.kind == "blob":
            return _leave_out
        if shape.sensitive or shape.name in _UNMARKED:
            return _hide
        if shape.name in _UNSHOWN:
            return _leave_out
        if shape.kind == "timestamp":
            return lambda value: to_cloudtrail(value) if isinstance(value, datetime) else value
        if shape.kind not in ("structure", "list", "map") or shape.document:
            return None
        name = shape.name
        if name in self._open:
            return lambda value: value if (redact := self._done[name]) is None else redact(value)
        if name not in self._done:
            self._open.add(name)
            self._done[name] = {"structure": self.structure, "list": self._list, "map": self._map}[
                shape.kind
            ](shape)
            self._open.discard(name)
        return self._done[name]

    def structure(self, shape: Shape) -> Redactor:
        table: dict[str, tuple[str, Redactor | None]] = {}
        for name, member in shape.members.items():
            if member.event_stream:
                continue
            redact_member = _hide if (shape.name, name) in _UNMARKED_MEMBERS else self.compile(member)
            # A member that is never shown is not in the table: most requests to encrypt or decrypt have one.
            if redact_member is not _leave_out:
                table[name] = (_shown_name(name, member), redact_member)
        find = table.get

        def redact(value: Mapping[str, Any]) -> dict[str, Any]:
            shown = {}
            for name, item in value.items():
                found = find(name)
                if found is None:
                    continue
                shown_name, redact_member = found
                if redact_member is not None:
                    item = redact_member(item)
                    if item is _LEFT_OUT:
                        continue
                shown[shown_name] = item
            return shown

        return redact

    def _list(self, shape: Shape) -> Redactor | None:
        element = self.compile(shape.element)
        if element is None:
            return None
        return lambda value: [
            shown for item in value if item is not None and (shown := element(item)) is not _LEFT_OUT
        ]

    def _map(self, shape: Shape) -> Redactor | None:
        if shape.key.sensitive:
            return lambda _value: HIDDEN
        element = self.compile(shape.element)
        if element is None:
            return None
        return lambda value: {
            key: shown
            for key, item in value.items()
            if item is not None and (shown := element(item)) is not _LEFT_OUT
        }


def restored(shape: Shape, shown: Any) -> Any:
    """What a redactor showed, under the model's names again, as far as it was shown: without what was hidden, without
    blobs, and without times, which are shown to the minute."""
    if shape.kind == "structure" and isinstance(shown, dict):
        members = {_shown_name(name, member): (name, member) for name, member in shape.members.items()}
        known = [(*members[name], value) for name, value in shown.items() if name in members]
        found = {name: restored(member, value) for name, member, value in known}
        return {name: value for name, value in found.items() if value is not _LEFT_OUT}
    if shape.kind == "list" and isinstance(shown, list):
        return [value for each in shown if (value := restored(shape.element, each)) is not _LEFT_OUT]
    if shape.kind == "map" and isinstance(shown, dict):
        return {
            key: value
            for key, each in shown.items()
            if (value := restored(shape.element, each)) is not _LEFT_OUT
        }
    return _LEFT_OUT if shown == HIDDEN or shape.kind in ("blob", "timestamp") else shown


def compile_redactor(shape: Shape | None) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """The redactor of an operation's input or output. What the model does not know is left out."""
    if shape is None:
        return lambda _value: {}
    return _Redactors().structure(shape)
