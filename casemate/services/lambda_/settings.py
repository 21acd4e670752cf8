"""The configuration of a function: what may be asked for, and what is served of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from casemate.services.lambda_.refusals import invalid, unserved
from casemate.services.lambda_.runtimes import architecture

DEFAULTS: Mapping[str, Any] = {
    "Description": "",
    "Timeout": 3,
    "MemorySize": 128,
    "PackageType": "Zip",
    "EphemeralStorage": {"Size": 512},
}

MOST_SECONDS = 900
MOST_MEGABYTES = 10_240

# Of an update those that it gives replace what was; nothing of them is looked at here.
_PLAIN = (
    "Role",
    "Handler",
    "Runtime",
    "Description",
    "Timeout",
    "MemorySize",
    "KMSKeyArn",
    "DeadLetterConfig",
    "EphemeralStorage",
)

# Members that ask for what is not served, unless they ask for nothing.
_UNSERVED: Mapping[str, str] = {
    "Layers": "Layers",
    "FileSystemConfigs": "File systems",
    "ImageConfig": "Container images",
    "CodeSigningConfigArn": "Code signing configurations",
    "TenancyConfig": "Tenants",
    "CapacityProviderConfig": "Capacity providers",
    "DurableConfig": "Durable functions",
    "RuntimeConfig": "Runtime configurations",
    "AcceleratorConfig": "Accelerators",
    "PublishTo": "Versions published to $LATEST.PUBLISHED",
}


def check_served(request: Mapping[str, Any]) -> None:
    """Raises NotImplemented for what is not served, InvalidParameterValueException for what AWS does not take
    either."""
    for member, what in _UNSERVED.items():
        if request.get(member):
            raise unserved(what)
    if request.get("PackageType") == "Image":
        raise unserved("Container images")
    if any(request.get("VpcConfig", {}).values()):
        raise unserved("VPCs")
    if request.get("TracingConfig", {}).get("Mode") == "Active":
        raise unserved("Traces")
    if request.get("SnapStart", {}).get("ApplyOn", "None") != "None":
        raise unserved("Snapshots of functions")
    logging = request.get("LoggingConfig", {})
    if logging.get("LogFormat", "Text") != "Text" or "ApplicationLogLevel" in logging:
        raise unserved("Logs in the format JSON")
    if "LogGroup" in logging:
        raise unserved("Log groups of other names")
    if request.get("Timeout", 1) > MOST_SECONDS:
        raise invalid(
            f"Value '{request['Timeout']}' at 'timeout' failed to satisfy constraint: Member must have value less "
            f"than or equal to {MOST_SECONDS}"
        )
    if request.get("MemorySize", 128) > MOST_MEGABYTES:
        raise invalid(
            f"'MemorySize' value failed to satisfy constraint: Member must have value less than or equal to "
            f"{MOST_MEGABYTES}"
        )


def created(request: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a new function."""
    check_served(request)
    if "Runtime" not in request or "Handler" not in request:
        raise invalid(
            "Runtime and Handler are mandatory parameters for functions created with deployment packages."
        )
    settings = {**DEFAULTS, **{name: request[name] for name in _PLAIN if name in request}}
    settings = _without_nothing(settings)
    settings["Architectures"] = list(request.get("Architectures", (architecture(),)))
    return settings


def _without_nothing(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings without an empty KMSKeyArn or dead-letter target, by which a request takes away what was."""
    if not settings.get("KMSKeyArn"):
        settings.pop("KMSKeyArn", None)
    if not settings.get("DeadLetterConfig", {}).get("TargetArn"):
        settings.pop("DeadLetterConfig", None)
    return settings


def changed(settings: Mapping[str, Any], request: Mapping[str, Any]) -> dict[str, Any]:
    """The settings with those that an update gives; an empty KMSKeyArn is none."""
    check_served(request)
    result = {**settings, **{name: request[name] for name in _PLAIN if name in request}}
    return _without_nothing(result)
