"""Whether CloudTrail may deliver: what a bucket's, a topic's and a key's policies say to it, and a role's.

CloudTrail asks as its service principal, on behalf of the trail (aws:SourceArn). Source: "Amazon S3 bucket policy for
CloudTrail", "Amazon SNS topic policy for CloudTrail", "Configure AWS KMS key policies for CloudTrail", "Role policy
document for CloudTrail to use CloudWatch Logs for monitoring".
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from typing import TYPE_CHECKING, Any

from casemate.api import kms, logs, s3, sns
from casemate.engine.cloudtrail import files
from casemate.errors import AwsError
from casemate.gate.acting import Actor, act_as
from casemate.gate.pass_role import trusts
from casemate.gate.regions import partition_of
from casemate.services.cloudtrail.naming import SERVICE, Place

if TYPE_CHECKING:
    from casemate.gate.call import Call
    from casemate.services.cloudtrail.trails import Trail

_PREFIX = re.compile(r"[A-Za-z0-9!_.*'()-][A-Za-z0-9!_.*'()/ =@:,&$+-]*")
_MOST_PREFIX, _MOST_TOPIC = 200, 256
_TOPIC = re.compile(r"arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]{1,256}")
_TOPIC_NAME = re.compile(r"[A-Za-z0-9_-]{1,256}")
_GROUP = re.compile(r"arn:aws[a-z-]*:logs:([a-z0-9-]+):([0-9]{12}):log-group:([A-Za-z0-9_/.#-]{1,512}):\*")
_ROLE = re.compile(r"arn:aws[a-z-]*:iam::[0-9]{12}:role/.+")


def actor(place: Place) -> Actor:
    """CloudTrail for a trail."""
    return Actor(SERVICE, place.account, place.region, source_arn=place.arn)


def encrypted(place: Place, key: str) -> dict[str, Any]:
    """What of a PutObject says that the object is under the trail's KMS key."""
    context = json.dumps({"aws:cloudtrail:arn": place.arn}).encode()
    return {
        "ServerSideEncryption": "aws:kms",
        "SSEKMSKeyId": key,
        "SSEKMSEncryptionContext": b64encode(context).decode(),
    }


def check_prefix(prefix: str) -> None:
    """Raises InvalidS3PrefixException."""
    if prefix and (len(prefix) > _MOST_PREFIX or _PREFIX.fullmatch(prefix) is None):
        raise AwsError("InvalidS3PrefixException", f"S3 prefix {prefix} is not valid.")


def bucket_region(call: Call, place: Place, bucket: str) -> str:
    """The Region of a bucket that lets CloudTrail ask for its ACL. Raises what AWS says of those that do not."""
    return _region_of(act_as(call, actor(place)), place, bucket)


def check_bucket(call: Call, trail: Trail, kinds: tuple[str, ...] = (files.LOGS,)) -> None:
    """Raises unless CloudTrail may write files of those kinds into a trail's bucket, encrypted as they will be."""
    place, bucket = trail.place, trail.get("Bucket")
    service = act_as(call, actor(place))
    for of in {"", trail.organization}:
        where = files.Place(trail.get("Prefix"), of, place.account, place.region)
        for kind in kinds:
            request = {
                "Bucket": bucket,
                "Key": files.file_key(where, kind, call.now, "CloudTrail"),
                "ACL": "bucket-owner-full-control",
                **(encrypted(place, trail.get("Key")) if trail.get("Key") else {}),
            }
            _, refusal = s3.PutObject.weigh(
                service,
                request,  # type: ignore[arg-type]  # built from the model's members
                region=trail.get("BucketRegion"),
            )
            if refusal is not None:
                raise _bad_policy(bucket)


def _region_of(service: Call, place: Place, bucket: str) -> str:
    region = place.region
    for _ in range(2):
        try:
            s3.GetBucketAcl.ask(service, {"Bucket": bucket}, region=region)
        except AwsError as error:
            if error.code == "AuthorizationHeaderMalformed" and error.fields.get("Region"):
                region = error.fields["Region"]
                continue
            raise _of_bucket(bucket, error) from None
        return region
    raise _bad_policy(bucket)


def _of_bucket(bucket: str, error: AwsError) -> AwsError:
    if error.code == "NoSuchBucket":
        return AwsError("S3BucketDoesNotExistException", f"S3 bucket {bucket} does not exist!")
    if error.code in ("InvalidBucketName", "NoSuchAccessPoint"):
        return AwsError("InvalidS3BucketNameException", f"Bucket name {bucket} is not valid.")
    return _bad_policy(bucket) if error.status < 500 else error


