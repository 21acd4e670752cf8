"""``casemate rotation``: functions that rotate databases' passwords, made of sources that come with Casemate."""

from __future__ import annotations

import argparse
import io
import json
import re
import sys
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, distribution
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from casemate.cli.problems import CommandError
from casemate.cli.shell_clients import ShellClients
from casemate.cli.whole_file import whole_file


class Kind(NamedTuple):
    """A rotation function. way, database: modules of ``casemate.rotation_functions``; driver: the distribution that
    knows the database's protocol."""

    way: str
    database: str
    driver: str
    what: str


KINDS: Mapping[str, Kind] = {
    "postgres-single-user": Kind("single_user", "postgres", "pg8000", "PostgreSQL, one user"),
    "postgres-alternating-users": Kind(
        "alternating_users", "postgres", "pg8000", "PostgreSQL, two users in turn"
    ),
    "mysql-single-user": Kind("single_user", "mysql", "pymysql", "MySQL and MariaDB, one user"),
    "mysql-alternating-users": Kind(
        "alternating_users", "mysql", "pymysql", "MySQL and MariaDB, two users in turn"
    ),
    "mongodb-single-user": Kind("single_user", "mongodb", "pymongo", "MongoDB, one user"),
}

_ENTRY = """\
from rotation import {database}
from rotation.{way} import handler_for

lambda_handler = handler_for({database})
"""
_TIMEOUT, _MEMORY = 60, 256
_OWN_POLICY = "rotation"
_OLD = (1980, 1, 1, 0, 0, 0)
"""The time of every file of an archive, so that the same sources make the same archive."""


def rotation_list(_options: argparse.Namespace) -> int:
    """What there is to install."""
    for name, kind in KINDS.items():
        print(f"{name:<28}{kind.what}")
    return 0


def rotation_package(options: argparse.Namespace) -> int:
    """Write a function's archive, for whoever installs it otherwise."""
    with whole_file(Path(options.output), 0o644, replace=True) as file:
        file.write(package(options.kind))
    return 0


def rotation_install(options: argparse.Namespace) -> int:
    """Make or update the function, with its role and Secrets Manager's permission to invoke it."""
    archive = package(options.kind)
    shell = ShellClients(options)
    with shell.asking():
        print(_installed(shell.client, archive, options))
    return 0


def _installed(asked: Callable[[str], Any], archive: bytes, options: argparse.Namespace) -> str:
    """The function's ARN."""
    account = asked("sts").get_caller_identity()["Account"]
    functions = asked("lambda")
    name = options.name or f"casemate-{options.kind}"
    partition, region = functions.meta.partition, functions.meta.region_name
    arn = f"arn:{partition}:lambda:{region}:{account}:function:{name}"
    variables = {
        **(
            {"EXCLUDE_CHARACTERS": options.exclude_characters}
            if options.exclude_characters is not None
            else {}
        ),
        **({"PASSWORD_LENGTH": str(options.password_length)} if options.password_length else {}),
    }
    settings: dict[str, Any] = {
        "Handler": "lambda_function.lambda_handler",
        "Runtime": f"python3.{sys.version_info.minor}",
        "Timeout": _TIMEOUT,
        "MemorySize": _MEMORY,
        "Environment": {"Variables": variables},
        "Description": f"Rotates passwords: {KINDS[options.kind].what}. By Casemate.",
    }
    role = options.role or _role(asked("iam"), name, arn, partition, options)
    try:
        functions.get_function(FunctionName=name)
    except functions.exceptions.ResourceNotFoundException:
        functions.create_function(FunctionName=name, Role=role, Code={"ZipFile": archive}, **settings)
    else:
        functions.update_function_code(FunctionName=name, ZipFile=archive)
        _wait(functions, name)
        functions.update_function_configuration(FunctionName=name, Role=role, **settings)
    _wait(functions, name)
    # It may have it from before.
    with suppress(functions.exceptions.ResourceConflictException):
        functions.add_permission(
            FunctionName=name,
            StatementId="SecretsManager",
            Action="lambda:InvokeFunction",
            Principal="secretsmanager.amazonaws.com",
            SourceAccount=account,
        )
    return arn


def _wait(functions: Any, name: str) -> None:
    for _ in range(120):
        found = functions.get_function_configuration(FunctionName=name)
        if "InProgress" not in (found.get("LastUpdateStatus"),) and found.get("State") != "Pending":
            return
        time.sleep(0.25)
    raise CommandError(f"the function {name} is not ready")


