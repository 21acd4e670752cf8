"""One invocation: an environment with the role's credentials and the decrypted variables, what the function makes of
the event, and what is logged of it. Source: "Lambda execution environment", "Working with Lambda environment
variables"."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from casemate.api import sts
from casemate.errors import AwsError
from casemate.gate.acting import Actor, act_as, in_background
from casemate.gate.random_ids import new_uuid
from casemate.services.lambda_ import packages, variables
from casemate.services.lambda_.execution.environment import Environment, Failure, Plan
from casemate.services.lambda_.execution.environments import Environments, Exhausted, Key, NotIsolated
from casemate.services.lambda_.execution.runtime_api import Event
from casemate.services.lambda_.functions import Functions
from casemate.services.lambda_.log_lines import Logged, LogLines
from casemate.services.lambda_.naming import SERVICE, Place, qualified
from casemate.services.lambda_.rows import Row, Version
from casemate.services.lambda_.runtimes import find_runtime

if TYPE_CHECKING:
    from casemate.gate.call import Call
    from casemate.gate.gate import Gate

_KMS_ERRORS = {
    "AccessDeniedException": "KMSAccessDeniedException",
    "DisabledException": "KMSDisabledException",
    "KMSInvalidStateException": "KMSInvalidStateException",
    "NotFoundException": "KMSNotFoundException",
}


class Wanted(NamedTuple):
    """What is to be run. qualifier: as it was asked for; request_id: the invocation's."""

    row: Row
    version: Version
    qualifier: str
    payload: bytes
    request_id: str
    client_context: str = ""
    trace: str = ""


class Result(NamedTuple):
    """What came of it. failed: the payload is an error; log: what it printed, with what the platform says."""

    payload: bytes
    failed: bool
    version: str
    log: bytes


def throttled(reason: str) -> AwsError:
    return AwsError("TooManyRequestsException", "Rate Exceeded.", 429, Reason=reason, Type="User")


def run(gate: Gate, wanted: Wanted) -> Result:
    """Run a function, in a thread that may wait for it. Raises TooManyRequestsException, and what keeps a function
    from being run at all."""
    environments: Environments = gate.parts[Environments]
    row, version = wanted.row, wanted.version
    with ExitStack() as stack:
        if row.reserved is not None and not stack.enter_context(environments.reserved(row.id, row.reserved)):
            raise throttled("ReservedFunctionConcurrentInvocationLimitExceeded")
        # By a clock that was moved meanwhile, an environment's credentials may have expired.
        moved = round((gate.clock.now() - time.time()) / 60)
        revision = f"{version.revision} {moved}" if moved else version.revision
        key = Key(row.place.account, row.id, version.number, revision)
        try:
            plan = partial(_plan, gate, row.place, version)
            environment = stack.enter_context(environments.of(key, plan, partial(_alone, gate, key.account)))
        except Exhausted:
            raise throttled("ConcurrentInvocationLimitExceeded") from None
        except NotIsolated as error:
            raise AwsError(
                "NotImplemented",
                f"This server runs no functions: they cannot be isolated, for {error.reason}. Whoever operates it "
                'may let them run without isolation (lambda_isolation = "none").',
                501,
            ) from None
        except Failure as error:
            raise AwsError(
                "ServiceException", f"The execution environment failed: {error.reason}.", 500
            ) from None
        return _invoke(gate, environments, environment, wanted)


def _alone(gate: Gate, account: str) -> bool:
    functions = gate.parts[Functions]
    alone: bool = gate.store.read(lambda tx: functions.are_all_of(tx, account))
    return alone


