"""A function as policies and answers see it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from casemate.engine.policy import Policy
from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.gate.resource import Resource, Value
from casemate.services.lambda_.naming import Place, qualified
from casemate.services.lambda_.permissions import compiled
from casemate.services.lambda_.rows import Row, Version

if TYPE_CHECKING:
    from casemate.api import lambda_

TYPE = "AWS::Lambda::Function"


class Entry:
    """A function that is there, with its $LATEST; never changed once it is made."""

    __slots__ = ("_resources", "latest", "row")

    def __init__(self, row: Row, latest: Version) -> None:
        self.row = row
        self.latest = latest
        self._resources: dict[str, Function] = {}

    def at(self, qualifier: str) -> Function:
        """The function under a qualifier, '' for none, which is there. Its resource policy is that qualifier's."""
        found = self._resources.get(qualifier)
        if found is None:
            permissions = self.row.policies.get(qualifier)
            policy = None if permissions is None else compiled(permissions)
            found = self._resources[qualifier] = Function(
                self.row.place, qualifier, policy, self.row.tags, None
            )
        return found


class Function(Resource):
    """A function, one of its versions or aliases, as something that calls act on."""

    __slots__ = ("_tags", "place", "qualifier")

    def __init__(
        self,
        place: Place,
        qualifier: str,
        policy: Policy | None,
        tags: Mapping[str, str],
        missing: AwsError | None,
    ) -> None:
        super().__init__(
            qualified(place, qualifier), place.account, policy=policy, type=TYPE, missing=missing
        )
        self.place = place
        self.qualifier = qualifier
        self._tags = tags

    def tags(self) -> Mapping[str, str]:
        return self._tags

    def condition(self, key: str, call: Call, request: Mapping[str, Any]) -> Value:
        return condition(key, call, request)


# --- condition keys, all in lower case. Source: "Actions, resources, and condition keys for AWS Lambda"


def condition(key: str, call: Call, request: Mapping[str, Any]) -> Value:
    """The service's own keys, and those of tags in requests."""
    operation = "" if call.route is None else call.route.operation.name
    if key.startswith("aws:requesttag/"):
        wanted = key.partition("/")[2]
        tags = request.get("Tags", {})
        return next((value for name, value in tags.items() if name.lower() == wanted), None)
    if key == "aws:tagkeys":
        return (*request.get("Tags", {}), *request.get("TagKeys", ())) or None
    if key == "lambda:principal":
        return request.get("Principal") if operation == "AddPermission" else None
    if key == "lambda:functionurlauthtype":
        return request.get("FunctionUrlAuthType")
    if key == "lambda:invokedviafunctionurl":
        return "false" if operation == "Invoke" else None
    # Tokens of event sources come with invocations by services that are not served.
    if key == "lambda:eventsourcetoken":
        return request.get("EventSourceToken") if operation == "AddPermission" else None
    if key == "lambda:layer":
        return tuple(request.get("Layers", ())) or None
    if key == "lambda:codesigningconfigarn":
        return request.get("CodeSigningConfigArn")
    vpc = request.get("VpcConfig", {})
    if key == "lambda:subnetids":
        return tuple(vpc.get("SubnetIds", ())) or None
    if key == "lambda:securitygroupids":
        return tuple(vpc.get("SecurityGroupIds", ())) or None
    # Which VPC a subnet belongs to, EC2 would tell.
    if key == "lambda:vpcids":
        return None
    return None


def moment(seconds: float) -> str:
    """2026-11-25T16:04:05.123+0000"""
    whole, part = divmod(int(seconds * 1000), 1000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole)) + f".{part:03d}+0000"


def configuration(
    place: Place,
    version: Version,
    environment: lambda_.EnvironmentResponse | None,
    *,
    qualifier: str | None = None,
    state: Mapping[str, str] | None = None,
) -> lambda_.FunctionConfiguration:
    """A version as answers show it. environment: the variables or why they are not shown; qualifier: the one in the
    ARN, the version's own unless given; state: of one that is being made or changed."""
    settings = version.settings
    own = version.name if version.number else ""
    answer: dict[str, Any] = {
        "FunctionName": place.name,
        "FunctionArn": qualified(place, own if qualifier is None else qualifier),
        **settings,
        "CodeSize": version.code.size,
        "LastModified": moment(version.modified),
        "CodeSha256": version.code.sha256,
        "Version": version.name,
        "RevisionId": version.revision,
        "TracingConfig": settings.get("TracingConfig", {"Mode": "PassThrough"}),
        "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
        "State": "Active",
        "LastUpdateStatus": "Successful",
        **(state or {}),
    }
    if environment is not None:
        answer["Environment"] = environment
    result: lambda_.FunctionConfiguration = answer  # type: ignore[assignment]
    return result
