"""Parameters by a real client: made, changed, read, deleted."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError
from ssm_support import ACCOUNT, REGION, Ssm, arn, refused, user_arn

from casemate.gate.markers import write_marker

_NAME_FORM = (
    'Parameter name: can\'t be prefixed with "ssm" (case-insensitive). If formed as a path, it can consist of '
    "sub-paths divided by slash symbol; each sub-path can be formed as a mix of letters, numbers and the following "
    "3 symbols .-_"
)


def test_a_parameter_is_made_read_changed_and_deleted(ssm: Ssm) -> None:
    client = ssm.of()
    made = client.put_parameter(
        Name="/first/db/url", Value="postgres://db", Type="String", Description="where"
    )
    assert (made["Version"], made["Tier"]) == (1, "Standard")
    found = client.get_parameter(Name="/first/db/url")["Parameter"]
    assert found.pop("LastModifiedDate") <= datetime.now(UTC)
    assert found == {
        "Name": "/first/db/url",
        "Type": "String",
        "Value": "postgres://db",
        "Version": 1,
        "ARN": f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/first/db/url",
        "DataType": "text",
    }
    assert ssm.put("/first/db/url", "postgres://other", Overwrite=True)["Version"] == 2
    assert ssm.value("/first/db/url") == "postgres://other"
    assert client.delete_parameter(Name="/first/db/url")["ResponseMetadata"]["HTTPStatusCode"] == 200
    with refused("ParameterNotFound", "Parameter /first/db/url not found."):
        client.get_parameter(Name="/first/db/url")
    with refused("ParameterNotFound"):
        client.delete_parameter(Name="/first/db/url")
    assert ssm.put("/first/db/url", "again")["Version"] == 1, "its versions went with it"
    with refused("ParameterVersionNotFound"):
        client.get_parameter(Name="/first/db/url:2")


def test_what_exists_is_changed_only_by_overwriting(ssm: Ssm) -> None:
    ssm.put("/twice", "one")
    with refused(
        "ParameterAlreadyExists",
        "The parameter already exists. To overwrite this value, set the overwrite option in the request to true.",
    ):
        ssm.put("/twice", "two")
    # With and without the slash it is the same one.
    with refused("ParameterAlreadyExists"):
        ssm.put("twice", "two")
    assert ssm.value("/twice") == ssm.value("twice") == "one"
    assert ssm.of().get_parameter(Name="twice")["Parameter"]["Name"] == "/twice"


def test_what_is_not_said_anew_stays(ssm: Ssm) -> None:
    ssm.put("/kept", "12", Description="a number", AllowedPattern=r"\d{1,4}", DataType="text")
    ssm.of().put_parameter(Name="/kept", Value="13", Overwrite=True)
    (shown,) = ssm.of().describe_parameters(ParameterFilters=[{"Key": "Name", "Values": ["/kept"]}])[
        "Parameters"
    ]
    assert (shown["Type"], shown["Description"], shown["AllowedPattern"]) == (
        "String",
        "a number",
        r"\d{1,4}",
    )
    assert shown["Version"] == 2
    assert shown["LastModifiedUser"] == user_arn("admin")
    ssm.put("/kept", "14", Overwrite=True, Description="", AllowedPattern="")
    (shown,) = ssm.of().describe_parameters(ParameterFilters=[{"Key": "Name", "Values": ["/kept"]}])[
        "Parameters"
    ]
    assert "Description" not in shown
    assert "AllowedPattern" not in shown


def test_a_type_is_needed_once(ssm: Ssm) -> None:
    with refused("ValidationException", "A parameter type is required when you create a parameter."):
        ssm.of().put_parameter(Name="/typeless", Value="x")
    with refused("ValidationException"):
        ssm.of().put_parameter(Name="/typeless", Value="x", Type="Number")
    ssm.put("/typed", "a,b", Type="StringList")
    ssm.of().put_parameter(Name="/typed", Value="c", Overwrite=True)
    assert ssm.of().get_parameter(Name="/typed")["Parameter"]["Type"] == "StringList"
    ssm.put("/typed", "plain", Overwrite=True)
    assert ssm.of().get_parameter(Name="/typed")["Parameter"]["Type"] == "String"


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("/aws/mine", "AccessDeniedException", "No access to reserved parameter name: aws/mine."),
        ("/AWSomething/x", "AccessDeniedException", "No access to reserved parameter name: AWSomething/x."),
        ("/SSM/x", "ValidationException", _NAME_FORM),
        ("/ssm-agent", "ValidationException", _NAME_FORM),
        (
            "awsTest",
            "ValidationException",
            'Parameter name: can\'t be prefixed with "aws" or "ssm" (case-insensitive).',
        ),
        (
            "SSM-test",
            "ValidationException",
            'Parameter name: can\'t be prefixed with "aws" or "ssm" (case-insensitive).',
        ),
        ("/has space", "ValidationException", _NAME_FORM),
        ("a/b", "ValidationException", _NAME_FORM),
        ("/a//b", "ValidationException", _NAME_FORM),
        ("/a/", "ValidationException", _NAME_FORM),
        ("/", "ValidationException", _NAME_FORM),
        ("/a*", "ValidationException", _NAME_FORM),
        ("/a:1", "ValidationException", _NAME_FORM),
        ("/größe", "ValidationException", _NAME_FORM),
        (arn("/by-arn"), "ValidationException", _NAME_FORM),
        (
            "/" + "/".join("a" * 16),
            "HierarchyLevelLimitExceededException",
            "Parameter hierarchy: a hierarchy can have a maximum of 15 levels.",
        ),
        ("n" * 968, "ValidationException", None),
        ("n" * 2049, "ValidationException", None),
    ],
)
def test_what_a_name_may_be(ssm: Ssm, name: str, code: str, message: str | None) -> None:
    with refused(code, message):
        ssm.put(name)


def test_the_longest_and_the_deepest_names(ssm: Ssm) -> None:
    deepest = "/" + "/".join("d" * 15)
    longest = "n" * (1011 - len(arn("")))
    for name in (deepest, longest, "  /trimmed  "):
        ssm.put(name)
        assert ssm.value(name) == "value"
    assert ssm.of().get_parameter(Name="/trimmed")["Parameter"]["Name"] == "/trimmed"


def test_what_a_value_may_be(ssm: Ssm) -> None:
    with refused(
        "ValidationException",
        "1 validation error detected: Value at 'value' failed to satisfy constraint: Member must have length "
        "greater than or equal to 1.",
    ):
        ssm.put("/value", "")
    nested = 'Parameter value can\'t nest another parameter. Do not use "{{}}" in the value.'
    for value in ("{{ssm:other}}", "a {{x}} b", "{{}}"):
        with refused("ValidationException", nested):
            ssm.put("/value", value)
    with refused("ValidationException"):
        ssm.put("/value", "nul\0")
    for number, value in enumerate(("{", "{a}}", "größe 🔑", " spaces ", "line\nline")):
        ssm.put(f"/value/{number}", value)
        assert ssm.value(f"/value/{number}") == value


def test_values_are_checked_by_the_allowed_pattern(ssm: Ssm) -> None:
    ssm.put("/pattern", "100", AllowedPattern=r"\d{1,4}")
    with refused(
        "ParameterPatternMismatchException",
        r"Parameter value, cannot be validated against allowedPattern: \d{1,4}",
    ):
        ssm.of().put_parameter(Name="/pattern", Value="55555", Overwrite=True)
    assert ssm.value("/pattern") == "100"
    with refused("ParameterPatternMismatchException"):
        ssm.put("/pattern/new", "letters 1", AllowedPattern=r"[a-z]+")
    ssm.put("/pattern/list", "a,b", Type="StringList", AllowedPattern="[a-z]")
    # What RE2 knows, in no time; what it does not, as long as it does not take for ever.
    ssm.put("/pattern/words", "größe", AllowedPattern=r"\p{L}+")
    ssm.put("/pattern/ahead", "abc1", AllowedPattern=r"(?=.*\d)[a-z0-9]{4,20}")
    for pattern, value in (
        (r"(?=.*\d)[a-z0-9]{4,20}", "abcd"),
        ("(a+)+b", "a" * 4000),
        ("(?=a)" + "(" * 20 + "a" + "{9})" * 20, "a"),
    ):
        with refused("ParameterPatternMismatchException"):
            ssm.put("/pattern/bad", value, AllowedPattern=pattern)
    for pattern in ("(", "*", "(?=a)(a+)+b"):
        with refused(
            "InvalidAllowedPatternException", "The request doesn't meet the regular expression requirement."
        ):
            ssm.put("/pattern/bad", "a" * 200, AllowedPattern=pattern)
    with refused("ParameterNotFound"):
        ssm.of().get_parameter(Name="/pattern/bad")


@pytest.mark.parametrize(
    ("data_type", "good", "bad"),
    [
        ("aws:ec2:image", "ami-0123456789abcdef0", "ami-xyz"),
        ("aws:ssm:integration", '{"a": 1}', "{"),
        ("aws:region", "eu-west-1", "eu-west-99"),
        ("aws:account:id", "111122223333", "1"),
        ("boolean", "true", "yes"),
        ("integer", "-443", "4.5"),
        ("float", "1.5e3", "one"),
        ("binary", "aGVsbG8=", "***"),
        ("hostname", "db.example.com", "-db-"),
        ("email", "a.b@example.com", "a.b"),
        ("ipv4-address", "10.0.0.1", "10.0.0.256"),
        ("ipv6-address", "2001:db8::1", "10.0.0.1"),
        ("url", "https://example.com/x", "no url"),
        ("json", '{"a": [1]}', "{a}"),
        ("jsonc", '{"a": "//x", /* one */ "b": [1,],} // end', "{} /* no end"),
    ],
)
def test_values_are_checked_by_their_data_type(ssm: Ssm, data_type: str, good: str, bad: str) -> None:
    name = f"/data/{data_type.replace(':', '-')}"
    made = ssm.put(name, good, DataType=data_type, Tier="Intelligent-Tiering")
    assert made["Tier"] == ("Advanced" if data_type in ("url", "json", "jsonc") else "Standard")
    assert ssm.of().get_parameter(Name=name)["Parameter"]["DataType"] == data_type
    with refused(
        "ValidationException", f"Parameter value, cannot be validated against the data type {data_type}."
    ):
        ssm.put(name, bad, Overwrite=True)
    assert ssm.value(name) == good


@pytest.mark.parametrize(
    ("data_type", "value"),
    [
        ("jsonc", '"' + '\\"' * 4000),
        ("jsonc", "/*" * 4000),
        ("jsonc", "," * 4000 + " " * 4000),
        ("json", "[" * 8000),
        ("jsonc", "[" * 8000),
        ("json", "{" * 4000),
        ("float", "1" * 8000 + "x"),
        ("float", "1" * 4000 + "." + "1" * 4000 + "x"),
        ("email", "a" * 4000 + "@" + "a." * 2000),
        ("hostname", "a-" * 4000),
        ("url", "https://" + "[" * 4000),
    ],
    ids=range(11),
)
def test_no_value_keeps_the_server_busy(ssm: Ssm, data_type: str, value: str) -> None:
    with refused("ValidationException"):
        ssm.put("/data/busy", value, DataType=data_type, Tier="Advanced")
    with refused("ValidationException"):
        ssm.put("/data/busy", "{{" * 400_000)


def test_data_types_that_there_are_not(ssm: Ssm) -> None:
    for data_type in ("Text", "aws:ec2:snapshot"):
        with refused(
            "ValidationException",
            f"The following data type is not supported: {data_type} (Data type names are all lowercase.)",
        ):
            ssm.put("/data-type", DataType=data_type)
    with refused(
        "ValidationException",
        "The data type aws:ec2:image is supported for parameters of the type String only.",
    ):
        ssm.put("/data-type", "ami-01234567", DataType="aws:ec2:image", Type="StringList")
    with refused("ValidationException"):
        ssm.put("/data-type", "{}", DataType="json")


def test_several_are_read_and_deleted_at_once(ssm: Ssm) -> None:
    client = ssm.of()
    for name in ("/many/a", "/many/b"):
        ssm.put(name, name)
    answer = client.get_parameters(Names=["/many/b", "/many/none", "/many/a", "/many/a:7", "/many/a"])
    assert [each["Name"] for each in answer["Parameters"]] == ["/many/b", "/many/a"]
    assert answer["InvalidParameters"] == ["/many/none", "/many/a:7"]
    answer = client.delete_parameters(Names=["/many/a", "/many/none", "/many/b"])
    assert answer["DeletedParameters"] == ["/many/a", "/many/b"]
    assert answer["InvalidParameters"] == ["/many/none"]
    assert client.get_parameters(Names=["/many/a", "/many/b"])["Parameters"] == []
    for operation in (client.get_parameters, client.delete_parameters):
        with refused("ValidationException"):
            operation(Names=[f"/n{number}" for number in range(11)])


def test_a_hundred_versions_are_kept(ssm: Ssm) -> None:
    client = ssm.of()
    ssm.put("/old", "1")
    for number in range(2, 101):
        assert ssm.put("/old", str(number), Overwrite=True)["Version"] == number
    assert ssm.put("/old", "101", Overwrite=True)["Version"] == 101
    pages = client.get_paginator("get_parameter_history").paginate(Name="/old")
    history = [each for page in pages for each in page["Parameters"]]
    assert [each["Version"] for each in history] == list(range(2, 102))
    assert [each["Value"] for each in history] == [str(number) for number in range(2, 102)]
    with refused(
        "ParameterVersionNotFound",
        "Systems Manager could not find version 1 of /old. Verify the version and try again.",
    ):
        client.get_parameter(Name="/old:1")
    client.label_parameter_version(Name="/old", ParameterVersion=2, Labels=["keep"])
    with refused(
        "ParameterMaxVersionLimitExceeded",
        "You attempted to create a new version of /old by calling the PutParameter API with the overwrite flag. "
        "Version 2, the oldest version, can't be deleted because it has a label associated with it. Move the label "
        "to another version of the parameter, and try again.",
    ):
        ssm.put("/old", "102", Overwrite=True)
    assert ssm.value("/old:keep") == "2"
    client.label_parameter_version(Name="/old", ParameterVersion=3, Labels=["keep"])
    assert ssm.put("/old", "102", Overwrite=True)["Version"] == 102


def test_history_is_listed_in_pages(ssm: Ssm) -> None:
    client = ssm.of()
    for number in range(1, 6):
        ssm.put("/pages", str(number), Overwrite=True)
    ssm.put("/pages/other", "so that a list by path has another page")
    first = client.get_parameter_history(Name="/pages", MaxResults=2)
    assert [each["Value"] for each in first["Parameters"]] == ["1", "2"]
    second = client.get_parameter_history(Name="/pages", MaxResults=3, NextToken=first["NextToken"])
    assert [each["Value"] for each in second["Parameters"]] == ["3", "4", "5"]
    assert "NextToken" not in second
    for token in (
        "nonsense",
        client.get_parameters_by_path(Path="/", MaxResults=1, Recursive=True)["NextToken"],
    ):
        with refused("InvalidNextToken"):
            client.get_parameter_history(Name="/pages", NextToken=token)
    for after in ("x", "9" * 30):
        with refused("InvalidNextToken"):
            client.get_parameter_history(Name="/pages", NextToken=write_marker("GetParameterHistory", after))
    with refused("ParameterNotFound"):
        client.get_parameter_history(Name="/pages/none")
    with refused("ParameterNotFound"):
        client.get_parameter_history(Name="/aws/service/global-infrastructure/regions/us-east-1")


def test_selectors(ssm: Ssm) -> None:
    client = ssm.of()
    ssm.put("/select", "one")
    ssm.put("/select", "two", Overwrite=True)
    client.label_parameter_version(Name="/select", ParameterVersion=1, Labels=["prod"])
    by_number = client.get_parameter(Name="/select:1")["Parameter"]
    assert (by_number["Value"], by_number["Selector"], by_number["Name"]) == ("one", ":1", "/select")
    by_label = client.get_parameter(Name=f"{arn('/select')}:prod")["Parameter"]
    assert (by_label["Value"], by_label["Selector"], by_label["Version"]) == ("one", ":prod", 1)
    assert "Selector" not in client.get_parameter(Name="/select")["Parameter"]
    for selector in ("3", "0", "dev", "99999999999999999999"):
        with refused(
            "ParameterVersionNotFound",
            f"Systems Manager could not find version {selector} of /select. Verify the version and try again.",
        ):
            client.get_parameter(Name=f"/select:{selector}")
    for name in ("/select:", "/select:1:2"):
        with refused("ValidationException"):
            client.get_parameter(Name=name)


@pytest.mark.parametrize(
    "name",
    [
        f"arn:aws:ssm:eu-west-1:{ACCOUNT}:parameter/x",
        f"arn:aws-cn:ssm:{REGION}:{ACCOUNT}:parameter/x",
        f"arn:aws:ssm:{REGION}:{ACCOUNT}:document/x",
        f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/x y",
        f"arn:aws:ssm:{REGION}::parameter/x",
        f"arn:aws:kms:{REGION}:{ACCOUNT}:parameter/x",
    ],
)
def test_arns_that_are_none(ssm: Ssm, name: str) -> None:
    with refused("ValidationException"):
        ssm.of().get_parameter(Name=name)


def test_accounts_and_regions_have_their_own(ssm: Ssm) -> None:
    ssm.put("/mine", "here")
    for user, region in (("stranger", REGION), ("admin", "eu-west-1")):
        with refused("ParameterNotFound"):
            ssm.of(user, region).get_parameter(Name="/mine")
    ssm.of("admin", "eu-west-1").put_parameter(Name="/mine", Value="there", Type="String")
    assert ssm.value("/mine") == "here"


def test_values_are_in_no_audit_record(ssm: Ssm) -> None:
    ssm.put("/audited", "a-very-secret-value", Description="shown")
    ssm.of().get_parameter(Name="/audited")
    (put,) = [
        event for event in ssm.events("PutParameter") if event["requestParameters"].get("name") == "/audited"
    ]
    assert put["requestParameters"]["value"] == "HIDDEN_DUE_TO_SECURITY_REASONS"
    assert put["eventSource"] == "ssm.amazonaws.com"
    assert put["resources"][0]["ARN"] == arn("/audited")
    everything: list[Any] = ssm.events("PutParameter") + ssm.events("GetParameter")
    assert "a-very-secret-value" not in json.dumps(everything)


def test_many_change_one_parameter_at_once(ssm: Ssm) -> None:
    client = ssm.of()

    def make(number: int) -> str:
        try:
            ssm.put("/crowd/made", str(number))
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        return ""

    def change(number: int) -> int:
        version: int = client.put_parameter(Name="/crowd/made", Value=str(number), Overwrite=True)["Version"]
        return version

    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(make, range(8)))
        versions = list(threads.map(change, range(40)))
    assert made.count("") == 1
    assert set(made) <= {"", "ParameterAlreadyExists", "TooManyUpdates"}
    assert sorted(versions) == list(range(2, 42))
    history = client.get_parameter_history(Name="/crowd/made")["Parameters"]
    by_version = {each["Version"]: each["Value"] for each in history}
    assert by_version == {1: by_version[1], **{each: str(number) for number, each in enumerate(versions)}}
