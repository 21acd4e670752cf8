"""UpdateFunctionCode, UpdateFunctionConfiguration, PublishVersion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from casemate.api import lambda_
from casemate.gate.random_ids import new_uuid
from casemate.services.lambda_ import packages, settings, variables
from casemate.services.lambda_.creating import PENDING, must_be_assumable, package_of
from casemate.services.lambda_.destinations import check_dead_letters
from casemate.services.lambda_.function import configuration
from casemate.services.lambda_.functions import Functions
from casemate.services.lambda_.refusals import invalid, other_revision, unserved
from casemate.services.lambda_.runtimes import check_runtime
from casemate.services.lambda_.targets import PASS_ROLE, Target, function, need, reconfigured

if TYPE_CHECKING:
    from casemate.gate.call import Call
    from casemate.services.lambda_.rows import Version

_UPDATING = {
    "LastUpdateStatus": "InProgress",
    "LastUpdateStatusReason": "The function is being created.",
    "LastUpdateStatusReasonCode": "Creating",
}
"""What an answer says of an update whose transaction is not committed yet."""


def must_be_revision(req: Mapping[str, Any], latest: Version) -> None:
    """Raises PreconditionFailedException when the request is for another revision."""
    if req.get("RevisionId") not in (None, "", latest.revision):
        raise other_revision()


@lambda_.UpdateFunctionCode.writes(function, need("lambda:UpdateFunctionCode"))
def update_function_code(
    call: Call, req: lambda_.UpdateFunctionCodeRequest, target: Target
) -> lambda_.FunctionConfiguration:
    """Replace the code of $LATEST by another zip archive; with Publish, as a version; with DryRun, only look whether
    it could be done."""
    place, latest = target.named.place, target.found.latest
    must_be_revision(req, latest)
    if req.get("PublishTo"):
        raise unserved("Versions published to $LATEST.PUBLISHED")
    chosen = dict(latest.settings)
    if "Architectures" in req:
        chosen["Architectures"] = list(req["Architectures"])
        check_runtime(chosen)
    package = package_of(call, req)
    if req.get("DryRun"):
        looked_at = latest.code._replace(sha256=package.sha256, size=len(package.zipped))
        would_be = latest._replace(code=looked_at, settings=chosen)
        return configuration(place, would_be, variables.shown(call, place, latest))
    code = packages.store(call.tx, package)
    changed = latest._replace(code=code, settings=chosen, modified=call.now, revision=new_uuid())
    call.part(Functions).replace(call.tx, place, latest, changed)
    if req.get("Publish"):
        published = _publish(call, target, changed, None)
        return configuration(place, published, variables.shown(call, place, published), state=_UPDATING)
    return configuration(place, changed, variables.shown(call, place, changed), state=_UPDATING)


@lambda_.UpdateFunctionConfiguration.writes(
    reconfigured, need("lambda:UpdateFunctionConfiguration"), PASS_ROLE
)
def update_function_configuration(
    call: Call, req: lambda_.UpdateFunctionConfigurationRequest, target: Target
) -> lambda_.FunctionConfiguration:
    """Change the configuration of $LATEST; what is not given stays. An environment replaces the one that was."""
    place, latest = target.named.place, target.found.latest
    must_be_revision(req, latest)
    chosen = settings.changed(latest.settings, req)
    if "Runtime" in req:
        check_runtime(chosen)
    if "Role" in req:
        must_be_assumable(call, place, req["Role"])
    if "Role" in req or "DeadLetterConfig" in req:
        check_dead_letters(call, place, chosen)
    encrypted, grant = latest.variables, latest.grant
    key, old_key = chosen.get("KMSKeyArn", ""), latest.settings.get("KMSKeyArn", "")
    given = req.get("Environment")
    if given is not None or key != old_key:
        environment = given.get("Variables", {}) if given is not None else None
        if environment is None:
            environment = variables.decrypt(call, place, latest.variables)
        variables.checked(environment)
        encrypted = variables.encrypt(call, place, key, chosen["Role"], environment)
    if (encrypted, key, chosen["Role"]) != (latest.variables, old_key, latest.settings["Role"]):
        grant = variables.grant(call, place, key, chosen["Role"]) if key and encrypted else ""
    changed = latest._replace(
        settings=chosen, variables=encrypted, grant=grant, modified=call.now, revision=new_uuid()
    )
    functions = call.part(Functions)
    if latest.grant != grant and not any(
        version.number and version.grant == latest.grant
        for version in functions.versions(call.tx, place, -1, 1_000_000)
    ):
        variables.retire(call, place, latest)
    functions.replace(call.tx, place, latest, changed)
    return configuration(place, changed, variables.shown(call, place, changed), state=_UPDATING)


@lambda_.PublishVersion.writes(function, need("lambda:PublishVersion"))
def publish_version(
    call: Call, req: lambda_.PublishVersionRequest, target: Target
) -> lambda_.FunctionConfiguration:
    """Make a version of what $LATEST is now; where nothing has changed since the last one, that one is answered."""
    place, latest = target.named.place, target.found.latest
    if req.get("PublishTo"):
        raise unserved("Versions published to $LATEST.PUBLISHED")
    must_be_revision(req, latest)
    expected = req.get("CodeSha256")
    if expected and expected != latest.code.sha256:
        raise invalid(
            f"CodeSHA256 ({expected}) is different from current CodeSHA256 in $LATEST ({latest.code.sha256}). "
            "Please try again with the CodeSHA256 in $LATEST."
        )
    published = _publish(call, target, latest, req.get("Description"))
    return configuration(place, published, variables.shown(call, place, published), state=PENDING)


def _publish(call: Call, target: Target, latest: Version, description: str | None) -> Version:
    functions, row = call.part(Functions), target.found.row
    chosen = dict(latest.settings)
    if description is not None:
        chosen["Description"] = description
    if row.published:
        last = functions.find_version(call, target.found, row.published)
        if last is not None and _same(last, latest):
            return last
    version = latest._replace(
        number=row.published + 1, settings=chosen, modified=call.now, revision=new_uuid()
    )
    functions.add(call.tx, row.place, version)
    functions.save(call.tx, row._replace(published=version.number))
    return version


def _same(last: Version, latest: Version) -> bool:
    """Whether nothing has changed since a version, but for what it was described by when it was published."""

    def of(version: Version) -> tuple[Any, ...]:
        chosen = {name: value for name, value in version.settings.items() if name != "Description"}
        return (chosen, version.variables, version.code.sha256)

    return of(last) == of(latest)
