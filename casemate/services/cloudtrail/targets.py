"""What a request acts on: one resolver for each way in which the operations on trails name it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from casemate.gate.pass_role import PassedRole, passed_role
from casemate.gate.resource import Resource, Value
from casemate.services.cloudtrail.naming import SERVICE, Place, read_name
from casemate.services.cloudtrail.refusals import no_trail, not_at_home, not_management
from casemate.services.cloudtrail.trails import Trail, Trails

if TYPE_CHECKING:
    from casemate.errors import AwsError
    from casemate.gate.call import Call


class Named(Resource):
    """A trail as a request means it. found: None of one that is not there, and of one that is to be made; role: what
    is given to CloudTrail to act by, None where nothing is; tagged: itself, where tags are given."""

    __slots__ = ("found", "place", "role", "tagged")

    def __init__(
        self,
        call: Call,
        request: Mapping[str, Any],
        place: Place,
        found: Trail | None,
        missing: AwsError | None = None,
    ) -> None:
        # An organisation's trail is every account's of it: each account's own policies say who may see it.
        super().__init__(place.arn, call.account, type="AWS::CloudTrail::Trail", missing=missing)
        self.place = place
        self.found = found
        role = request.get("CloudWatchLogsRoleArn")
        self.role: PassedRole | None = passed_role(call, role, SERVICE, place.arn) if role else None
        self.tagged: Named | None = self if request.get("TagsList") else None

    @property
    def trail(self) -> Trail:
        """Once it is authorised."""
        assert self.found is not None
        return self.found

    def tags(self) -> Mapping[str, str]:
        tags: Mapping[str, str] = {} if self.found is None else self.found.get("Tags", {})
        return tags

    def condition(self, key: str, call: Call, request: Mapping[str, Any]) -> Value:  # noqa: ARG002
        tags = {tag["Key"]: tag.get("Value", "") for tag in request.get("TagsList", ())}
        if key == "aws:tagkeys":
            return list(tags) or None
        if key.startswith("aws:requesttag/"):
            return next((value for name, value in tags.items() if name.lower() == key[15:]), None)
        return None


def new_trail(call: Call, request: Mapping[str, Any]) -> Named:
    """A trail of Name that need not be there. An organisation's is its management account's, whoever makes it."""
    place, _ = read_name(request["Name"], call.account, call.region)
    if request.get("IsOrganizationTrail"):
        organization = call.gate.organizations.oversight(call.account, call.tx)
        if organization is not None and organization.administered_by(call.account, SERVICE):
            place = place._replace(account=organization.management)
    return Named(call, request, place._replace(region=call.region), None)


def _found(call: Call, request: Mapping[str, Any], text: str) -> Named:
    place, _ = read_name(text, call.account, call.region)
    trail = call.part(Trails).find(call.tx, place)
    if trail is not None and place.account != call.account:
        standing = call.gate.organizations.standing(call.account, call.tx)
        if not trail.organization or standing.organization != trail.organization:
            trail = None
    missing = no_trail(place.arn, call.account) if trail is None else None
    return Named(call, request, place, trail, missing)


def shown_trail(call: Call, request: Mapping[str, Any]) -> Named:
    """Name or TrailName: a trail of the Region by its name, any that the account has by its ARN."""
    return _found(call, request, _name(request))


def changed_trail(call: Call, request: Mapping[str, Any]) -> Named:
    """The same for what changes it: in its home Region; an organisation's by whoever administers it."""
    named = _found(call, request, _name(request))
    return _own(call, named)


def _own(call: Call, named: Named) -> Named:
    if named.found is None:
        return named
    if named.place.region != call.region:
        named.missing = not_at_home(named.arn, named.place.region)
    elif named.place.account != call.account:
        organization = call.gate.organizations.oversight(call.account, call.tx)
        if organization is None or not organization.administered_by(call.account, SERVICE):
            named.missing = not_management()
    return named


def _name(request: Mapping[str, Any]) -> str:
    name: str = request["Name"] if "Name" in request else request.get("TrailName", "")
    return name


def anything(call: Call, request: Mapping[str, Any]) -> Resource:
    """All of the caller's account."""
    return Resource("*", call.account)
