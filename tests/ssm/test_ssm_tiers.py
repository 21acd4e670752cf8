"""Tiers, what each allows, and the service settings, by a real client."""

from __future__ import annotations

import json
from typing import Any

import pytest
from server_support import casemate
from ssm_support import ACCOUNT, REGION, Ssm, refused, ssm_server, user_arn

TIER, THROUGHPUT = (
    f"/ssm/parameter-store/{name}" for name in ("default-parameter-tier", "high-throughput-enabled")
)
FAR = json.dumps(
    [{"Type": "Expiration", "Version": "1.0", "Attributes": {"Timestamp": "2090-12-02T21:34:33.000Z"}}]
)


def setting_arn(name: str, region: str = REGION) -> str:
    return f"arn:aws:ssm:{region}:{ACCOUNT}:servicesetting{name}"


def test_how_long_values_may_be(ssm: Ssm) -> None:
    assert ssm.put("/tier/standard", "x" * 4096)["Tier"] == "Standard"
    with refused(
        "ValidationException",
        "Standard tier parameters support a maximum parameter value of 4096 characters. To create a larger "
        "parameter value, upgrade the parameter to use the advanced-parameter tier. For more information, see "
        "https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-advanced-parameters.html",
    ):
        ssm.put("/tier/long", "x" * 4097)
    assert ssm.put("/tier/long", "ü" * 4096, Tier="Advanced", Type="SecureString")["Tier"] == "Advanced"
    assert ssm.value("/tier/long") == "ü" * 4096
    with refused(
        "ValidationException",
        "Advanced tier parameters support a maximum parameter value of 8192 characters.",
    ):
        ssm.put("/tier/longer", "x" * 8193, Tier="Advanced")


def test_there_is_no_way_down(ssm: Ssm) -> None:
    ssm.put("/tier/up", "x")
    assert ssm.put("/tier/up", "x", Overwrite=True, Tier="Advanced")["Tier"] == "Advanced"
    with refused(
        "ValidationException",
        "This parameter uses the advanced-parameter tier. You can't downgrade a parameter from the "
        "advanced-parameter tier to the standard-parameter tier. If necessary, you can delete the advanced "
        "parameter and recreate it as a standard parameter. Be aware that standard parameters have a value limit of "
        "4096 characters.",
    ):
        ssm.put("/tier/up", "x", Overwrite=True, Tier="Standard")
    for more in ({}, {"Tier": "Intelligent-Tiering"}):
        assert ssm.put("/tier/up", "x", Overwrite=True, **more)["Tier"] == "Advanced"
    history = ssm.of().get_parameter_history(Name="/tier/up")["Parameters"]
    assert [each["Tier"] for each in history] == ["Standard", "Advanced", "Advanced", "Advanced"]


def test_a_secure_string_is_read_in_the_tier_of_its_version(ssm: Ssm) -> None:
    ssm.put("/tier/secure", "low", Type="SecureString")
    ssm.put("/tier/secure", "high", Type="SecureString", Overwrite=True, Tier="Advanced")
    assert (ssm.value("/tier/secure:1"), ssm.value("/tier/secure")) == ("low", "high")


def test_intelligent_tiering_takes_what_it_must(ssm: Ssm) -> None:
    tiers = [
        ssm.put(f"/tier/smart/{number}", value, Tier="Intelligent-Tiering", **more)["Tier"]
        for number, (value, more) in enumerate(
            (
                ("x" * 4096, {}),
                ("x" * 4097, {}),
                ("x", {"Policies": FAR}),
                ("{}", {"DataType": "json"}),
            )
        )
    ]
    assert tiers == ["Standard", "Advanced", "Advanced", "Advanced"]
    ssm.put("/tier/smart/0", "x" * 5000, Overwrite=True, Tier="Intelligent-Tiering")


def test_policies_take_the_advanced_tier(ssm: Ssm) -> None:
    with refused("ValidationException"):
        ssm.put("/tier/policies", "x", Policies=FAR)
    ssm.put("/tier/policies", "x", Policies="[{}]")


