"""GetParameter, GetParameters, GetParametersByPath, GetParameterHistory."""

from __future__ import annotations

from collections.abc import Sequence

from casemate.api import ssm
from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.services.ssm import policies, secure
from casemate.services.ssm.filters import of_path
from casemate.services.ssm.naming import SECRETS, SERVICE
from casemate.services.ssm.pages import SCANNED, begin, more
from casemate.services.ssm.parameter import Parameter, moment
from casemate.services.ssm.parameters import Parameters
from casemate.services.ssm.public import find_public, page_of_public
from casemate.services.ssm.quotas import throughput
from casemate.services.ssm.references import read_secret
from casemate.services.ssm.refusals import bad_token, no_parameter, no_version
from casemate.services.ssm.rows import Version
from casemate.services.ssm.targets import (
    Hierarchy,
    Target,
    all_readable,
    by_path,
    need,
    needs_of_all,
    readable,
    with_history,
)
from casemate.store.cache import Miss

_MOST_BY_PATH = 10
_HISTORY = 50
_DIGITS = 18


def _value(call: Call, parameter: Parameter, version: Version, decryption: bool) -> str:
    return secure.decrypt(call, parameter.arn, version) if decryption and version.secure else version.value


def _selected(call: Call, parameter: Parameter, selector: str) -> Version:
    """The version of that number or label, the current one for ''. Raises ParameterVersionNotFound."""
    if not selector:
        return parameter.current
    number = (
        int(selector) if selector.isascii() and selector.isdecimal() else parameter.row.labels.get(selector)
    )
    # A number that no database has may be asked for.
    if number is not None and 0 < number <= parameter.row.version:
        version = call.part(Parameters).find_version(call, parameter, number)
        if version is not None:
            return version
    raise no_version(selector, parameter.row.name)


def _read(call: Call, target: Target, decryption: bool) -> ssm.Parameter:
    """Raises ParameterNotFound, ParameterVersionNotFound, InvalidKeyId."""
    name, selector = target.named.name, target.named.selector
    if target.parameter is None:
        if name.startswith(SECRETS):
            return read_secret(call, name, selector, decryption)
        path = target.named.place.path
        if not path.startswith(SERVICE):
            raise no_parameter(name)
        _must_be_in_a_thread(call)
        found = find_public(call.region, path)
        if found is None:
            raise no_parameter(name)
        if selector not in ("", "1"):
            raise no_version(selector, name)
        return found
    version = _selected(call, target.parameter, selector)
    return target.parameter.answer(version, _value(call, target.parameter, version, decryption), selector)


@ssm.GetParameter.reads(readable, need("ssm:GetParameter"), quota=throughput)
def get_parameter(call: Call, req: ssm.GetParameterRequest, target: Target) -> ssm.GetParameterResult:
    """One parameter, by its name or ARN, with a version or label behind a colon; decrypted if that is asked for."""
    return {"Parameter": _read(call, target, req.get("WithDecryption", False))}


@ssm.GetParameters.reads(all_readable, *needs_of_all("ssm:GetParameters"), quota=throughput)
def get_parameters(
    call: Call, req: ssm.GetParametersRequest, targets: tuple[Target, ...]
) -> ssm.GetParametersResult:
    """Up to ten parameters; what does not exist is told in the answer."""
    decryption = req.get("WithDecryption", False)
    found: list[ssm.Parameter] = []
    absent: list[str] = []
    for target in targets:
        try:
            found.append(_read(call, target, decryption))
        except AwsError as error:
            if error.code not in ("ParameterNotFound", "ParameterVersionNotFound"):
                raise
            selector = target.named.selector
            absent.append(f"{target.named.name}:{selector}" if selector else target.named.name)
    return {"Parameters": found, "InvalidParameters": absent}


