"""The operations on trails: what they answer, and how they refuse."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cloudtrail_support import ACCOUNT, OTHER_ACCOUNT, REGION, Trail, fresh
from server_support import refused
from trails_support import (
    bucket_policy,
    key_policy,
    make_bucket,
    make_role,
    make_trail,
    topic_policy,
    trail_arn,
)


@pytest.fixture(name="trail")
def _trail(moving: Trail) -> Trail:
    return moving


@pytest.fixture
def named(trail: Trail) -> str:
    return make_trail(trail, start=False)[0]


@pytest.fixture(autouse=True)
def _remove(trail: Trail) -> Any:
    """An account has five trails at most."""
    yield
    for each in trail.of().list_trails()["Trails"]:
        trail.of(region=each["HomeRegion"]).delete_trail(Name=each["TrailARN"])


def test_a_trail_is_shown_as_it_was_made(trail: Trail) -> None:
    name = fresh("trail")
    bucket = make_bucket(trail, name, prefix="deep/down")
    made = trail.of().create_trail(
        Name=name,
        S3BucketName=bucket,
        S3KeyPrefix="deep/down",
        IsMultiRegionTrail=True,
        EnableLogFileValidation=True,
        TagsList=[{"Key": "team", "Value": "blue"}],
    )
    made.pop("ResponseMetadata")
    assert made == {
        "Name": name,
        "S3BucketName": bucket,
        "S3KeyPrefix": "deep/down",
        "IncludeGlobalServiceEvents": True,
        "IsMultiRegionTrail": True,
        "TrailARN": trail_arn(name),
        "LogFileValidationEnabled": True,
        "IsOrganizationTrail": False,
        "RecursiveLogging": True,
    }
    shown = trail.of().get_trail(Name=name)["Trail"]
    assert shown == {
        **made,
        "HomeRegion": REGION,
        "HasCustomEventSelectors": False,
        "HasInsightSelectors": False,
    }
    assert trail.of().describe_trails()["trailList"] == [shown]
    away = trail.of(region="eu-west-1")
    assert away.describe_trails()["trailList"] == [shown]
    assert away.describe_trails(includeShadowTrails=False)["trailList"] == []
    assert away.describe_trails(trailNameList=[trail_arn(name)])["trailList"] == [shown]
    assert away.describe_trails(trailNameList=[name])["trailList"] == []
    assert away.list_trails()["Trails"] == [{"TrailARN": trail_arn(name), "Name": name, "HomeRegion": REGION}]
    assert trail.of().list_tags(ResourceIdList=[trail_arn(name)])["ResourceTagList"] == [
        {"ResourceId": trail_arn(name), "TagsList": [{"Key": "team", "Value": "blue"}]}
    ]
    status = trail.of().get_trail_status(Name=name)
    assert status["IsLogging"] is False
    assert "StartLoggingTime" not in status


def test_settings_change_one_by_one(trail: Trail, named: str) -> None:
    client = trail.of()
    bucket = client.get_trail(Name=named)["Trail"]["S3BucketName"]
    client.update_trail(Name=named, RecursiveLogging=False, IncludeGlobalServiceEvents=False)
    client.update_trail(Name=trail_arn(named), EnableLogFileValidation=True)
    shown = client.get_trail(Name=named)["Trail"]
    assert shown["S3BucketName"] == bucket
    assert (shown["RecursiveLogging"], shown["IncludeGlobalServiceEvents"]) == (False, False)
    assert shown["LogFileValidationEnabled"] is True
    with refused(
        "InvalidParameterCombinationException", "Multi-Region trail must include global service events."
    ):
        client.update_trail(Name=named, IsMultiRegionTrail=True)
    with refused("S3BucketDoesNotExistException", "S3 bucket there-is-no-such-bucket does not exist!"):
        client.update_trail(Name=named, S3BucketName="there-is-no-such-bucket")
    assert client.get_trail(Name=named)["Trail"] == shown


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "ab",
            "Trail name too short. Minimum allowed length: 3 characters. Specified name length: 2 characters.",
        ),
        (
            "a" * 129,
            "Trail name too long. Maximum allowed length: 128 characters. Specified name length: 129 characters.",
        ),
        ("-abc", "Trail name must starts with a letter or number."),
        ("abc-", "Trail name must ends with a letter or number."),
        (
            "a b c",
            "Trail name or ARN can only contain uppercase letters, lowercase letters, numbers, periods (.), "
            "hyphens (-), and underscores (_).",
        ),
        ("my--trail", "Trail name cannot have adjacent periods, hyphens (-) or underscores (_)."),
        ("192.168.5.4", "Trail name cannot be in IP address format."),
    ],
)
def test_names_that_no_trail_can_have(trail: Trail, name: str, message: str) -> None:
    with refused("InvalidTrailNameException", message):
        trail.of().create_trail(Name=name, S3BucketName="bucket")
    with refused("InvalidTrailNameException", message):
        trail.of().get_trail(Name=name)


@pytest.mark.parametrize(
    "arn",
    [
        "arn:aws:cloudtrail:us-east-1:111122223333:trail",
        "arn:aws:cloudtrail:us-east-1:1111:trail/name",
        "arn:aws:s3:us-east-1:111122223333:trail/name",
        "arn:aws-cn:cloudtrail:us-east-1:111122223333:trail/name",
        "arn:aws:cloudtrail:us-east-1:111122223333:trail/a--b",
    ],
)
def test_arns_of_no_trail(trail: Trail, arn: str) -> None:
    for ask in (trail.of().get_trail, trail.of().start_logging, trail.of().delete_trail):
        with refused("CloudTrailARNInvalidException", f"The ARN {arn} is not a valid trail ARN."):
            ask(Name=arn)


def test_trails_that_are_not_there(trail: Trail) -> None:
    client, arn = trail.of(), trail_arn("nowhere")
    asks: list[tuple[Any, dict[str, Any]]] = [
        (client.get_trail, {"Name": "nowhere"}),
        (client.get_trail_status, {"Name": arn}),
        (client.start_logging, {"Name": "nowhere"}),
        (client.stop_logging, {"Name": "nowhere"}),
        (client.delete_trail, {"Name": "nowhere"}),
        (client.update_trail, {"Name": "nowhere"}),
        (client.get_event_selectors, {"TrailName": "nowhere"}),
        (client.put_event_selectors, {"TrailName": "nowhere", "EventSelectors": [{}]}),
    ]
    for ask, parameters in asks:
        with refused("TrailNotFoundException", f"Unknown trail: {arn} for the user: {ACCOUNT}"):
            ask(**parameters)
    with refused("ResourceNotFoundException", f"The trail {arn} is not found."):
        client.add_tags(ResourceId=arn, TagsList=[{"Key": "k", "Value": "v"}])
    assert client.describe_trails(trailNameList=["nowhere"])["trailList"] == []


def test_nobody_without_permission_learns_what_there_is(trail: Trail, named: str) -> None:
    for name in (named, "nowhere"):
        with refused("AccessDeniedException"):
            trail.of("nobody").get_trail(Name=name)
        with refused("AccessDeniedException"):
            trail.of("nobody").stop_logging(Name=name)
    with refused("AccessDeniedException"):
        trail.of("nobody").describe_trails()
    for reach in (trail.of("stranger").get_trail, trail.of("stranger").delete_trail):
        with refused(
            "TrailNotFoundException", f"Unknown trail: {trail_arn(named)} for the user: {OTHER_ACCOUNT}"
        ):
            reach(Name=trail_arn(named))
    assert trail.of("stranger").list_trails()["Trails"] == []


def test_a_trail_changes_at_home_only(trail: Trail) -> None:
    name, _ = make_trail(trail, IsMultiRegionTrail=True)
    away, arn = trail.of(region="eu-west-1"), trail_arn(name)
    for ask in (away.start_logging, away.stop_logging, away.delete_trail, away.update_trail):
        with refused(
            "InvalidHomeRegionException",
            f"The trail {arn} can be changed in its home Region only, which is {REGION}.",
        ):
            ask(Name=arn)
    with refused("InvalidHomeRegionException"):
        away.put_event_selectors(TrailName=arn, EventSelectors=[{}])
    assert away.get_trail_status(Name=arn)["IsLogging"] is True
    with refused("TrailNotFoundException"):
        away.get_trail_status(Name=name)


def test_names_are_taken_once_and_there_are_five(trail: Trail) -> None:
    client = trail.of()
    name, bucket = make_trail(trail, start=False, IsMultiRegionTrail=True)
    with refused("TrailAlreadyExistsException", f"Trail {name} already exists for customer: {ACCOUNT}"):
        client.create_trail(Name=name, S3BucketName=bucket)
    # Its shadow is in all Regions.
    with refused("TrailAlreadyExistsException"):
        trail.of(region="eu-west-1").create_trail(Name=name, S3BucketName=bucket)
    for _ in range(4):
        make_trail(trail, start=False)
    with refused(
        "MaximumNumberOfTrailsExceededException", f"User: {ACCOUNT} already has 5 trails in {REGION}."
    ):
        make_trail(trail, start=False)
    for _ in range(2):
        away = fresh("trail")
        policy = bucket_policy(bucket, trail_arn(away, "eu-west-1"))
        trail.of(service="s3").put_bucket_policy(Bucket=bucket, Policy=policy)
        trail.of(region="eu-west-1").create_trail(Name=away, S3BucketName=bucket)


def test_the_buckets_policy_must_let_cloudtrail(trail: Trail) -> None:
    name, other, client = fresh("trail"), fresh("trail"), trail.of()
    bucket = make_bucket(trail, other)
    message = f"Incorrect S3 bucket policy is detected for bucket: {bucket}"
    with refused("InsufficientS3BucketPolicyException", message):
        # It is another trail's.
        client.create_trail(Name=name, S3BucketName=bucket)
    s3 = trail.of(service="s3")
    policy = json.loads(bucket_policy(bucket, trail_arn(name)))
    for missing in (0, 1):
        partial = {**policy, "Statement": [policy["Statement"][1 - missing]]}
        s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(partial))
        with refused("InsufficientS3BucketPolicyException", message):
            client.create_trail(Name=name, S3BucketName=bucket)
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    with refused("InsufficientS3BucketPolicyException", message):
        client.create_trail(Name=name, S3BucketName=bucket, S3KeyPrefix="elsewhere")
    client.create_trail(Name=name, S3BucketName=bucket)
    with refused("S3BucketDoesNotExistException", "S3 bucket there-is-no-such-bucket does not exist!"):
        client.create_trail(Name=fresh("trail"), S3BucketName="there-is-no-such-bucket")
    with refused("InvalidS3BucketNameException", "Bucket name no bucket is not valid."):
        client.create_trail(Name=fresh("trail"), S3BucketName="no bucket")
    for prefix in ("a" * 201, "/a"):
        with refused("InvalidS3PrefixException", f"S3 prefix {prefix} is not valid."):
            client.create_trail(Name=fresh("trail"), S3BucketName=bucket, S3KeyPrefix=prefix)


def test_the_kms_key_must_let_cloudtrail(trail: Trail) -> None:
    name, client, kms = fresh("trail"), trail.of(), trail.of(service="kms")
    bucket = make_bucket(trail, name)
    with refused("KmsKeyNotFoundException"):
        client.create_trail(Name=name, S3BucketName=bucket, KmsKeyId="alias/nowhere")
    with refused("KmsKeyNotFoundException"):
        client.create_trail(Name=name, S3BucketName=bucket, KmsKeyId="00000000-0000-0000-0000-000000000000")
    with refused("InvalidKmsKeyIdException"):
        client.create_trail(Name=name, S3BucketName=bucket, KmsKeyId="arn:aws:kms:nonsense")
    key = kms.create_key()["KeyMetadata"]
    with refused(
        "InsufficientEncryptionPolicyException",
        f"Insufficient permissions to access S3 bucket {bucket} or KMS key {key['KeyId']}.",
    ):
        client.create_trail(Name=name, S3BucketName=bucket, KmsKeyId=key["KeyId"])
    away = trail.of(service="kms", region="eu-west-1").create_key()["KeyMetadata"]
    with refused("KmsKeyNotFoundException"):
        client.create_trail(Name=name, S3BucketName=bucket, KmsKeyId=away["Arn"])
    kms.put_key_policy(KeyId=key["KeyId"], PolicyName="default", Policy=key_policy(trail_arn(name)))
    kms.disable_key(KeyId=key["KeyId"])
    with refused("KmsException"):
        client.create_trail(Name=name, S3BucketName=bucket, KmsKeyId=key["KeyId"])
    kms.enable_key(KeyId=key["KeyId"])
    kms.create_alias(AliasName=f"alias/{name}", TargetKeyId=key["KeyId"])
    made = client.create_trail(Name=name, S3BucketName=bucket, KmsKeyId=f"alias/{name}")
    assert made["KmsKeyId"] == key["Arn"]
    assert "KmsKeyId" not in client.update_trail(Name=name, KmsKeyId="")


def test_the_topic_must_let_cloudtrail(trail: Trail) -> None:
    name, client, sns = fresh("trail"), trail.of(), trail.of(service="sns")
    bucket, topic = make_bucket(trail, name), fresh("topic")
    message = "SNS Topic does not exist or the topic policy is incorrect!"
    with refused("InsufficientSnsTopicPolicyException", message):
        client.create_trail(Name=name, S3BucketName=bucket, SnsTopicName=topic)
    arn = sns.create_topic(Name=topic)["TopicArn"]
    with refused("InsufficientSnsTopicPolicyException", message):
        client.create_trail(Name=name, S3BucketName=bucket, SnsTopicName=topic)
    for bad in ("no topic", "arn:aws:sns:nonsense"):
        with refused("InvalidSnsTopicNameException", f"SNS topic name {bad} is not valid."):
            client.create_trail(Name=name, S3BucketName=bucket, SnsTopicName=bad)
    sns.set_topic_attributes(
        TopicArn=arn, AttributeName="Policy", AttributeValue=topic_policy(arn, trail_arn(name))
    )
    made = client.create_trail(Name=name, S3BucketName=bucket, SnsTopicName=topic)
    assert (made["SnsTopicARN"], made["SnsTopicName"]) == (arn, topic)
    assert "SnsTopicARN" not in client.update_trail(Name=name, SnsTopicName="")


def test_the_log_group_and_the_role_must_let_cloudtrail(trail: Trail) -> None:
    name, client, group = fresh("trail"), trail.of(), fresh("group")
    bucket = make_bucket(trail, name)
    trail.of(service="logs").create_log_group(logGroupName=group)
    arn = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{group}:*"
    role = make_role(trail)

    def make(group_arn: str, role_arn: str) -> Any:
        return client.create_trail(
            Name=name,
            S3BucketName=bucket,
            CloudWatchLogsLogGroupArn=group_arn,
            CloudWatchLogsRoleArn=role_arn,
        )

    with refused("InvalidCloudWatchLogsLogGroupArnException"):
        make(arn.removesuffix(":*"), role)
    with refused("InvalidCloudWatchLogsLogGroupArnException"):
        make(arn.replace(REGION, "eu-west-1"), role)
    with refused("InvalidCloudWatchLogsLogGroupArnException"):
        client.create_trail(Name=name, S3BucketName=bucket, CloudWatchLogsRoleArn=role)
    with refused("InvalidCloudWatchLogsRoleArnException"):
        client.create_trail(Name=name, S3BucketName=bucket, CloudWatchLogsLogGroupArn=arn)
    with refused(
        "InvalidCloudWatchLogsRoleArnException", "Access denied. Check the trust relationships for your role."
    ):
        make(arn, make_role(trail, service="lambda.amazonaws.com"))
    denied = "Access denied. Check the permissions for your role."
    with refused("InvalidCloudWatchLogsLogGroupArnException", denied):
        make(arn, make_role(trail, allowed="logs:CreateLogStream"))
    with refused("InvalidCloudWatchLogsLogGroupArnException", denied):
        make(arn.replace(group, "no-such-group"), role)
    made = make(arn, role)
    assert (made["CloudWatchLogsLogGroupArn"], made["CloudWatchLogsRoleArn"]) == (arn, role)
    cleared = client.update_trail(Name=name, CloudWatchLogsLogGroupArn="", CloudWatchLogsRoleArn="")
    assert "CloudWatchLogsRoleArn" not in cleared


def test_who_gives_a_role_must_be_allowed_to(trail: Trail) -> None:
    user, name = fresh("passer"), fresh("trail")
    iam = trail.of(service="iam")
    iam.create_user(UserName=user)
    allow = {"Effect": "Allow", "Action": "cloudtrail:*", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    iam.put_user_policy(UserName=user, PolicyName="own", PolicyDocument=document)
    made = iam.create_access_key(UserName=user)["AccessKey"]
    from casemate.services.iam.identities import AccessKey

    client = trail.server.client(
        "cloudtrail", AccessKey(made["AccessKeyId"], made["SecretAccessKey"]), region=REGION
    )
    group = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:any:*"
    with refused("AccessDeniedException"):
        client.create_trail(
            Name=name,
            S3BucketName=make_bucket(trail, name),
            CloudWatchLogsLogGroupArn=group,
            CloudWatchLogsRoleArn=make_role(trail),
        )


def test_tags(trail: Trail, named: str) -> None:
    client, arn = trail.of(), trail_arn(named)
    client.add_tags(ResourceId=arn, TagsList=[{"Key": "a", "Value": "1"}, {"Key": "b"}])
    client.remove_tags(ResourceId=arn, TagsList=[{"Key": "a"}, {"Key": "never"}])
    (listed,) = client.list_tags(ResourceIdList=[arn])["ResourceTagList"]
    assert listed["TagsList"] == [{"Key": "b", "Value": ""}]
    with refused("InvalidTagParameterException", "Duplicate tag keys found."):
        client.add_tags(ResourceId=arn, TagsList=[{"Key": "a"}, {"Key": "a"}])
    with refused("InvalidTagParameterException"):
        client.add_tags(ResourceId=arn, TagsList=[{"Key": "aws:a"}])
    with refused("TagsLimitExceededException", "A trail can have 50 tags at most."):
        client.add_tags(ResourceId=arn, TagsList=[{"Key": f"k{number}"} for number in range(50)])
    with refused("CloudTrailARNInvalidException"):
        client.add_tags(ResourceId=named, TagsList=[{"Key": "a"}])
    with refused("ResourceTypeNotSupportedException"):
        client.add_tags(
            ResourceId=f"arn:aws:cloudtrail:{REGION}:{ACCOUNT}:channel/abc", TagsList=[{"Key": "a"}]
        )
    with refused("ResourceNotFoundException"):
        client.list_tags(ResourceIdList=[arn, trail_arn("nowhere")])
    with refused("AccessDeniedException"):
        trail.of("nobody").list_tags(ResourceIdList=[arn])


def test_only_its_organisations_management_account_makes_a_trail_of_it(trail: Trail) -> None:
    name = fresh("trail")
    with refused("OrganizationsNotInUseException", "The account is not a member of an organization."):
        trail.of().create_trail(Name=name, S3BucketName=make_bucket(trail, name), IsOrganizationTrail=True)


def test_selectors_are_shown_as_they_were_put(trail: Trail, named: str) -> None:
    client = trail.of()
    whole = {
        "ReadWriteType": "All",
        "IncludeManagementEvents": True,
        "DataResources": [],
        "ExcludeManagementEventSources": [],
    }
    assert client.get_event_selectors(TrailName=named)["EventSelectors"] == [whole]
    given = {"ReadWriteType": "WriteOnly", "ExcludeManagementEventSources": ["kms.amazonaws.com"]}
    answer = client.put_event_selectors(TrailName=named, EventSelectors=[given])
    assert answer["EventSelectors"] == [{**whole, **given}]
    assert answer["TrailARN"] == trail_arn(named)
    assert client.get_trail(Name=named)["Trail"]["HasCustomEventSelectors"] is True
    advanced = [
        {
            "Name": "objects",
            "FieldSelectors": [
                {"Field": "eventCategory", "Equals": ["Data"]},
                {"Field": "resources.type", "Equals": ["AWS::S3::Object"]},
            ],
        }
    ]
    client.put_event_selectors(TrailName=named, AdvancedEventSelectors=advanced)
    found = client.get_event_selectors(TrailName=named)
    assert found["AdvancedEventSelectors"] == advanced
    assert "EventSelectors" not in found
    with refused("InvalidEventSelectorsException"):
        client.put_event_selectors(TrailName=named, EventSelectors=[given], AdvancedEventSelectors=advanced)
    with refused("InvalidEventSelectorsException"):
        client.put_event_selectors(TrailName=named)
    with refused(
        "InvalidEventSelectorsException",
        "Value b for DataResource.Type is invalid. Valid values "
        "are: AWS::DynamoDB::Table, AWS::Lambda::Function, AWS::S3::Object.",
    ):
        client.put_event_selectors(
            TrailName=named, EventSelectors=[{"DataResources": [{"Type": "b", "Values": ["a"]}]}]
        )
