"""Every served operation asks for actions that AWS's Service Authorization Reference has, and its service knows the
condition keys that the reference lists for them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import generate_reference
import pytest
from generate_api import module_name

import casemate
from casemate.api.reference import action, actions
from casemate.gate.operation import Mode, Operation
from casemate.server.composition import APIS

SERVED = [operation for api in APIS for operation in api.operations if operation.served is not None]
SOURCES = Path(casemate.__file__).parent

# Condition keys that a service does not know, each with the reason.
ABSENT = {
    "ec2:Region": "EC2 itself is not served: KMS asks for one of its actions",
    "iam:AssociatedResourceArn": "resources that roles are for come with EC2",
    "iam:FIDO-FIPS-140-2-certification": "FIDO security keys are not served",
    "iam:FIDO-FIPS-140-3-certification": "FIDO security keys are not served",
    "iam:FIDO-certification": "FIDO security keys are not served",
    "iam:RegisterSecurityKey": "FIDO security keys are not served",
    "organizations:TransferDirection": "responsibility transfers are not served",
    "organizations:TransferType": "responsibility transfers are not served",
    "s3:AccessGrantsInstanceArn": "access grants are not served",
    "s3:AccessPointTag/${TagKey}": "access points have no tags yet",
    "ssm:DocumentCategories": "documents are not served",
    "ssm:DocumentType": "documents are not served",
    "ssm:resourceTag/tag-key": "the reference's way to write ssm:resourceTag/${TagKey}",
}
# Keys whose names follow from data: identity providers' claims, and the numbers of PCRs.
_BY_DATA = re.compile(
    r"(accounts\.google\.com|cognito-identity\.amazonaws\.com|graph\.facebook\.com|www\.amazon\.com):\w+"
    r"|saml:\w+"
    r"|kms:RecipientAttestation:(NitroTPM)?PCR\d+"
)


# Actions of services that are not served, which the reference calls dependent actions of those that are.
DEPENDENT = {"cloudhsm:DescribeClusters", "ec2:DescribeVpcEndpointServices"}


def needed() -> Iterator[tuple[Operation[Any, Any], str]]:
    for operation in SERVED:
        assert operation.served is not None
        for need in operation.served.needs:
            yield operation, need.action


@pytest.mark.parametrize("prefix", generate_reference.prefixes())
def test_the_committed_files_are_current(prefix: str) -> None:
    committed = (generate_reference.TARGET / f"{prefix}.json").read_text(encoding="utf-8")
    assert committed == generate_reference.generate(prefix), "run `make api`"


def test_there_is_no_file_of_another_service() -> None:
    files = {path.stem for path in generate_reference.TARGET.glob("*.json")}
    assert files == set(generate_reference.prefixes())


@pytest.mark.parametrize(("operation", "wanted"), list(needed()), ids=str)
def test_aws_has_the_action(operation: Operation[Any, Any], wanted: str) -> None:
    found = action(wanted)
    if found is None and wanted in DEPENDENT:
        assert not actions(wanted.partition(":")[0]), "its service is served by now: take it out of DEPENDENT"
        return
    assert found is not None, f"{operation} needs {wanted}, which AWS does not have"
    assert operation.served is not None
    if wanted == operation.action and found.level in ("Write", "Permissions management", "Tagging"):
        # Cryptographic operations are "Write" to AWS, and change nothing.
        assert operation.served.mode is not Mode.READ or wanted.startswith(("kms:", "sts:")), (
            f"AWS says that {wanted} changes something"
        )


def _sources(*folders: Path) -> str:
    return "".join(
        path.read_text(encoding="utf-8") for folder in folders for path in folder.glob("*.py")
    ).lower()


@pytest.mark.parametrize("prefix", generate_reference.prefixes())
def test_a_service_knows_its_actions_condition_keys(prefix: str) -> None:
    text = _sources(
        SOURCES / "gate", SOURCES / "engine" / "policy", SOURCES / "services" / module_name(prefix)
    )
    wanted = {
        condition
        for _, name in needed()
        if name.startswith(f"{prefix}:") and (found := action(name)) is not None
        for condition in found.conditions
    }
    unknown = {
        key
        for key in wanted
        if key not in ABSENT
        and not _BY_DATA.fullmatch(key)
        and key.partition("${")[0].partition("<")[0].rstrip("/").lower() not in text
    }
    assert not unknown, f"AWS has condition keys that {prefix} does not know: {sorted(unknown)}"


def test_what_is_said_to_be_absent_is() -> None:
    for key in ABSENT:
        prefix = key.partition(":")[0]
        assert key.lower() not in _sources(SOURCES / "services" / module_name(prefix)), (
            f"{key} is known by now"
        )


def test_actions_are_found_by_name() -> None:
    found = action("KMS:encrypt")
    assert found == actions("kms")["Encrypt"]
    assert found.level == "Write"
    assert found.resources == ("key*",)
    assert "kms:EncryptionContext:${EncryptionContextKey}" in found.conditions
    assert "kms:KeySpec" in found.conditions, "a resource type's keys are its actions' too"
    assert action("kms:Encript") is None
    assert action("teapot:Brew") is None
    assert action("kms") is None
