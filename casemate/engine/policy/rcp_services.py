"""The services whose resources RCPs are over, by the prefix of their actions. Source: "List of AWS services that
support RCPs" and "Resources and entities not restricted by RCPs"."""

from __future__ import annotations

from typing import Final

_SERVICES: Final = frozenset(
    {
        *("aoss", "appconfig", "appstream", "autoscaling", "autoscaling-plans", "budgets"),
        *("clouddirectory", "cloudfront", "cloudsearch", "cloudtrail-data", "codeartifact"),
        *("codebuild", "codecommit", "codepipeline", "cognito-identity", "cognito-idp", "comprehend"),
        *("comprehendmedical", "compute-optimizer", "cost-optimization-hub", "dax", "dsql"),
        *("dynamodb", "ecr", "ecr-public", "events", "firehose", "fis", "fms", "gamelift", "health"),
        *("inspector-scan", "kendra", "kinesisvideo", "kms", "logs", "memorydb", "networkmonitor"),
        *("notifications", "opensearch", "pca-connector-ad", "personalize", "polly", "pricing"),
        *("resource-groups", "rolesanywhere", "s3", "secretsmanager", "servicediscovery", "signin"),
        *("sqs", "sts", "support", "swf", "textract", "timestream-influxdb", "transcribe"),
        *("transfer", "translate", "wafv2", "workspaces", "xray"),
    }
)
_SPARED: Final = frozenset({"kms:retiregrant"})


def rcps_apply_to(action: str) -> bool:
    """Whether RCPs restrict the action (``kms:Encrypt``)."""
    action = action.lower()
    return action.partition(":")[0] in _SERVICES and action not in _SPARED


def rcps_may_name(action: str) -> bool:
    """Whether an RCP may have this in its Action: each names its service, and one of these."""
    service, colon, _ = action.lower().partition(":")
    return bool(colon) and service in _SERVICES