def test_the_default_tier_is_a_setting(ssm: Ssm) -> None:
    client, region = ssm.of(region="eu-west-2"), "eu-west-2"
    default = client.get_service_setting(SettingId=TIER)["ServiceSetting"]
    assert default.pop("LastModifiedDate")
    assert default == {
        "SettingId": TIER,
        "SettingValue": "Standard",
        "LastModifiedUser": "System",
        "ARN": setting_arn(TIER, region),
        "Status": "Default",
    }
    client.update_service_setting(SettingId=setting_arn(TIER, region), SettingValue="Advanced")
    changed = client.get_service_setting(SettingId=setting_arn(TIER, region))["ServiceSetting"]
    assert (changed["SettingValue"], changed["Status"]) == ("Advanced", "Customized")
    assert changed["LastModifiedUser"] == user_arn("admin")
    assert client.put_parameter(Name="/by/default", Value="x", Type="String")["Tier"] == "Advanced"
    explicit = client.put_parameter(Name="/by/request", Value="x", Type="String", Tier="Standard")
    assert explicit["Tier"] == "Standard"
    client.update_service_setting(SettingId=TIER, SettingValue="Intelligent-Tiering")
    assert client.put_parameter(Name="/by/size", Value="x" * 5000, Type="String")["Tier"] == "Advanced"
    reset = client.reset_service_setting(SettingId=TIER)["ServiceSetting"]
    assert (reset["SettingValue"], reset["Status"]) == ("Standard", "Default")
    assert client.put_parameter(Name="/by/reset", Value="x", Type="String")["Tier"] == "Standard"
    assert ssm.put("/elsewhere", "x")["Tier"] == "Standard"


def test_settings_that_there_are_not(ssm: Ssm) -> None:
    client = ssm.of()
    for name in ("/ssm/managed-instance/activation-tier", "nonsense", setting_arn(TIER, "eu-west-1")):
        for operation, more in (
            (client.get_service_setting, {}),
            (client.reset_service_setting, {}),
            (client.update_service_setting, {"SettingValue": "x"}),
        ):
            with refused("ServiceSettingNotFound"):
                operation(SettingId=name, **more)
    with refused(
        "ValidationException",
        "The setting value is not valid. Valid values include: [Standard, Advanced, Intelligent-Tiering].",
    ):
        client.update_service_setting(SettingId=TIER, SettingValue="Best")
    with refused("AccessDeniedException"):
        ssm.of("nobody").update_service_setting(SettingId=TIER, SettingValue="Advanced")


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A server that counts requests."""
    with ssm_server(tmp_path_factory.mktemp("limited"), CASEMATE_QUOTAS="aws") as running:
        yield running


def set_quota(ssm: Ssm, code: str, value: int) -> None:
    done = casemate(
        *("quota", "set", "--data", str(ssm.server.data), "--account", ACCOUNT, "--region", REGION),
        *("ssm", code, str(value)),
    )
    assert done.returncode == 0, done.stderr


def test_how_many_there_may_be(limited: Ssm) -> None:
    for code in ("L-CM000401", "L-CM000402"):
        set_quota(limited, code, 1)
    set_quota(limited, "L-CM000404", 1000)
    limited.put("/limit/1")
    with refused(
        "ParameterLimitExceeded",
        "You have exceeded the number of standard parameters for this AWS account. Delete one or more parameters and "
        "try again.",
    ):
        limited.put("/limit/2")
    limited.put("/limit/1", Overwrite=True)
    assert limited.put("/limit/2", Tier="Intelligent-Tiering")["Tier"] == "Advanced"
    with refused("ParameterLimitExceeded"):
        limited.put("/limit/3", Tier="Advanced")
    with refused("ParameterLimitExceeded"):
        limited.put("/limit/1", Overwrite=True, Tier="Advanced")
    limited.of().delete_parameter(Name="/limit/1")
    limited.put("/limit/3")


def test_throughput_is_a_setting(limited: Ssm) -> None:
    set_quota(limited, "L-CM000403", 1)
    client = limited.of()

    def reads(times: int) -> None:
        for _ in range(times):
            client.get_parameters(Names=["/any"])

    with refused("ThrottlingException", "Rate exceeded"):
        reads(30)
    client.update_service_setting(SettingId=THROUGHPUT, SettingValue="true")
    reads(30)
