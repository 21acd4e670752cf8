"""A parameter as policies and answers see it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from casemate.engine.policy import Policy as ResourcePolicy
from casemate.gate.call import Call
from casemate.gate.resource import Resource, Value
from casemate.services.ssm.rows import Row, Version

if TYPE_CHECKING:
    from casemate.api import ssm

TYPE = "AWS::SSM::Parameter"


class Parameter(Resource):
    """A parameter that is there, with its current version; never changed once it is made.

    policy: all of its resource policies as one, by which it is shared with other accounts.
    """

    __slots__ = ("_shown", "current", "row")

    def __init__(self, row: Row, current: Version, policy: ResourcePolicy | None = None) -> None:
        super().__init__(row.place.arn, row.place.account, policy=policy, type=TYPE)
        self.row = row
        self.current = current
        self._shown = self._answer(current)

    def tags(self) -> Mapping[str, str]:
        return self.row.tags

    def condition(self, key: str, call: Call, request: Mapping[str, Any]) -> Value:
        return condition(key, call, request, self.row.tags)

    def _answer(self, version: Version) -> ssm.Parameter:
        return {
            "Name": self.row.name,
            "Type": version.type,  # type: ignore[typeddict-item]  # one of the model's
            "Version": version.number,
            "LastModifiedDate": moment(version.created),
            "ARN": self.arn,
            "DataType": version.data_type,
        }

    def answer(self, version: Version, value: str, selector: str = "") -> ssm.Parameter:
        """A version as reads show it. selector: what it was found by, '' if by the name alone."""
        answer = self._shown.copy() if version is self.current else self._answer(version)
        answer["Value"] = value
        if selector:
            answer["Selector"] = f":{selector}"
        return answer


def moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


# --- condition keys, all in lower case. Source: "Actions, resources, and condition keys for AWS Systems Manager"


def condition(key: str, call: Call, request: Mapping[str, Any], tags: Mapping[str, str]) -> Value:
    """The service's own keys, and those of tags in requests. tags: the resource's."""
    if key.startswith("ssm:resourcetag/"):
        return _tag(key, tags)
    if key.startswith("aws:requesttag/"):
        return _tag(key, {tag["Key"]: tag["Value"] for tag in request.get("Tags", ())})
    if key == "aws:tagkeys":
        return (*(tag["Key"] for tag in request.get("Tags", ())), *request.get("TagKeys", ())) or None
    operation = "" if call.route is None else call.route.operation.name
    if operation == "PutParameter":
        if key == "ssm:overwrite":
            return _true(request.get("Overwrite", False))
        if key == "ssm:policies":
            return _true("Policies" in request)
    if operation == "GetParametersByPath" and key == "ssm:recursive":
        return _true(request.get("Recursive", False))
    return None


def _tag(key: str, tags: Mapping[str, str]) -> Value:
    wanted = key.partition("/")[2]
    return next((value for name, value in tags.items() if name.lower() == wanted), None)


def _true(value: object) -> str:
    return "true" if value else "false"
