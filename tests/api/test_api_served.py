"""All operations of the served services: each has one handler, a resolver and its row in the
documentation."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
import served_operations
from generate_api import module_name
from served_operations import BEGIN, END, BadPage, inserted, pages, permissions, served

from casemate import wire
from casemate.gate.operation import Mode, Operation
from casemate.server.composition import APIS

ALL = [operation for api in APIS for operation in api.operations]
SERVED = [operation for operation in ALL if operation.served is not None]
UNSERVED = [operation for operation in ALL if operation.served is None]


def test_there_is_something_to_walk() -> None:
    assert len(SERVED) >= 25
    assert len(UNSERVED) >= 30
    assert len({(each.service, each.name) for each in ALL}) == len(ALL)


DEPENDENT = {
    "cloudtrail:CreateTrail": {"iam:PassRole"},
    "cloudtrail:UpdateTrail": {"iam:PassRole"},
    "events:PutRule": {"iam:PassRole"},
    "events:PutTargets": {"iam:PassRole"},
    "kms:CreateCustomKeyStore": {"cloudhsm:DescribeClusters", "ec2:DescribeVpcEndpointServices"},
    "kms:UpdateCustomKeyStore": {"ec2:DescribeVpcEndpointServices"},
    "lambda:CreateFunction": {"iam:PassRole"},
    "lambda:UpdateFunctionConfiguration": {"iam:PassRole"},
    "s3:PutBucketReplication": {"iam:PassRole"},
}


@pytest.mark.parametrize("operation", SERVED, ids=repr)
def test_a_served_operation_is_whole(operation: Operation[Any, Any]) -> None:
    how = operation.served
    assert how is not None
    assert list(inspect.signature(how.handler).parameters)[:2] == ["call", "req"]
    assert len(inspect.signature(how.handler).parameters) == 3
    assert list(inspect.signature(how.resolver).parameters) == ["call", "request"]
    module = inspect.getmodule(how.handler)
    assert module is not None
    prefix = operation.action.partition(":")[0]
    assert module.__name__.startswith(f"casemate.services.{module_name(prefix)}."), (
        "the service's own package serves it"
    )
    assert isinstance(how.mode, Mode)
    assert how.quota or how.quota_of
    assert how.needs == () or how.needs[0].action.startswith(f"{prefix}:")
    # Permissions of other services are those that AWS's documentation names for the operation ("dependent actions").
    dependent = {need.action for need in how.needs if not need.action.startswith(f"{prefix}:")}
    assert dependent == DEPENDENT.get(repr(operation), set())
    assert how.read_only or how.mode is not Mode.READ, "what changes nothing is read-only in the audit"
    wire.codec(operation.service, operation.name, wire.protocols(operation.service)[0])


def test_only_what_aws_lets_everybody_needs_no_permission() -> None:
    assert [repr(each) for each in SERVED if each.served and not each.served.needs] == [
        # By the token that the subscribed endpoint was sent.
        "sns:ConfirmSubscription",
        "sts:GetCallerIdentity",
        "sts:GetSessionToken",
    ]


def test_only_what_brings_a_proof_of_its_own_takes_no_signature() -> None:
    assert [repr(each) for each in SERVED if each.served and each.served.proof] == [
        "sns:ConfirmSubscription",
        "sns:Unsubscribe",
        "sts:AssumeRoleWithSAML",
        "sts:AssumeRoleWithWebIdentity",
    ]


@pytest.mark.parametrize("operation", SERVED[:3], ids=repr)
def test_a_second_handler_is_refused(operation: Operation[Any, Any]) -> None:
    before = operation.served
    with pytest.raises(RuntimeError, match="has two handlers"):
        operation.reads(lambda call, request: None)(lambda call, req, target: {})
    assert operation.served is before


def test_the_documentations_tables_are_current(capsys: pytest.CaptureFixture[str]) -> None:
    status = served_operations.main(["--check"])
    assert status == 0, f"run `make api`: {capsys.readouterr().out}"


@pytest.mark.parametrize("operation", SERVED, ids=repr)
def test_every_served_operation_has_its_row(operation: Operation[Any, Any]) -> None:
    page = (served_operations.PAGES / f"{operation.service}.md").read_text()
    table = page.partition(BEGIN)[2].partition(END)[0]
    assert table.count(f"\n| {operation.name} | {permissions(operation)} |") == 1


def test_no_page_has_a_row_of_what_is_not_served() -> None:
    for api in APIS:
        page = (served_operations.PAGES / f"{api.service}.md").read_text()
        tables = page.partition(BEGIN)[2].partition(END)[0].partition("The actions, as AWS's")
        rows, actions = (
            [line for line in text.splitlines() if line.startswith("| ")] for text in tables[::2]
        )
        assert len(rows) - 1 == len(served(api))
        needed = {need.action for each in served(api) if each.served for need in each.served.needs}
        assert len(actions) - 1 == len(needed)


def test_a_page_without_its_markers_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadPage, match=r"README\.md is missing"):
        pages(tmp_path)
    for page in ("", BEGIN, END, END + BEGIN, BEGIN + END + END, BEGIN + BEGIN + END):
        with pytest.raises(BadPage, match="each marker once"):
            inserted(page, "text", "page.md")
    assert inserted(f"a\n{BEGIN}\nold\n{END}\nb", "new", "x") == f"a\n{BEGIN}\n\nnew\n\n{END}\nb"