def _invoke(gate: Gate, environments: Environments, environment: Environment, wanted: Wanted) -> Result:
    version = wanted.version
    settings = version.settings
    now = gate.clock.now()
    started = time.perf_counter()
    outcome = environment.invoke(
        Event(
            wanted.request_id,
            qualified(wanted.row.place, wanted.qualifier),
            wanted.payload or b"{}",
            time.time() + settings["Timeout"],
            wanted.trace or _trace(now),
            wanted.client_context,
        )
    )
    milliseconds = (time.perf_counter() - started) * 1000
    printed = environment.printed()
    memory = environment.memory_used()
    init, environment.init = environment.init, None
    if not outcome.usable:
        environments.discard(environment)
    if printed and not printed.endswith(b"\n"):
        printed += b"\n"
    begin = f"START RequestId: {wanted.request_id} Version: {version.name}\n"
    report = (
        f"END RequestId: {wanted.request_id}\n"
        f"REPORT RequestId: {wanted.request_id}\tDuration: {milliseconds:.2f} ms\t"
        f"Billed Duration: {int(milliseconds) + 1} ms\tMemory Size: {settings['MemorySize']} MB\t"
        f"Max Memory Used: {memory} MB\t"
        + (f"Init Duration: {init:.2f} ms\t" if init is not None else "")
        + "\n"
    )
    log = begin.encode() + printed + report.encode()
    stream = environment.plan.variables["AWS_LAMBDA_LOG_STREAM_NAME"]
    gate.parts[LogLines].put(Logged(wanted.row.place, settings["Role"], stream, gate.clock.now(), log))
    return Result(outcome.payload, outcome.failed, version.name, log)


def _trace(now: float) -> str:
    return f"Root=1-{int(now):08x}-{new_uuid().replace('-', '')[:24]};Sampled=0"


# --- what an environment is made of


def _plan(gate: Gate, place: Place, version: Version) -> Plan:
    settings = version.settings
    runtime = find_runtime(settings["Runtime"])
    if runtime is None:
        raise AwsError(
            "NotImplemented", f"The runtime {settings['Runtime']} is not there on this server.", 501
        )
    environments: Environments = gate.parts[Environments]
    code = version.code
    folder = environments.unpacked(code.id, lambda: gate.store.read(lambda tx: packages.load(tx, code)))
    now = gate.clock.now()
    stream = f"{time.strftime('%Y/%m/%d', time.gmtime(now))}/[{version.name}]{new_uuid().replace('-', '')}"
    own, session = in_background(gate, lambda call: _secrets(call, place, version), reads=True)
    assert "Credentials" in session
    credentials = session["Credentials"]
    known = {
        **own,
        "_HANDLER": settings["Handler"],
        "AWS_REGION": place.region,
        "AWS_DEFAULT_REGION": place.region,
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{settings['Runtime']}",
        "AWS_LAMBDA_FUNCTION_NAME": place.name,
        "AWS_LAMBDA_FUNCTION_VERSION": version.name,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(settings["MemorySize"]),
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{place.name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": stream,
        "AWS_ACCESS_KEY_ID": credentials["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": credentials["SecretAccessKey"],
        "AWS_SESSION_TOKEN": credentials["SessionToken"],
        "LAMBDA_RUNTIME_DIR": "/var/runtime",
    }
    return Plan(
        runtime,
        folder,
        {**_DEFAULTS, **known},
        float(settings["Timeout"]),
        settings["MemorySize"],
        settings["EphemeralStorage"]["Size"],
    )


_DEFAULTS: Mapping[str, str] = {
    "HOME": "/tmp",  # noqa: S108 - the environment's own
    "LANG": "C.UTF-8",
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "PYTHONDONTWRITEBYTECODE": "1",
    "TZ": ":UTC",
}


def _secrets(call: Call, place: Place, version: Version) -> tuple[dict[str, str], sts.AssumeRoleResponse]:
    """The variables in the clear, and a session of the role. Raises AccessDeniedException for a role that cannot be
    assumed, KMS...Exception for variables that cannot be decrypted."""
    role = version.settings["Role"]
    by_lambda = Actor(SERVICE, place.account, place.region, place.arn)
    try:
        session = sts.AssumeRole.ask(
            act_as(call, by_lambda), {"RoleArn": role, "RoleSessionName": place.name}
        )
    except AwsError:
        raise AwsError(
            "AccessDeniedException", "The role defined for the function cannot be assumed by Lambda.", 403
        ) from None
    if not version.variables:
        return {}, session
    by_role = by_lambda._replace(role=role, session=place.name)
    try:
        return variables.decrypt(act_as(call, by_role), place, version.variables), session
    except AwsError as error:
        raise AwsError(
            _KMS_ERRORS.get(error.code, "KMSAccessDeniedException"),
            "Lambda was unable to decrypt the environment variables because KMS access was denied. Please check the "
            f"function's KMS key settings. KMS Exception: {error.code} KMS Message: {error.message}",
            502,
            Type="User",
        ) from None
