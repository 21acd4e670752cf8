"""Parameter Store by others' clients: the AWS CLI's reference, and what tools do that keep an application's
settings in a path."""

from __future__ import annotations

from typing import Any

from ssm_support import REGION, Ssm
from users_support import access_key


def aws(ssm: Ssm, *args: str) -> Any:
    """What the AWS CLI answers, as JSON."""
    return ssm.server.aws(access_key("admin"), "ssm", *args, region=REGION)


def test_the_examples_of_the_clis_reference(ssm: Ssm) -> None:
    put = aws(
        ssm,
        *("put-parameter", "--name", "MyStringParameter", "--type", "String", "--value", "Vici"),
        *("--description", "This is my string parameter"),
    )
    assert put == {"Version": 1, "Tier": "Standard"}
    advanced = aws(
        ssm,
        *("put-parameter", "--name", "MyAdvancedParameter", "--description", "This is an advanced parameter"),
        *("--value", "Here's an advanced parameter value.", "--type", "String", "--tier", "Advanced"),
    )
    assert advanced == {"Version": 1, "Tier": "Advanced"}
    aws(
        ssm,
        *("put-parameter", "--name", "/site/newyork/department/host", "--type", "StringList"),
        *("--value", "milana,mariana,mark,miguel"),
    )
    found = aws(ssm, "get-parameters", "--names", "MyStringParameter", "invalidParameterName")
    (parameter,) = found["Parameters"]
    assert (parameter["Name"], parameter["Value"], parameter["Version"], parameter["DataType"]) == (
        "MyStringParameter",
        "Vici",
        1,
        "text",
    )
    assert found["InvalidParameters"] == ["invalidParameterName"]
    names = aws(
        ssm,
        "get-parameters",
        "--names",
        "MyStringParameter",
        "--query",
        "Parameters[*].{Name:Name,Value:Value}",
    )
    assert names == [{"Name": "MyStringParameter", "Value": "Vici"}]
    by_path = aws(ssm, "get-parameters-by-path", "--path", "/site/newyork/department/")
    assert [each["Value"] for each in by_path["Parameters"]] == ["milana,mariana,mark,miguel"]
    assert aws(ssm, "get-parameters-by-path", "--path", "/site")["Parameters"] == []
    recursive = aws(ssm, "get-parameters-by-path", "--path", "/site", "--recursive")
    assert [each["Name"] for each in recursive["Parameters"]] == ["/site/newyork/department/host"]


def test_an_applications_settings_in_a_path(ssm: Ssm) -> None:
    """What chamber and its like do: write under the account's own key with a description, list with decryption page
    by page, read old versions, and find out who changed what."""
    client, kms = ssm.of(), ssm.kms
    kms.create_alias(
        AliasName="alias/parameter_store_key", TargetKeyId=kms.create_key()["KeyMetadata"]["KeyId"]
    )
    for number in range(23):
        client.put_parameter(
            Name=f"/shop/setting_{number:02}",
            Value=f"value {number}",
            Type="SecureString",
            KeyId="alias/parameter_store_key",
            Overwrite=True,
            Description=str(number),
        )
    for value in ("second", "third"):
        client.put_parameter(Name="/shop/setting_00", Value=value, Type="SecureString", Overwrite=True)
    pages = client.get_paginator("get_parameters_by_path").paginate(
        Path="/shop", WithDecryption=True, PaginationConfig={"PageSize": 10}
    )
    listed = {each["Name"]: each["Value"] for page in pages for each in page["Parameters"]}
    assert listed == {"/shop/setting_00": "third"} | {
        f"/shop/setting_{number:02}": f"value {number}" for number in range(1, 23)
    }
    history = client.get_parameter_history(Name="/shop/setting_00", WithDecryption=True)["Parameters"]
    assert [(each["Version"], each["Value"]) for each in history] == [
        (1, "value 0"),
        (2, "second"),
        (3, "third"),
    ]
    assert {each["LastModifiedUser"].rpartition("/")[2] for each in history} == {"admin"}
    described = client.describe_parameters(
        ParameterFilters=[{"Key": "Path", "Option": "OneLevel", "Values": ["/shop"]}], MaxResults=50
    )["Parameters"]
    assert len(described) == 23
    (old,) = client.get_parameters(Names=["/shop/setting_00:2"], WithDecryption=True)["Parameters"]
    assert (old["Value"], old["Selector"]) == ("second", ":2")
