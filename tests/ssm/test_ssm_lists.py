"""Hierarchies and lists by a real client: GetParametersByPath and DescribeParameters, filtered and in pages."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ssm_support import REGION, Ssm, arn, refused, user_arn

_PATH_FORM = (
    "The parameter doesn't meet the parameter name requirements. The parameter name must begin with a forward slash "
    '"/". It can\'t be prefixed with "aws" or "ssm" (case-insensitive). It must use only letters, numbers, or the '
    "following symbols: . (period), - (hyphen), _ (underscore). Special characters are not allowed. All sub-paths, "
    'if specified, must use the forward slash symbol "/". Valid example: /get/parameters2-/by1./path0_.'
)


@pytest.fixture(scope="module")
def tree(ssm: Ssm) -> str:
    """A Region that holds these parameters and no others."""
    region = "eu-central-1"
    client = ssm.of(region=region)
    tagged = {"Tags": [{"Key": "stage", "Value": "prod"}, {"Key": "team", "Value": "red"}]}
    for name, more in (
        ("/app/db/password", {"Type": "SecureString"}),
        ("/app/db/url", tagged),
        ("/app/debug", {}),
        ("/app/hosts", {"Type": "StringList", "Value": "a,b"}),
        ("/app-other/x", {"Tags": [{"Key": "stage", "Value": "dev"}]}),
        ("/app.more", {"Tier": "Advanced"}),
        ("flat", {"DataType": "integer", "Value": "1"}),
        ("/zeta", {"Type": "SecureString", "Tier": "Advanced"}),
    ):
        client.put_parameter(**{"Name": name, "Type": "String", "Value": name.strip("/"), **more})
    client.label_parameter_version(Name="/app/debug", Labels=["live"])
    client.put_parameter(Name="/app/debug", Value="newer", Overwrite=True)
    return region


ALL = [
    *(
        "/app-other/x",
        "/app.more",
        "/app/db/password",
        "/app/db/url",
        "/app/debug",
        "/app/hosts",
        "flat",
        "/zeta",
    ),
]


def by_path(ssm: Ssm, region: str, path: str, **more: Any) -> list[str]:
    pages = ssm.of(region=region).get_paginator("get_parameters_by_path").paginate(Path=path, **more)
    return [each["Name"] for page in pages for each in page["Parameters"]]


def described(ssm: Ssm, region: str, *filters: tuple[str, str, list[str]], **more: Any) -> list[str]:
    """filters: key, option or '', values."""
    named = [
        {"Key": key, **({"Option": option} if option else {}), **({"Values": values} if values else {})}
        for key, option, values in filters
    ]
    pages = (
        ssm.of(region=region)
        .get_paginator("describe_parameters")
        .paginate(**({"ParameterFilters": named} if named else {}), **more)
    )
    return [each["Name"] for page in pages for each in page["Parameters"]]


def test_a_level_and_all_below(ssm: Ssm, tree: str) -> None:
    assert by_path(ssm, tree, "/app") == ["/app/debug", "/app/hosts"]
    assert by_path(ssm, tree, "/app/") == ["/app/debug", "/app/hosts"]
    below = ["/app/db/password", "/app/db/url", "/app/debug", "/app/hosts"]
    assert by_path(ssm, tree, "/app", Recursive=True) == below
    assert by_path(ssm, tree, "/app", Recursive=True, PaginationConfig={"PageSize": 1}) == below
    assert by_path(ssm, tree, "/") == ["/app.more", "flat", "/zeta"]
    assert by_path(ssm, tree, "/", Recursive=True, PaginationConfig={"PageSize": 3}) == ALL
    assert by_path(ssm, tree, "/app/debug") == []
    assert by_path(ssm, tree, "/none/such") == []


def test_pages_of_a_path(ssm: Ssm, tree: str) -> None:
    client = ssm.of(region=tree)
    first = client.get_parameters_by_path(Path="/app", Recursive=True, MaxResults=3)
    assert len(first["Parameters"]) == 3
    last = client.get_parameters_by_path(
        Path="/app", Recursive=True, MaxResults=1, NextToken=first["NextToken"]
    )
    assert [each["Name"] for each in last["Parameters"]] == ["/app/hosts"]
    assert "NextToken" not in last
    with refused("InvalidNextToken", "The specified token isn't valid."):
        client.get_parameters_by_path(Path="/app", NextToken="nonsense")
    with refused("ValidationException"):
        client.get_parameters_by_path(Path="/app", MaxResults=11)


def test_a_page_shows_every_change_at_once(ssm: Ssm) -> None:
    client = ssm.of()

    def listed() -> list[tuple[str, str]]:
        found = client.get_parameters_by_path(Path="/page/changes")["Parameters"]
        return [(each["Name"].rpartition("/")[2], each["Value"]) for each in found]

    assert listed() == listed() == []
    ssm.put("/page/changes/b", "1")
    assert listed() == listed() == [("b", "1")]
    ssm.put("/page/changes/a", "2")
    ssm.put("/page/changes/b", "3", Overwrite=True)
    assert listed() == listed() == [("a", "2"), ("b", "3")]
    client.delete_parameter(Name="/page/changes/a")
    assert listed() == [("b", "3")]
    ssm.put("/page/changes/c", "x" * 10, user="admin")
    for region, user in (("eu-west-1", "admin"), (REGION, "stranger")):
        found = ssm.of(user, region).get_parameters_by_path(Path="/page/changes")["Parameters"]
        assert found == []


@pytest.mark.parametrize("path", ["app", "/a b", "//", "/a//b", "/a*", "a/b/"])
def test_what_a_path_may_be(ssm: Ssm, path: str) -> None:
    with refused("ValidationException", _PATH_FORM):
        ssm.of().get_parameters_by_path(Path=path)


def test_paths_are_filtered(ssm: Ssm, tree: str) -> None:
    def filtered(key: str, *values: str, **more: Any) -> list[str]:
        filters = [{"Key": key, "Values": list(values), **more}]
        return by_path(ssm, tree, "/", Recursive=True, ParameterFilters=filters)

    assert filtered("Type", "StringList") == ["/app/hosts"]
    assert filtered("Type", "Secure", Option="BeginsWith") == ["/app/db/password", "/zeta"]
    assert filtered("KeyId", "alias/aws/ssm") == ["/app/db/password", "/zeta"]
    client = ssm.of(region=tree)
    labelled = client.get_parameters_by_path(
        Path="/app", ParameterFilters=[{"Key": "Label", "Values": ["live"]}]
    )["Parameters"]
    assert [(each["Name"], each["Value"], each["Version"]) for each in labelled] == [
        ("/app/debug", "app/debug", 1)
    ]
    for key in ("Name", "Path", "Tier", "DataType", "tag:stage"):
        with refused(
            "InvalidFilterKey",
            f"The following filter key is not valid: {key}. Valid filter keys include: [Type, KeyId, Label].",
        ):
            client.get_parameters_by_path(Path="/app", ParameterFilters=[{"Key": key, "Values": ["x"]}])
    with refused("InvalidFilterOption"):
        client.get_parameters_by_path(
            Path="/app", ParameterFilters=[{"Key": "Label", "Values": ["x"], "Option": "BeginsWith"}]
        )


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ((), ALL),
        ((("Name", "", ["/app/debug"]),), ["/app/debug"]),
        ((("Name", "Equals", ["app/debug", "/flat"]),), ["/app/debug", "flat"]),
        ((("Name", "BeginsWith", ["/app/d"]),), ["/app/db/password", "/app/db/url", "/app/debug"]),
        ((("Name", "BeginsWith", ["fl", "/z"]),), ["flat", "/zeta"]),
        ((("Name", "Contains", ["db"]),), ["/app/db/password", "/app/db/url"]),
        ((("Path", "", ["/app"]),), ["/app/debug", "/app/hosts"]),
        (
            (("Path", "Recursive", ["/app/db", "/app-other"]),),
            ["/app-other/x", "/app/db/password", "/app/db/url"],
        ),
        (
            (("Path", "OneLevel", ["/app/db", "/"]),),
            ["/app.more", "/app/db/password", "/app/db/url", "flat", "/zeta"],
        ),
        (
            (("Path", "Recursive", ["/app"]), ("Name", "BeginsWith", ["/app/db"])),
            ["/app/db/password", "/app/db/url"],
        ),
        (
            (("Name", "BeginsWith", ["/app/d"]), ("Path", "OneLevel", ["/app"])),
            ["/app/debug"],
        ),
        ((("Type", "", ["SecureString", "StringList"]),), ["/app/db/password", "/app/hosts", "/zeta"]),
        ((("Tier", "", ["Advanced"]), ("Type", "", ["String"])), ["/app.more"]),
        ((("KeyId", "BeginsWith", ["alias/aws"]),), ["/app/db/password", "/zeta"]),
        ((("DataType", "", ["integer"]),), ["flat"]),
        ((("tag:stage", "", ["prod"]),), ["/app/db/url"]),
        ((("tag:stage", "BeginsWith", ["d", "p"]),), ["/app-other/x", "/app/db/url"]),
        ((("tag:stage", "", []), ("tag:team", "", ["red"])), ["/app/db/url"]),
        ((("tag:stage", "", ["none"]),), []),
        ((("Name", "BeginsWith", ["/\0"]),), []),
        ((("Name", "BeginsWith", ["/\U0010ffff"]),), []),
        ((("Name", "BeginsWith", ["/"]),), ALL),
    ],
)
def test_parameters_are_described_by_filters(
    ssm: Ssm, tree: str, filters: tuple[tuple[str, str, list[str]], ...], found: list[str]
) -> None:
    assert described(ssm, tree, *filters) == found
    assert described(ssm, tree, *filters, PaginationConfig={"PageSize": 2}) == found


def test_the_deprecated_filters(ssm: Ssm, tree: str) -> None:
    def filtered(key: str, *values: str) -> list[str]:
        answer = ssm.of(region=tree).describe_parameters(Filters=[{"Key": key, "Values": list(values)}])
        return [each["Name"] for each in answer["Parameters"]]

    assert filtered("Name", "/app/d", "flat") == ["/app/db/password", "/app/db/url", "/app/debug", "flat"]
    assert filtered("Type", "StringList") == ["/app/hosts"]
    assert filtered("KeyId", "alias/aws/ssm") == ["/app/db/password", "/zeta"]
    with refused(
        "ValidationException", "You can use either Filters or ParameterFilters in a single request."
    ):
        ssm.of().describe_parameters(
            Filters=[{"Key": "Name", "Values": ["x"]}], ParameterFilters=[{"Key": "Name", "Values": ["x"]}]
        )


def test_what_a_description_holds(ssm: Ssm, tree: str) -> None:
    (shown,) = ssm.of(region=tree).describe_parameters(
        ParameterFilters=[{"Key": "Name", "Values": ["/zeta"]}]
    )["Parameters"]
    assert shown.pop("LastModifiedDate")
    assert shown == {
        "Name": "/zeta",
        "ARN": arn("/zeta", region=tree),
        "Type": "SecureString",
        "KeyId": "alias/aws/ssm",
        "LastModifiedUser": user_arn("admin"),
        "Version": 1,
        "Tier": "Advanced",
        "Policies": [],
        "DataType": "text",
    }


@pytest.mark.parametrize(
    ("given", "code", "message"),
    [
        (
            {"Key": "Label", "Values": ["x"]},
            "InvalidFilterKey",
            "The following filter key is not valid: Label. Valid filter keys include: [Path, Name, Type, KeyId, "
            "Tier, DataType].",
        ),
        ({"Key": "Wrong", "Values": ["x"]}, "ValidationException", None),
        (
            {"Key": "Name"},
            "InvalidFilterValue",
            "The following filter values are missing : null for filter key Name.",
        ),
        (
            {"Key": "Name", "Option": "Recursive", "Values": ["x"]},
            "InvalidFilterOption",
            "The following filter option is not valid: Recursive. Valid options include: [Equals, BeginsWith, "
            "Contains].",
        ),
        (
            {"Key": "Type", "Option": "Contains", "Values": ["x"]},
            "InvalidFilterOption",
            "The following filter option is not valid: Contains. Valid options include: [Equals, BeginsWith].",
        ),
        (
            {"Key": "Path", "Option": "Equals", "Values": ["/x"]},
            "InvalidFilterOption",
            "The following filter option is not valid: Equals. Valid options include: [Recursive, OneLevel].",
        ),
        ({"Key": "Path", "Values": ["x"]}, "ValidationException", _PATH_FORM),
        (
            {"Key": "Path", "Values": ["/aws/service"]},
            "ValidationException",
            'Filters for common parameters can\'t be prefixed with "aws" or "ssm" (case-insensitive). When using '
            "global parameters, please specify within a global namespace.",
        ),
        (
            {"Key": "Type", "Values": ["Secret"]},
            "InvalidFilterValue",
            "The following filter value is not valid: Secret. Valid values include: [String, StringList, "
            "SecureString].",
        ),
    ],
)
def test_filters_that_are_none(ssm: Ssm, given: Any, code: str, message: str | None) -> None:
    with refused(code, message):
        ssm.of().describe_parameters(ParameterFilters=[given])


def test_a_filter_is_given_once(ssm: Ssm) -> None:
    with refused(
        "InvalidFilterKey",
        "The following filter is duplicated in the request: Name. A request can contain only one occurrence of a "
        "specific filter.",
    ):
        ssm.of().describe_parameters(ParameterFilters=[{"Key": "Name", "Values": ["x"]}] * 2)
    with refused("InvalidNextToken"):
        ssm.of().describe_parameters(NextToken="nonsense")
    with refused("ValidationException"):
        ssm.of().describe_parameters(MaxResults=51)


def test_nothing_is_shared_by_a_resource_share(ssm: Ssm) -> None:
    assert ssm.of().describe_parameters(Shared=True)["Parameters"] == []


# --- AWS's own


def test_public_parameters(ssm: Ssm) -> None:
    client = ssm.of()
    name = "/aws/service/ami-amazon-linux-latest/amzn2-ami-hvm-x86_64-gp2"
    found = client.get_parameter(Name=name)["Parameter"]
    assert found["Value"].startswith("ami-0")
    assert len(found["Value"]) == 21
    assert (found["ARN"], found["DataType"]) == (f"arn:aws:ssm:{REGION}::parameter{name}", "aws:ec2:image")
    assert client.get_parameter(Name=found["ARN"])["Parameter"] == found
    elsewhere = ssm.of("stranger", "eu-west-1").get_parameters(Names=[name, "/aws/service/none"])
    assert elsewhere["Parameters"][0]["Value"] != found["Value"]
    assert elsewhere["InvalidParameters"] == ["/aws/service/none"]
    listed = client.get_parameters_by_path(Path="/aws/service/ami-windows-latest")
    assert "/aws/service/ami-windows-latest/Windows_Server-2022-English-Full-Base" in [
        each["Name"] for each in listed["Parameters"]
    ]
    with refused("ParameterNotFound"):
        client.get_parameter(Name="/aws/service/none")
    with refused("ParameterVersionNotFound"):
        client.get_parameter(Name=f"{name}:77")
    with refused("AccessDeniedException"):
        ssm.of("nobody").get_parameter(Name=name)


def test_public_images_of_others(ssm: Ssm) -> None:
    ecs = "/aws/service/ecs/optimized-ami/amazon-linux-2023/recommended"
    names = [
        f"{ecs}/image_id",
        "/aws/service/eks/optimized-ami/1.31/amazon-linux-2023/x86_64/standard/recommended/image_id",
        "/aws/service/canonical/ubuntu/server/22.04/stable/current/amd64/hvm/ebs-gp2/ami-id",
        "/aws/service/bottlerocket/aws-k8s-1.31/arm64/latest/image_id",
    ]
    found = ssm.of().get_parameters(Names=names)["Parameters"]
    assert [each["Name"] for each in found] == names
    assert len({each["Value"] for each in found}) == 4
    about = json.loads(ssm.of().get_parameter(Name=ecs)["Parameter"]["Value"])
    assert (about["image_id"], about["os"]) == (found[0]["Value"], "Amazon Linux 2023")


def test_global_infrastructure(ssm: Ssm) -> None:
    root = "/aws/service/global-infrastructure"

    def values(path: str, **more: Any) -> list[str]:
        pages = ssm.of().get_paginator("get_parameters_by_path").paginate(Path=f"{root}/{path}", **more)
        return [each["Value"] for page in pages for each in page["Parameters"]]

    regions = values("regions")
    assert {"us-east-1", "eu-central-1", "af-south-1"} <= set(regions)
    assert "cn-north-1" not in regions
    assert "eu-central-1" in values("services/ssm/regions")
    assert {"kms", "ssm", "s3"} <= set(values("regions/us-west-1/services"))
    assert len(values("regions/us-east-1/availability-zones")) == 6
    assert {"use1-az1", "apne1-az4", "euc1-az3", "usw2-az4"} <= set(values("availability-zones"))
    for name, value in (
        ("regions/us-west-1/services/ssm/endpoint", "ssm.us-west-1.amazonaws.com"),
        ("regions/us-west-1/longName", "US West (N. California)"),
        ("services/athena/longName", "Amazon Athena"),
        ("availability-zones/apse2-az1/parent-region", "ap-southeast-2"),
    ):
        assert ssm.of().get_parameter(Name=f"{root}/{name}")["Parameter"]["Value"] == value
    assert values("regions", ParameterFilters=[{"Key": "Type", "Values": ["SecureString"]}]) == []
