"""Trails of an organisation: who makes them, who sees them, and where its accounts' events go."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from cloudtrail_support import ACCOUNT, OTHER_ACCOUNT, REGION, Trail, fresh, trail_server
from server_support import refused
from trails_support import bucket_policy, delivered, eventually, keys_in, make_bucket, trail_arn

_SERVICE = "cloudtrail.amazonaws.com"


@pytest.fixture(scope="module")
def organized(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Trail, str]]:
    """A server whose two accounts are an organisation, and its id."""
    with trail_server(tmp_path_factory.mktemp("organized")) as trail:
        organizations = trail.of(service="organizations")
        organization = organizations.create_organization(FeatureSet="ALL")["Organization"]["Id"]
        target = {"Id": OTHER_ACCOUNT, "Type": "ACCOUNT"}
        handshake = organizations.invite_account_to_organization(Target=target)["Handshake"]["Id"]
        trail.of("stranger", service="organizations").accept_handshake(HandshakeId=handshake)
        yield trail, organization


def test_an_organisations_trail(organized: tuple[Trail, str]) -> None:
    trail, organization = organized
    client, member = trail.of(), trail.of("stranger")
    name = fresh("trail")
    arn = trail_arn(name)
    bucket = make_bucket(trail, name, folders=(ACCOUNT, organization))
    settings = {"Name": name, "S3BucketName": bucket, "IsOrganizationTrail": True, "IsMultiRegionTrail": True}
    with refused("CloudTrailAccessNotEnabledException"):
        client.create_trail(**settings)
    organizations = trail.of(service="organizations")
    organizations.enable_aws_service_access(ServicePrincipal=_SERVICE)
    with refused("NotOrganizationMasterAccountException"):
        member.create_trail(**settings)
    organizations.register_delegated_administrator(AccountId=OTHER_ACCOUNT, ServicePrincipal=_SERVICE)
    with refused("NoManagementAccountSLRExistsException"):
        member.create_trail(**settings)
    organizations.deregister_delegated_administrator(AccountId=OTHER_ACCOUNT, ServicePrincipal=_SERVICE)
    # The organisation's folder is needed too.
    s3 = trail.of(service="s3")
    s3.put_bucket_policy(Bucket=bucket, Policy=bucket_policy(bucket, arn))
    with refused("InsufficientS3BucketPolicyException"):
        client.create_trail(**settings)
    s3.put_bucket_policy(Bucket=bucket, Policy=bucket_policy(bucket, arn, folders=(ACCOUNT, organization)))

    made = client.create_trail(**settings)
    assert (made["TrailARN"], made["IsOrganizationTrail"]) == (arn, True)
    role = trail.of(service="iam").get_role(RoleName="AWSServiceRoleForCloudTrail")["Role"]
    assert role["Path"] == f"/aws-service-role/{_SERVICE}/"
    client.start_logging(Name=name)

    # Members see it, and change nothing of it.
    assert [each["TrailARN"] for each in member.describe_trails()["trailList"]] == [arn]
    assert member.describe_trails(includeShadowTrails=False)["trailList"] == []
    assert member.get_trail_status(Name=arn)["IsLogging"] is True
    for ask in (member.stop_logging, member.delete_trail, member.update_trail):
        with refused("NotOrganizationMasterAccountException"):
            ask(Name=arn)

    ours = trail.of(service="kms").create_key()["KeyMetadata"]["KeyId"]
    theirs = trail.of("stranger", service="kms", region="eu-west-1").create_key()["KeyMetadata"]["KeyId"]
    trail.advance("5m")
    found = eventually(
        lambda: delivered(trail, bucket),
        lambda found: {ACCOUNT, OTHER_ACCOUNT} <= {each["recipientAccountId"] for each in found},
    )
    made_keys = {
        each["responseElements"]["keyMetadata"]["keyId"] for each in found if each["eventName"] == "CreateKey"
    }
    assert {ours, theirs} <= made_keys
    folders = {tuple(key.split("/")[:5]) for key in keys_in(trail, bucket)}
    assert ("AWSLogs", organization, OTHER_ACCOUNT, "CloudTrail", "eu-west-1") in folders
    assert ("AWSLogs", organization, ACCOUNT, "CloudTrail", REGION) in folders

    # A delegated administrator changes it; it stays the management account's.
    organizations.register_delegated_administrator(AccountId=OTHER_ACCOUNT, ServicePrincipal=_SERVICE)
    member.stop_logging(Name=arn)
    assert client.get_trail_status(Name=name)["IsLogging"] is False
    with refused("NotOrganizationMasterAccountException"):
        member.update_trail(Name=arn, IsOrganizationTrail=False)
    other = fresh("trail")
    policy = bucket_policy(bucket, trail_arn(other), folders=(ACCOUNT, organization))
    s3.put_bucket_policy(Bucket=bucket, Policy=policy)
    theirs_made = member.create_trail(Name=other, S3BucketName=bucket, IsOrganizationTrail=True)
    assert theirs_made["TrailARN"] == trail_arn(other)
    assert client.update_trail(Name=other, IsOrganizationTrail=False)["IsOrganizationTrail"] is False
    assert [each["TrailARN"] for each in member.describe_trails()["trailList"]] == [arn]
    member.delete_trail(Name=arn)
    assert member.describe_trails()["trailList"] == []
