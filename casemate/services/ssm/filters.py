"""Filters of DescribeParameters and GetParametersByPath. Source: "ParameterStringFilter", "ParametersFilter",
"Searching for Parameter Store parameters in Systems Manager"."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from casemate.errors import AwsError
from casemate.services.ssm.data_types import DATA_TYPES
from casemate.services.ssm.naming import hierarchy, path_of
from casemate.services.ssm.parameter import Parameter
from casemate.services.ssm.parameters import Under
from casemate.services.ssm.refusals import invalid
from casemate.services.ssm.rows import ADVANCED, INTELLIGENT, SECURE_STRING, STANDARD, STRING, STRING_LIST

Test = Callable[[Parameter], bool]

_VALUES: Mapping[str, Sequence[str]] = {
    "Type": (STRING, STRING_LIST, SECURE_STRING),
    "Tier": (STANDARD, ADVANCED, INTELLIGENT),
    "DataType": tuple(DATA_TYPES),
}
_OF_LIST = ("Path", "Name", "Type", "KeyId", "Tier", "DataType")
_OF_PATH = ("Type", "KeyId", "Label")
_OPTIONS = ("Equals", "BeginsWith")
_PATH_OPTIONS = ("Recursive", "OneLevel")


_OF_NAMES = re.compile(r"[A-Za-z0-9_./-]+", re.ASCII)
_NO_NAME = "/~"
"""What no name begins with."""


class Selection(NamedTuple):
    """What filters leave. under: where to look; label: what GetParametersByPath shows the version of, '' for the
    current one."""

    under: Under
    tests: Sequence[Test]
    labels: Sequence[str] = ()

    def takes(self, parameter: Parameter) -> bool:
        return all(test(parameter) for test in self.tests)


def of_list(request: Mapping[str, Any]) -> Selection:
    """DescribeParameters'. Raises InvalidFilterKey, InvalidFilterOption, InvalidFilterValue, ValidationException."""
    old, new = request.get("Filters"), request.get("ParameterFilters")
    if old and new:
        raise invalid("You can use either Filters or ParameterFilters in a single request.")
    if old:
        return _old(old)
    under, tests = Under(), []
    for each in _checked(new or (), _OF_LIST, tags=True):
        key, option, values = each
        if key == "Path":
            paths = [hierarchy(value) for value in values]
            if len(paths) == 1:
                under = under._replace(parent=paths[0], recursive=option == "Recursive")
            else:
                tests.append(_in_paths(paths, option == "Recursive"))
            continue
        if key == "Name" and option == "BeginsWith" and len(values) == 1 and under == Under():
            prefix = path_of(values[0])
            under = under._replace(prefix=prefix if _OF_NAMES.fullmatch(prefix) else _NO_NAME)
            continue
        tests.append(_test(key, option, values))
    if under.prefix and (not under.recursive or under.parent != "/"):
        prefix = under.prefix
        under = under._replace(prefix="")
        tests.append(_test("Name", "BeginsWith", [prefix]))
    return Selection(under, tests)


def of_path(request: Mapping[str, Any], path: str) -> Selection:
    """GetParametersByPath's. Raises as ``of_list``."""
    tests, labels = [], []
    for key, option, values in _checked(request.get("ParameterFilters") or (), _OF_PATH, tags=False):
        if key == "Label":
            labels = list(values)
        tests.append(_test(key, option, values))
    return Selection(Under(path, bool(request.get("Recursive", False))), tests, labels)


class _Filter(NamedTuple):
    key: str
    option: str
    values: Sequence[str]


def _checked(filters: Sequence[Mapping[str, Any]], keys: Sequence[str], *, tags: bool) -> list[_Filter]:
    found: dict[str, _Filter] = {}
    for each in filters:
        key: str = each["Key"]
        tag = key.startswith("tag:")
        if key not in keys and not (tag and tags):
            raise AwsError(
                "InvalidFilterKey",
                f"The following filter key is not valid: {key}. Valid filter keys include: [{', '.join(keys)}].",
            )
        if key in found:
            raise AwsError(
                "InvalidFilterKey",
                f"The following filter is duplicated in the request: {key}. A request can contain only one "
                "occurrence of a specific filter.",
            )
        values = each.get("Values") or ()
        if not values and not tag:
            raise AwsError(
                "InvalidFilterValue", f"The following filter values are missing : null for filter key {key}."
            )
        options = _options(key)
        option = each.get("Option", "OneLevel" if key == "Path" else "Equals")
        if option not in options:
            raise AwsError(
                "InvalidFilterOption",
                f"The following filter option is not valid: {option}. Valid options include: [{', '.join(options)}].",
            )
        for value in values:
            _check_value(key, option, value)
        found[key] = _Filter(key, option, values)
    return list(found.values())


def _options(key: str) -> Sequence[str]:
    if key == "Path":
        return _PATH_OPTIONS
    if key == "Label":
        return ("Equals",)
    return (*_OPTIONS, "Contains") if key == "Name" else _OPTIONS


def _check_value(key: str, option: str, value: str) -> None:
    if key == "Path" and value.lower().startswith(("/aws", "/ssm")):
        raise invalid(
            'Filters for common parameters can\'t be prefixed with "aws" or "ssm" (case-insensitive). When using '
            "global parameters, please specify within a global namespace."
        )
    allowed = _VALUES.get(key)
    if allowed is not None and option == "Equals" and value not in allowed:
        raise AwsError(
            "InvalidFilterValue",
            f"The following filter value is not valid: {value}. Valid values include: [{', '.join(allowed)}].",
        )


def _test(key: str, option: str, values: Sequence[str]) -> Test:
    if key == "Label":
        return lambda parameter: any(label in parameter.row.labels for label in values)
    if key.startswith("tag:"):
        return _of_tag(key[4:], option, values)
    compare = _COMPARE[option]
    if key == "Name" and option != "Contains":
        values = [path_of(value) for value in values]
    read = _READ[key]
    return lambda parameter: any(compare(read(parameter), value) for value in values)


def _of_tag(name: str, option: str, values: Sequence[str]) -> Test:
    """Without values: that there is such a tag."""
    compare = _COMPARE[option]

    def test(parameter: Parameter) -> bool:
        value = parameter.row.tags.get(name)
        return value is not None and (not values or any(compare(value, wanted) for wanted in values))

    return test


def _in_paths(paths: Sequence[str], recursive: bool) -> Test:
    def test(parameter: Parameter) -> bool:
        place = parameter.row.place
        if not recursive:
            return place.parent in paths
        return any(path == "/" or place.path.startswith(f"{path}/") for path in paths)

    return test


_COMPARE: Mapping[str, Callable[[str, str], bool]] = {
    "Equals": str.__eq__,
    "BeginsWith": str.startswith,
    "Contains": str.__contains__,
}
_READ: Mapping[str, Callable[[Parameter], str]] = {
    "Name": lambda parameter: parameter.row.place.path,
    "Type": lambda parameter: parameter.current.type,
    "KeyId": lambda parameter: parameter.current.key_id,
    "Tier": lambda parameter: parameter.current.tier,
    "DataType": lambda parameter: parameter.current.data_type,
}


def _old(filters: Sequence[Mapping[str, Any]]) -> Selection:
    """Of the deprecated Filters a name is what names begin with."""
    tests = [
        _test(each["Key"], "BeginsWith" if each["Key"] == "Name" else "Equals", each["Values"])
        for each in filters
    ]
    return Selection(Under(), tests)
