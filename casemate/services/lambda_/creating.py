"""CreateFunction, DeleteFunction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from casemate.api import lambda_, s3
from casemate.errors import AwsError
from casemate.gate.acting import Actor
from casemate.gate.pass_role import trusts
from casemate.gate.random_ids import new_uuid
from casemate.services.lambda_ import packages, settings, variables
from casemate.services.lambda_.destinations import check_dead_letters
from casemate.services.lambda_.function import configuration
from casemate.services.lambda_.functions import Functions
from casemate.services.lambda_.naming import LATEST, SERVICE, Place
from casemate.services.lambda_.refusals import conflict, invalid, unserved
from casemate.services.lambda_.rows import Row, Version
from casemate.services.lambda_.runtimes import check_runtime
from casemate.services.lambda_.tag_rules import checked_tags
from casemate.services.lambda_.targets import (
    PASS_ROLE,
    TAGGING,
    Target,
    need,
    new_function,
    qualified_function,
)

if TYPE_CHECKING:
    from casemate.gate.call import Call

PENDING = {
    "State": "Pending",
    "StateReason": "The function is being created.",
    "StateReasonCode": "Creating",
}
"""What an answer says of a function whose transaction is not committed yet."""


def must_be_assumable(call: Call, place: Place, role: str) -> None:
    """Raises InvalidParameterValueException for a role that does not trust Lambda, or is not there."""
    if not trusts(call, role, Actor(SERVICE, place.account, place.region, place.arn)):
        raise invalid("The role defined for the function cannot be assumed by Lambda.")


def package_of(call: Call, code: Mapping[str, Any]) -> packages.Package:
    """The deployment package that a request brings. Raises InvalidParameterValueException."""
    if "ImageUri" in code:
        raise unserved("Container images")
    if code.get("SourceKMSKeyArn"):
        raise unserved("Customer managed keys of deployment packages")
    zipped: bytes
    if "S3Bucket" in code or "S3Key" in code:
        if "ZipFile" in code:
            raise invalid("Please do not provide other FunctionCode parameters when providing a ZipFile.")
        zipped = call.once("object", lambda: _from_s3(call, code))
    elif "ZipFile" in code:
        zipped = code["ZipFile"]
    else:
        raise invalid("Please specify either ImageUri, ZipFile or S3 details")
    return call.before("package", lambda: packages.checked(zipped))


def _from_s3(call: Call, code: Mapping[str, Any]) -> bytes:
    """An object, read as the caller. Raises InvalidParameterValueException, AccessDeniedException."""
    if "S3Bucket" not in code or "S3Key" not in code:
        raise invalid("Please specify both S3Bucket and S3Key.")
    asked: s3.GetObjectRequest = {
        "Bucket": code["S3Bucket"],
        "Key": code["S3Key"],
        # One byte more than may be: that is enough to refuse it.
        "Range": f"bytes=0-{packages.MOST_ZIPPED}",
    }
    if "S3ObjectVersion" in code:
        asked["VersionId"] = code["S3ObjectVersion"]
    try:
        answer = s3.GetObject.ask(call, asked, via="lambda")
    except AwsError as error:
        said = f"S3 Error Code: {error.code}. S3 Error Message: {error.message}"
        if error.code == "AccessDenied":
            raise AwsError(
                "AccessDeniedException",
                "Your access has been denied by S3, please make sure your request credentials have permission to "
                f"GetObject for {code['S3Bucket']}/{code['S3Key']}. {said}",
                403,
            ) from None
        raise invalid(f"Error occurred while GetObject. {said}") from None
    return answer.get("Body", b"")


@lambda_.CreateFunction.writes(new_function, need("lambda:CreateFunction"), PASS_ROLE, TAGGING)
def create_function(
    call: Call, req: lambda_.CreateFunctionRequest, target: Target
) -> lambda_.FunctionConfiguration:
    """Make a function of a zip archive, with $LATEST and, with Publish, version 1. The role must trust Lambda; the
    environment is encrypted by KMS as the caller."""
    place = target.named.place
    if target.entry is not None:
        raise conflict(f"Function already exist: {place.name}")
    chosen = settings.created(req)
    check_runtime(chosen)
    tags = checked_tags({}, req.get("Tags", {}))
    environment = req.get("Environment", {}).get("Variables", {})
    variables.checked(environment)
    package = package_of(call, req["Code"])
    must_be_assumable(call, place, req["Role"])
    check_dead_letters(call, place, chosen)
    key = chosen.get("KMSKeyArn", "")
    encrypted = variables.encrypt(call, place, key, req["Role"], environment)
    grant = variables.grant(call, place, key, req["Role"]) if key and encrypted else ""
    code = packages.store(call.tx, package)
    latest = Version(0, chosen, encrypted, grant, code, call.now, new_uuid())
    row = Row(place, new_uuid(), tags=tags)
    functions = call.part(Functions)
    shown = latest
    if req.get("Publish"):
        row = row._replace(published=1)
        shown = latest._replace(number=1, revision=new_uuid())
    functions.create(call.tx, row, latest)
    if shown.number:
        functions.add(call.tx, place, shown)
    return configuration(
        place, shown, {"Variables": environment} if environment else None, qualifier="", state=PENDING
    )


@lambda_.DeleteFunction.writes(qualified_function, need("lambda:DeleteFunction"))
def delete_function(
    call: Call, req: lambda_.DeleteFunctionRequest, target: Target
) -> lambda_.DeleteFunctionResponse:
    """Delete a function with all its versions and aliases, or with a qualifier one version."""
    functions, entry, place = call.part(Functions), target.found, target.named.place
    qualifier = target.named.qualifier
    if not qualifier:
        for version in functions.versions(call.tx, place, -1, 1_000_000):
            variables.retire(call, place, version)
        functions.delete(call.tx, place)
        return {"StatusCode": 204}
    if qualifier == LATEST:
        raise invalid("$LATEST version cannot be deleted without deleting the function.")
    if target.alias is not None:
        raise invalid("Deletion of aliases is not currently supported.")
    version = target.meant
    users = sorted(
        name
        for name, alias in entry.row.aliases.items()
        if version.name == alias.version or version.name in alias.routing
    )
    if users:
        raise conflict(
            f"Unable to delete version because the following aliases reference it: [{', '.join(users)}]"
        )
    functions.drop_version(call.tx, place, version)
    drop_of_qualifier(call, entry.row, qualifier)
    return {"StatusCode": 204}


def drop_of_qualifier(call: Call, row: Row, qualifier: str, **changes: Any) -> None:
    """Save a row without what it holds under a qualifier that is no more. changes: further ones."""
    policies = {name: each for name, each in row.policies.items() if name != qualifier}
    events = {name: each for name, each in row.events.items() if name != qualifier}
    call.part(Functions).save(call.tx, row._replace(policies=policies, events=events, **changes))