@ssm.GetParametersByPath.reads(by_path, quota=throughput)
def get_parameters_by_path(
    call: Call, req: ssm.GetParametersByPathRequest, target: Hierarchy
) -> ssm.GetParametersByPathResult:
    """The parameters in a hierarchy, by name, ten at most a page; with Recursive also those further below."""
    selection = of_path(req, target.path)
    after = begin("GetParametersByPath", req)
    most = req.get("MaxResults", _MOST_BY_PATH)
    if f"{target.path}/".startswith(SERVICE):
        return _public(call, req, target.path, after, most)
    decryption = req.get("WithDecryption", False)
    parameters = call.part(Parameters)
    # One more than is shown or looked at tells whether there is more.
    scanned = SCANNED if selection.tests else most
    if selection.tests:
        entries: Sequence[Parameter] = parameters.page(
            call.tx, call.account, call.region, selection.under, after, scanned + 1
        )
    else:
        entries = parameters.known_page(call, selection.under, after, scanned + 1)
    shown: list[ssm.Parameter] = []
    for entry in entries[:scanned]:
        if len(shown) == most:
            break
        after = entry.row.place.path
        if not selection.takes(entry):
            continue
        label = next((each for each in selection.labels if each in entry.row.labels), "")
        version = _selected(call, entry, label)
        shown.append(entry.answer(version, _value(call, entry, version, decryption)))
    if entries and entries[-1].row.place.path > after:
        return {"Parameters": shown, **more("GetParametersByPath", after)}  # type: ignore[typeddict-item]
    return {"Parameters": shown}


def _must_be_in_a_thread(call: Call) -> None:
    """For what takes longer than the event loop may."""
    if call.transaction is None:
        raise Miss


def _public(
    call: Call, req: ssm.GetParametersByPathRequest, path: str, after: str, most: int
) -> ssm.GetParametersByPathResult:
    """AWS's own, whose only type is String."""
    _must_be_in_a_thread(call)
    wanted = [each for each in req.get("ParameterFilters", ()) if each["Key"] == "Type"]
    if any("String" not in each.get("Values", ()) for each in wanted) or len(wanted) < len(
        req.get("ParameterFilters", ())
    ):
        return {"Parameters": []}
    recursive = req.get("Recursive", False)
    entries = page_of_public(call.region, path, after, most + 1, recursive=recursive)
    if len(entries) <= most:
        return {"Parameters": entries}
    last = entries[most - 1].get("Name", "")
    return {"Parameters": entries[:most], **more("GetParametersByPath", last)}  # type: ignore[typeddict-item]


@ssm.GetParameterHistory.reads(with_history, need("ssm:GetParameterHistory"))
def get_parameter_history(
    call: Call, req: ssm.GetParameterHistoryRequest, target: Target
) -> ssm.GetParameterHistoryResult:
    """All versions that are kept, first to last."""
    parameter = target.found
    after = begin("GetParameterHistory", req)
    if after and not (after.isascii() and after.isdecimal() and len(after) <= _DIGITS):
        raise bad_token()
    most = req.get("MaxResults", _HISTORY)
    decryption = req.get("WithDecryption", False)
    versions = call.part(Parameters).versions(call.tx, parameter.row.place, int(after or 0), most + 1)
    shown = [_history(call, parameter, each, decryption) for each in versions[:most]]
    if len(versions) <= most:
        return {"Parameters": shown}
    last = str(versions[most - 1].number)
    return {"Parameters": shown, **more("GetParameterHistory", last)}  # type: ignore[typeddict-item]


def _history(call: Call, parameter: Parameter, version: Version, decryption: bool) -> ssm.ParameterHistory:
    current = version.number == parameter.row.version
    shown: ssm.ParameterHistory = {
        "Name": parameter.row.name,
        "Type": version.type,  # type: ignore[typeddict-item]  # one of the model's
        "LastModifiedDate": moment(version.created),
        "LastModifiedUser": version.user,
        "Value": _value(call, parameter, version, decryption),
        "Version": version.number,
        "Labels": parameter.row.labels_of(version.number),
        "Tier": version.tier,  # type: ignore[typeddict-item]
        "Policies": policies.shown(parameter.row.policies if current else version.policies),
        "DataType": version.data_type,
    }
    if version.key_id:
        shown["KeyId"] = version.key_id
    if version.description:
        shown["Description"] = version.description
    if version.allowed_pattern:
        shown["AllowedPattern"] = version.allowed_pattern
    return shown
