"""CreatePolicyVersion, GetPolicyVersion, ListPolicyVersions, SetDefaultPolicyVersion, DeletePolicyVersion.

Source: "Versioning IAM policies".
"""

from __future__ import annotations

from dataclasses import replace

from casemate.api import iam
from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.services.iam.entities import ManagedPolicy, Version
from casemate.services.iam.pages import Page
from casemate.services.iam.policies import accepted_version
from casemate.services.iam.quotas import VERSIONS
from casemate.services.iam.refusals import conflict, no_such_entity
from casemate.services.iam.shapes import version_shape
from casemate.services.iam.store import Entities
from casemate.services.iam.targets import Target, named_policy, own_policy


def _check(policy: ManagedPolicy, name: str) -> None:
    if name not in policy.versions:
        raise no_such_entity(f"Policy {policy.arn} version {name} does not exist or is not attachable.")


@iam.CreatePolicyVersion.writes(own_policy)
def create_policy_version(
    call: Call, req: iam.CreatePolicyVersionRequest, target: Target[ManagedPolicy]
) -> iam.CreatePolicyVersionResponse:
    """Another version, in effect if it is made the default."""
    policy = target.entity
    document = accepted_version(req["PolicyDocument"])
    if len(policy.versions) >= VERSIONS:
        raise AwsError(
            "LimitExceeded",
            f"A managed policy can have up to {VERSIONS} versions. Before you create a new version, you must "
            "delete an existing version.",
        )
    name = f"v{policy.latest + 1}"
    changed = replace(
        policy,
        versions={**policy.versions, name: Version(document, call.now)},
        default=name if req.get("SetAsDefault") else policy.default,
        latest=policy.latest + 1,
        updated=call.now,
    )
    call.part(Entities).save(call.tx, changed)
    return {"PolicyVersion": version_shape(changed, name, document=False)}


@iam.GetPolicyVersion.reads(named_policy)
def get_policy_version(
    call: Call, req: iam.GetPolicyVersionRequest, target: Target[ManagedPolicy]
) -> iam.GetPolicyVersionResponse:
    """A version with its document."""
    _check(target.entity, req["VersionId"])
    return {"PolicyVersion": version_shape(target.entity, req["VersionId"], document=True)}


@iam.ListPolicyVersions.reads(named_policy)
def list_policy_versions(
    call: Call, req: iam.ListPolicyVersionsRequest, target: Target[ManagedPolicy]
) -> iam.ListPolicyVersionsResponse:
    """The versions, the newest first."""
    policy = target.entity
    newest_first = list(policy.versions)[::-1]
    places = {name: f"{place:04}" for place, name in enumerate(newest_first, 1)}
    names, more = Page(call, req).of(newest_first, places.__getitem__)
    versions = [version_shape(policy, name, document=False) for name in names]
    return {"Versions": versions, **more}  # type: ignore[typeddict-item]


@iam.SetDefaultPolicyVersion.writes(own_policy)
def set_default_policy_version(
    call: Call, req: iam.SetDefaultPolicyVersionRequest, target: Target[ManagedPolicy]
) -> iam.SetDefaultPolicyVersionResponse:
    """Put a version into effect, wherever the policy is attached."""
    _check(target.entity, req["VersionId"])
    call.part(Entities).save(call.tx, replace(target.entity, default=req["VersionId"]))
    return {}


@iam.DeletePolicyVersion.writes(own_policy)
def delete_policy_version(
    call: Call, req: iam.DeletePolicyVersionRequest, target: Target[ManagedPolicy]
) -> iam.DeletePolicyVersionResponse:
    """Delete a version that is not in effect. Its number is not given again."""
    policy = target.entity
    _check(policy, req["VersionId"])
    if req["VersionId"] == policy.default:
        raise conflict("Cannot delete the default version of a policy.")
    kept = {name: version for name, version in policy.versions.items() if name != req["VersionId"]}
    call.part(Entities).save(call.tx, replace(policy, versions=kept))
    return {}
