"""ARNs of log groups and log streams.

What policies see of a group is ``...:log-group:NAME:log-stream:``, so that the ``...:log-group:NAME:*`` that AWS's
pages write means the group as well as its streams; for tags it is the ARN without an end. Source: "DescribeLogGroups"
(the two ARNs of a log group), "Overview of managing access permissions to your CloudWatch Logs resources".
"""

from __future__ import annotations

import re

from casemate.gate.regions import partition_of
from casemate.services.logs.refusals import invalid

_NAME = re.compile(r"[.\-_/#A-Za-z0-9]{1,512}")
_ARN = re.compile(r"arn:aws[a-z-]*:logs:([a-z0-9-]+):(\d{12}):log-group:([^:*]+)", re.ASCII)


def group_arn(account: str, region: str, name: str) -> str:
    """The ARN by which APIs name a group."""
    return f"arn:{partition_of(region)}:logs:{region}:{account}:log-group:{name}"


def stream_arn(account: str, region: str, group: str, stream: str) -> str:
    """A stream's ARN; without a name, what policies see of the group."""
    return f"{group_arn(account, region, group)}:log-stream:{stream}"


def read_identifier(identifier: str, account: str, region: str) -> tuple[str, str]:
    """The account and the name of a logGroupIdentifier: a name, or an ARN in this Region. Raises
    InvalidParameterException."""
    if _NAME.fullmatch(identifier):
        return account, identifier
    arn = _ARN.fullmatch(identifier)
    if arn is None or _NAME.fullmatch(arn[3]) is None:
        raise invalid(f"Invalid logGroupIdentifier: {identifier}")
    if arn[1] != region:
        raise invalid("The log group is in another Region than the request.")
    return arn[2], arn[3]


def read_arn(arn: str) -> tuple[str, str, str] | None:
    """Region, account and name of a group's ARN without an end, for tags."""
    found = _ARN.fullmatch(arn)
    return None if found is None else (found[1], found[2], found[3])