def _role(iam: Any, name: str, function: str, partition: str, options: argparse.Namespace) -> str:
    """The function's own role, which may read and change the secrets that it rotates, and no others."""
    role = f"{name}-role"[-64:]
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "lambda.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
    try:
        arn: str = iam.create_role(RoleName=role, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    except iam.exceptions.EntityAlreadyExistsException:
        arn = _own_role(iam, role, trust)
    policy = _policy(function, partition, options.master_secret or [], options.kms_key or [])
    iam.put_role_policy(RoleName=role, PolicyName=_OWN_POLICY, PolicyDocument=json.dumps(policy))
    return arn


def _own_role(iam: Any, role: str, trust: Mapping[str, Any]) -> str:
    """The role that is there, if an installation before has made it and nobody has given it more since."""
    found = iam.get_role(RoleName=role)["Role"]
    inline = iam.list_role_policies(RoleName=role)["PolicyNames"]
    attached = iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]
    if found["AssumeRolePolicyDocument"] != trust or attached or not {*inline} <= {_OWN_POLICY}:
        raise CommandError(
            f"there is a role {role} already, which is trusted or allowed something else than a rotation function's",
            "Name the role to use by --role ARN, or another function by --name.",
        )
    arn: str = found["Arn"]
    return arn


def _policy(function: str, partition: str, masters: list[str], keys: list[str]) -> dict[str, Any]:
    statements: list[dict[str, Any]] = [
        {
            "Effect": "Allow",
            "Action": [
                "secretsmanager:DescribeSecret",
                "secretsmanager:GetSecretValue",
                "secretsmanager:PutSecretValue",
                "secretsmanager:UpdateSecretVersionStage",
            ],
            "Resource": "*",
            "Condition": {"StringEquals": {"secretsmanager:resource/AllowRotationLambdaArn": function}},
        },
        {"Effect": "Allow", "Action": "secretsmanager:GetRandomPassword", "Resource": "*"},
        {
            "Effect": "Allow",
            "Action": ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"],
            "Resource": f"arn:{partition}:logs:*:*:*",
        },
    ]
    if masters:
        statements.append({"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": masters})
    if keys:
        actions = ["kms:Decrypt", "kms:GenerateDataKey"]
        statements.append({"Effect": "Allow", "Action": actions, "Resource": keys})
    return {"Version": "2012-10-17", "Statement": statements}


def package(name: str) -> bytes:
    """The archive of a rotation function: its entry, the steps, and the database's driver with what that needs.
    Raises CommandError where the driver is not installed."""
    kind = KINDS[name]
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:

        def add(path: str, content: bytes) -> None:
            archive.writestr(_entry(path), content)

        add("lambda_function.py", _ENTRY.format(way=kind.way, database=kind.database).encode())
        sources = files("casemate.rotation_functions")
        for source in sorted(sources.iterdir(), key=lambda each: each.name):
            if source.name.endswith(".py"):
                add(f"rotation/{source.name}", source.read_bytes())
        for path, content in sorted(dict(_driver(kind.driver, set())).items()):
            add(path, content)
    return held.getvalue()


def _entry(path: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(path, _OLD)
    info.external_attr = 0o644 << 16
    info.compress_type = zipfile.ZIP_DEFLATED
    return info


def _driver(name: str, seen: set[str]) -> Iterator[tuple[str, bytes]]:
    """The files of an installed distribution and of those that it requires."""
    try:
        found = distribution(name)
    except PackageNotFoundError:
        raise CommandError(
            f"the driver {name} is not installed", "Install it by: pip install 'casemate[rotation]'"
        ) from None
    seen.add(name)
    for file in found.files or ():
        path = file.as_posix()
        if path.startswith("..") or "/__pycache__/" in path or path.endswith((".pyc", ".c", ".pyi")):
            continue
        if not file.parts[0].endswith((".dist-info", ".egg-info")):
            yield path, file.read_binary()
    for requirement in found.requires or ():
        required = re.match(r"[A-Za-z0-9._-]+", requirement)
        # What an extra brings is not needed to log in.
        if required is not None and "extra ==" not in requirement and required[0] not in seen:
            yield from _driver(required[0], seen)
