"""Names of parameters: what they may be, their ARNs, their places in hierarchies, and selectors behind them.

Source: "Understanding parameter name requirements and constraints", "GetParameter".
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from casemate.errors import AwsError
from casemate.gate.regions import partition_of
from casemate.services.ssm.refusals import bad_selector, invalid

LEVELS = 15
ARN_LENGTH = 1011
"""The longest ARN that a parameter's name may make."""

SERVICE, SECRETS = "/aws/service/", "/aws/reference/secretsmanager/"

_NAME = re.compile(r"(?:/?[A-Za-z0-9_.-]+|(?:/[A-Za-z0-9_.-]+){2,})", re.ASCII)
_PATH = re.compile(r"/|(?:/[A-Za-z0-9_.-]+)+/?", re.ASCII)
_ARN = re.compile(
    r"arn:(aws[a-z-]*):ssm:([a-z0-9-]+):(\d{12}|):parameter/([A-Za-z0-9_./+=@-]+)(:[^:]*)?", re.ASCII
)
_SECRET = re.compile(r"[A-Za-z0-9/_+=.@!-]+", re.ASCII)

_FORM = (
    'Parameter name: can\'t be prefixed with "ssm" (case-insensitive). If formed as a path, it can consist of '
    "sub-paths divided by slash symbol; each sub-path can be formed as a mix of letters, numbers and the "
    "following 3 symbols .-_"
)
_PATH_FORM = (
    "The parameter doesn't meet the parameter name requirements. The parameter name must begin with a forward slash "
    '"/". It can\'t be prefixed with "aws" or "ssm" (case-insensitive). It must use only letters, numbers, or the '
    "following symbols: . (period), - (hyphen), _ (underscore). Special characters are not allowed. All sub-paths, "
    'if specified, must use the forward slash symbol "/". Valid example: /get/parameters2-/by1./path0_.'
)


class Place(NamedTuple):
    """Where a parameter is or would be. path: its name with a leading slash; account: '' of a public parameter."""

    account: str
    region: str
    path: str

    @property
    def parent(self) -> str:
        """The hierarchy that it stands in, "/" of one that stands in none."""
        return self.path.rpartition("/")[0] or "/"

    @property
    def arn(self) -> str:
        return parameter_arn(self.account, self.region, self.path)


class Named(NamedTuple):
    """A name as a request gives it. name: without the selector; selector: a version or a label, '' for none."""

    place: Place
    name: str
    selector: str


def parameter_arn(account: str, region: str, path: str) -> str:
    """path: with its leading slash, which no ARN shows twice."""
    return f"arn:{partition_of(region)}:ssm:{region}:{account}:parameter{path}"


def path_of(name: str) -> str:
    return name if name.startswith("/") else f"/{name}"


def own_name(text: str, account: str, region: str) -> Named:
    """A parameter of the account, by its name alone. Raises ValidationException for what is none."""
    name = text.strip(" ")
    if _NAME.fullmatch(name) is None:
        raise invalid(_FORM)
    return Named(Place(account, region, path_of(name)), name, "")


@lru_cache(maxsize=4096)
def any_name(text: str, account: str, region: str) -> Named:
    """A parameter by its name or ARN, of whatever account, with a selector or without; remembered, for names recur.
    Raises ValidationException."""
    text = text.strip(" ")
    if text.startswith("arn:"):
        return _by_arn(text, account, region)
    name, colon, selector = text.partition(":")
    if colon and (not selector or ":" in selector):
        raise bad_selector()
    if name.startswith(SECRETS):
        if _SECRET.fullmatch(name) is None:
            raise invalid(_FORM)
        return Named(Place(account, region, name), name, selector)
    if _NAME.fullmatch(name) is None:
        raise invalid(_FORM)
    owner = "" if name.startswith(SERVICE) else account
    return Named(Place(owner, region, path_of(name)), name, selector)


def _by_arn(text: str, account: str, region: str) -> Named:
    found = _ARN.fullmatch(text)
    if found is None or found[1] != partition_of(found[2]):
        raise invalid("Invalid parameter ARN.")
    if found[2] != region:
        raise invalid(f"The parameter ARN must be of the Region {region}.")
    selector = found[5] or ""
    if selector == ":":
        raise bad_selector()
    path = f"/{found[4]}"
    public = path.startswith(SERVICE)
    if _NAME.fullmatch(path) is None or (not found[3] and not public):
        raise invalid("Invalid parameter ARN.")
    owner = "" if public else found[3]
    # Of another account's parameter the ARN is the name that its readers know.
    return Named(Place(owner, region, path), text.removesuffix(selector), selector[1:])


def hierarchy(text: str) -> str:
    """A path of GetParametersByPath, without a slash at its end unless it is "/". Raises ValidationException."""
    path = text.strip(" ")
    if _PATH.fullmatch(path) is None:
        raise invalid(_PATH_FORM)
    return path if path == "/" else path.removesuffix("/")


def must_be_new_name(place: Place, name: str) -> None:
    """What a name must be that a parameter is made under. Raises AccessDeniedException for AWS's own,
    ValidationException, HierarchyLevelLimitExceededException."""
    lower = name.lower()
    if lower.startswith("/aws"):
        raise AwsError("AccessDeniedException", f"No access to reserved parameter name: {name.lstrip('/')}.")
    if lower.startswith("/ssm"):
        raise invalid(_FORM)
    if lower.startswith(("aws", "ssm")):
        raise invalid('Parameter name: can\'t be prefixed with "aws" or "ssm" (case-insensitive).')
    if place.path.count("/") > LEVELS:
        raise AwsError(
            "HierarchyLevelLimitExceededException",
            f"Parameter hierarchy: a hierarchy can have a maximum of {LEVELS} levels.",
        )
    if len(place.arn) > ARN_LENGTH:
        raise invalid(
            f"Parameter name: the ARN of a parameter can have a maximum of {ARN_LENGTH} characters, of which this "
            f"one would have {len(place.arn)}."
        )