def _bad_policy(bucket: str) -> AwsError:
    return AwsError(
        "InsufficientS3BucketPolicyException", f"Incorrect S3 bucket policy is detected for bucket: {bucket}"
    )


def check_key(call: Call, place: Place, key_id: str, bucket: str, region: str) -> str:
    """The ARN of a KMS key under which CloudTrail may encrypt. region: the bucket's, where the key must be."""
    service = act_as(call, actor(place))
    request: kms.GenerateDataKeyRequest = {
        "KeyId": key_id,
        "KeySpec": "AES_256",
        "EncryptionContext": {"aws:cloudtrail:arn": place.arn},
    }
    try:
        target, refusal = kms.GenerateDataKey.weigh(service, request, via="s3", region=region)
    except AwsError as error:
        if error.code == "NotFoundException":
            raise AwsError("KmsKeyNotFoundException", error.message) from None
        if error.status >= 500:
            raise
        raise AwsError("InvalidKmsKeyIdException", f"The KMS key {key_id} is not valid.") from None
    if refusal is not None:
        if target.missing is not None and target.account == call.account:
            raise AwsError("KmsKeyNotFoundException", f"The KMS key {key_id} does not exist.")
        raise AwsError(
            "InsufficientEncryptionPolicyException",
            f"Insufficient permissions to access S3 bucket {bucket} or KMS key {key_id}.",
        )
    try:
        kms.GenerateDataKey.ask(service, {**request, "DryRun": True}, via="s3", region=region)
    except AwsError as error:
        if error.code != "DryRunOperationException":
            if error.status >= 500:
                raise
            raise AwsError("KmsException", error.message) from None
    arn: str = target.arn
    return arn


def check_topic(call: Call, place: Place, topic: str) -> str:
    """The ARN of a topic that lets CloudTrail publish. topic: its name or ARN."""
    is_arn = topic.startswith("arn:")
    if len(topic) > _MOST_TOPIC or (_TOPIC if is_arn else _TOPIC_NAME).fullmatch(topic) is None:
        raise AwsError("InvalidSnsTopicNameException", f"SNS topic name {topic} is not valid.")
    arn = topic
    if not is_arn:
        arn = f"arn:{partition_of(place.region)}:sns:{place.region}:{place.account}:{topic}"
    request: sns.PublishInput = {"TopicArn": arn, "Message": "CloudTrail validation message."}
    _, refusal = sns.Publish.weigh(act_as(call, actor(place)), request, region=arn.split(":")[3])
    if refusal is not None:
        raise AwsError(
            "InsufficientSnsTopicPolicyException",
            "SNS Topic does not exist or the topic policy is incorrect!",
        )
    return arn


def check_logs(call: Call, place: Place, group: str, role: str) -> None:
    """Raises unless CloudTrail may write to that log group by that role. Both, or none, are to be given."""
    found = _GROUP.fullmatch(group)
    if found is None or (found[1], found[2]) != (place.region, place.account):
        raise _bad_group("CloudTrail cannot validate the specified log group ARN.")
    if _ROLE.fullmatch(role) is None:
        raise _bad_role("CloudTrail cannot validate the specified role ARN.")
    by_role = actor(place)._replace(role=role)
    if not trusts(call, role, by_role):
        raise _bad_role("Access denied. Check the trust relationships for your role.")
    session, name = act_as(call, by_role), found[3]
    stream = stream_name(files.Place("", "", place.account, place.region))
    _, refusal = logs.PutLogEvents.weigh(
        session,
        {
            "logGroupName": name,
            "logStreamName": stream,
            "logEvents": [{"timestamp": 0, "message": "CloudTrail"}],
        },
    )
    if refusal is None:
        _, refusal = logs.CreateLogStream.weigh(session, {"logGroupName": name, "logStreamName": stream})
    if refusal is not None:
        raise _bad_group("Access denied. Check the permissions for your role.")


def stream_name(place: files.Place) -> str:
    """The log stream for an account's events in a Region."""
    parts = (place.organization, place.account, "CloudTrail", place.region)
    return "_".join(filter(None, parts))


def group_name(arn: str) -> str:
    """The log group of a trail's CloudWatchLogsLogGroupArn, which was checked."""
    return arn.split(":")[6]


def _bad_group(message: str) -> AwsError:
    return AwsError("InvalidCloudWatchLogsLogGroupArnException", message)


def _bad_role(message: str) -> AwsError:
    return AwsError("InvalidCloudWatchLogsRoleArnException", message)
