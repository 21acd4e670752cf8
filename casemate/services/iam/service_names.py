"""What AWS calls its services, by the prefix of their actions: those of which there is a reference, and more."""

from __future__ import annotations

from collections.abc import Mapping

SERVICE_NAMES: Mapping[str, str] = {
    "ce": "AWS Cost Explorer Service",
    "cloudhsm": "AWS CloudHSM",
    "cloudtrail": "AWS CloudTrail",
    "cloudwatch": "Amazon CloudWatch",
    "ec2": "Amazon EC2",
    "events": "Amazon EventBridge",
    "iam": "AWS Identity and Access Management",
    "kms": "AWS Key Management Service",
    "lambda": "AWS Lambda",
    "logs": "Amazon CloudWatch Logs",
    "organizations": "AWS Organizations",
    "s3": "Amazon S3",
    "secretsmanager": "AWS Secrets Manager",
    "servicequotas": "Service Quotas",
    "sns": "Amazon SNS",
    "sqs": "Amazon SQS",
    "ssm": "AWS Systems Manager",
    "sts": "AWS Security Token Service",
}
