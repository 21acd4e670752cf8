"""Names of functions: a name, a partial ARN or an ARN, each with a qualifier or without. Source: "FunctionName" of
Lambda's API reference, "Lambda function versions", "Lambda aliases"."""

from __future__ import annotations

import re
from typing import NamedTuple

from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.gate.regions import partition_of

SERVICE = "lambda.amazonaws.com"
"""Lambda's service principal."""

LATEST = "$LATEST"

_NAMED = re.compile(
    r"(?:arn:aws[a-zA-Z-]*:lambda:)?(?:([a-z]{2}(?:-[a-z]+)+-\d):)?(?:(\d{12}):)?(?:function:)?"
    r"([a-zA-Z0-9-_]{1,64})(?::(\$LATEST|[a-zA-Z0-9-_]{1,128}))?",
    re.ASCII,
)


class Place(NamedTuple):
    """Which function."""

    account: str
    region: str
    name: str

    @property
    def arn(self) -> str:
        """Without a qualifier."""
        return f"arn:{partition_of(self.region)}:lambda:{self.region}:{self.account}:function:{self.name}"


class Named(NamedTuple):
    """A function as a request names it. qualifier: '' for none, which means $LATEST."""

    place: Place
    qualifier: str

    @property
    def arn(self) -> str:
        return qualified(self.place, self.qualifier)


def qualified(place: Place, qualifier: str) -> str:
    """The ARN with a qualifier, without one for ''."""
    return f"{place.arn}:{qualifier}" if qualifier else place.arn


def not_found(arn: str) -> AwsError:
    return AwsError("ResourceNotFoundException", f"Function not found: {arn}", 404, Type="User")


def named(call: Call, text: str, qualifier: str = "") -> Named:
    """The function that a request means. qualifier: the request's parameter. Raises
    InvalidParameterValueException, ResourceNotFoundException for another Region's function."""
    found = _NAMED.fullmatch(text)
    if found is None:
        raise AwsError("InvalidParameterValueException", f"Invalid function name: {text}", Type="User")
    region, account, name, derived = found[1] or call.region, found[2] or call.account, found[3], found[4]
    if region != call.region:
        raise AwsError(
            "ResourceNotFoundException",
            f"Functions from '{region}' are not reachable in this region ('{call.region}')",
            404,
            Type="User",
        )
    if derived and qualifier and derived != qualifier:
        raise AwsError(
            "InvalidParameterValueException",
            "The derived qualifier from the function name does not match the specified qualifier.",
            Type="User",
        )
    return Named(Place(account, region, name), qualifier or derived or "")
