"""Functions by a real client: made, read, changed, listed, deleted."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from base64 import b64encode
from typing import Any

import pytest
from botocore.exceptions import ClientError
from lambda_support import (
    ACCOUNT,
    ECHO,
    NO_ROLE,
    REGION,
    ROLE,
    RUNTIME,
    Lambda,
    allowing,
    arn,
    refused,
    user_arn,
    zipped,
)
from server_support import casemate

OTHER_CODE = zipped({"index.py": "def handler(event, context):\n    return 2\n"})


def sha(package: bytes) -> str:
    return b64encode(hashlib.sha256(package).digest()).decode()


def test_a_function_is_made_read_and_deleted(functions: Lambda) -> None:
    client = functions.of()
    made = client.create_function(
        FunctionName="first",
        Runtime=RUNTIME,
        Role=ROLE,
        Handler="index.handler",
        Code={"ZipFile": ECHO},
        Description="echoes",
        Timeout=7,
        Environment={"Variables": {"COLOUR": "red"}},
        Tags={"team": "red"},
    )
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert (made["State"], made["StateReasonCode"]) == ("Pending", "Creating")
    client.get_waiter("function_active_v2").wait(FunctionName="first", WaiterConfig={"Delay": 1})
    found = client.get_function(FunctionName="first")
    shown = found["Configuration"]
    assert (shown["State"], shown["LastUpdateStatus"]) == ("Active", "Successful")
    assert shown["FunctionArn"] == f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:first"
    assert (shown["CodeSha256"], shown["CodeSize"]) == (sha(ECHO), len(ECHO))
    assert (shown["Timeout"], shown["MemorySize"], shown["Version"]) == (7, 128, "$LATEST")
    assert shown["Environment"] == {"Variables": {"COLOUR": "red"}}
    assert shown["LastModified"].endswith("+0000")
    assert found["Tags"] == {"team": "red"}
    assert client.get_function_configuration(FunctionName=arn("first"))["RevisionId"] == shown["RevisionId"]
    assert client.get_function(FunctionName=f"{ACCOUNT}:function:first:$LATEST")["Configuration"][
        "FunctionArn"
    ] == arn("first", "$LATEST")
    with refused("ResourceConflictException", "Function already exist: first", 409):
        functions.make(FunctionName="first")
    assert client.delete_function(FunctionName="first")["ResponseMetadata"]["HTTPStatusCode"] == 204
    with refused("ResourceNotFoundException", f"Function not found: {arn('first')}", 404):
        client.get_function(FunctionName="first")
    with refused("ResourceNotFoundException", f"Function not found: {arn('first')}", 404):
        client.delete_function(FunctionName="first")


def test_neither_code_nor_variables_can_be_read_in_the_database(functions: Lambda) -> None:
    marker = "an-unmistakable-marker-in-code"
    functions.make(f"# {marker}\n", Environment={"Variables": {"SECRET": "unmistakable-value"}})
    rows = 0
    with sqlite3.connect(functions.server.data / "casemate.db") as database:
        for table in ("lambda_functions", "lambda_versions", "lambda_code"):
            for (sealed,) in database.execute(f"SELECT sealed FROM {table}"):
                rows += 1
                assert b"unmistakable" not in sealed
                assert b"index.py" not in sealed
    assert rows >= 3


def test_the_code_goes_with_the_last_version_that_needs_it(functions: Lambda) -> None:
    client, name = functions.of(), functions.make(zipped({"index.py": "only = 1\n"}))

    def packages() -> int:
        with sqlite3.connect(functions.server.data / "casemate.db") as database:
            count: int = database.execute(
                "SELECT COUNT(DISTINCT c.code) FROM lambda_code c JOIN lambda_versions v ON v.code = c.code "
                "WHERE v.name = ?",
                (name,),
            ).fetchone()[0]
            orphans = database.execute(
                "SELECT COUNT(*) FROM lambda_code WHERE code NOT IN (SELECT code FROM lambda_versions)"
            ).fetchone()[0]
        assert orphans == 0
        return count

    client.publish_version(FunctionName=name)
    assert packages() == 1, "the version shares it"
    client.update_function_code(FunctionName=name, ZipFile=OTHER_CODE)
    assert packages() == 2
    client.delete_function(FunctionName=name, Qualifier="1")
    assert packages() == 1
    client.delete_function(FunctionName=name)
    assert packages() == 0


@pytest.mark.parametrize(
    ("member", "value", "message"),
    [
        ("Role", NO_ROLE, "The role defined for the function cannot be assumed by Lambda."),
        ("Code", {"ZipFile": b""}, "Uploaded file must be a non-empty zip"),
        ("Code", {}, "Please specify either ImageUri, ZipFile or S3 details"),
        (
            "Code",
            {"ZipFile": b"PK no zip"},
            "Could not unzip uploaded file. Please check your file, then try to upload again.",
        ),
        (
            "Code",
            {"ZipFile": zipped({"../../etc/escape": "x"})},
            "Could not unzip uploaded file. Please check your file, then try to upload again.",
        ),
        (
            "Environment",
            {"Variables": {"AWS_REGION": "x"}},
            "Lambda was unable to configure your environment variables because the environment variables you have "
            "provided contains reserved keys that are currently not supported for modification. Reserved keys used "
            "in this request: AWS_REGION",
        ),
        (
            "Environment",
            {"Variables": {"LONG": "x" * 4096}},
            "Lambda was unable to configure your environment variables because the environment variables you have "
            "provided exceeded the 4KB limit.",
        ),
        ("Tags", {"aws:own": "x"}, "Tag keys that begin with aws: are reserved for AWS."),
    ],
)
def test_what_a_function_cannot_be_made_of(functions: Lambda, member: str, value: Any, message: str) -> None:
    with refused("InvalidParameterValueException", message):
        functions.make(FunctionName="never", **{member: value})
    with refused("ResourceNotFoundException", status=404):
        functions.of().get_function(FunctionName="never")


def test_a_role_that_trusts_another_service_is_refused(functions: Lambda) -> None:
    role = functions.role("of-events", service="events.amazonaws.com")
    with refused(
        "InvalidParameterValueException", "The role defined for the function cannot be assumed by Lambda."
    ):
        functions.make(Role=role)


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("Layers", ["arn:aws:lambda:us-east-1:111122223333:layer:one:1"]),
        ("VpcConfig", {"SubnetIds": ["subnet-1"]}),
        ("TracingConfig", {"Mode": "Active"}),
        ("SnapStart", {"ApplyOn": "PublishedVersions"}),
        ("LoggingConfig", {"LogFormat": "JSON"}),
        ("Code", {"ImageUri": "somewhere/image:1"}),
        ("Runtime", "java21"),
        ("Runtime", "python2.7"),
    ],
)
def test_what_is_not_served_is_told(functions: Lambda, member: str, value: Any) -> None:
    with refused("NotImplemented", status=501):
        functions.make(**{member: value})


def test_whoever_may_not_pass_the_role_makes_no_function(functions: Lambda) -> None:
    iam = functions.of(service="iam")
    iam.put_user_policy(UserName="limited", PolicyName="own", PolicyDocument=allowing("lambda:*", "kms:*"))
    request = {
        "FunctionName": "of-limited",
        "Runtime": RUNTIME,
        "Role": ROLE,
        "Handler": "index.handler",
        "Code": {"ZipFile": ECHO},
    }
    with refused(
        "AccessDeniedException",
        f"User: {user_arn('limited')} is not authorized to perform: iam:PassRole on resource: {ROLE} because no "
        "identity-based policy allows the iam:PassRole action",
        403,
    ):
        functions.of("limited").create_function(**request)
    passing = allowing(
        "iam:PassRole",
        resource=ROLE,
        Condition={"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}},
    )
    iam.put_user_policy(UserName="limited", PolicyName="passing", PolicyDocument=passing)
    functions.of("limited").create_function(**request)
    with refused("AccessDeniedException", status=403):
        functions.of("nobody").get_function(FunctionName="of-limited")
    with refused("AccessDeniedException", status=403):
        functions.of("nobody").get_function(FunctionName="that-is-not-there")


def test_a_functions_configuration_and_code_are_changed(functions: Lambda) -> None:
    client = functions.of()
    name = functions.make(Environment={"Variables": {"KEPT": "1"}})
    before = client.get_function_configuration(FunctionName=name)
    changed = client.update_function_configuration(FunctionName=name, Timeout=9, Description="other")
    assert changed["LastUpdateStatus"] == "InProgress"
    client.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})
    after = client.get_function_configuration(FunctionName=name)
    assert (after["Timeout"], after["Description"], after["Handler"]) == (9, "other", "index.handler")
    assert after["Environment"] == {"Variables": {"KEPT": "1"}}
    assert after["RevisionId"] != before["RevisionId"]
    with refused(
        "PreconditionFailedException",
        "The Revision Id provided does not match the latest Revision Id. Call the GetFunction API to retrieve the "
        "latest Revision Id",
        412,
    ):
        client.update_function_configuration(FunctionName=name, Timeout=10, RevisionId=before["RevisionId"])
    dry = client.update_function_code(FunctionName=name, ZipFile=OTHER_CODE, DryRun=True)
    assert dry["CodeSha256"] == sha(OTHER_CODE)
    assert client.get_function_configuration(FunctionName=name)["CodeSha256"] == sha(ECHO)
    updated = client.update_function_code(
        FunctionName=name, ZipFile=OTHER_CODE, RevisionId=after["RevisionId"], Publish=True
    )
    assert (updated["CodeSha256"], updated["Version"]) == (sha(OTHER_CODE), "1")
    client.update_function_configuration(FunctionName=name, Environment={"Variables": {}})
    assert "Environment" not in client.get_function_configuration(FunctionName=name)


def test_versions_stay_as_they_were(functions: Lambda) -> None:
    client, name = functions.of(), functions.make()
    one = client.publish_version(FunctionName=name, Description="the first")
    assert (one["Version"], one["FunctionArn"]) == ("1", arn(name, "1"))
    again = client.publish_version(FunctionName=name)
    assert again["Version"] == "1", "nothing has changed"
    client.update_function_configuration(FunctionName=name, Timeout=11)
    with refused("InvalidParameterValueException"):
        client.publish_version(FunctionName=name, CodeSha256="another")
    assert client.publish_version(FunctionName=name)["Version"] == "2"
    listed = client.list_versions_by_function(FunctionName=name)["Versions"]
    assert [(each["Version"], each["Timeout"]) for each in listed] == [("$LATEST", 11), ("1", 3), ("2", 11)]
    pages = client.get_paginator("list_versions_by_function").paginate(
        FunctionName=name, PaginationConfig={"PageSize": 1}
    )
    assert [each["Version"] for page in pages for each in page["Versions"]] == ["$LATEST", "1", "2"]
    assert (
        client.get_function(FunctionName=name, Qualifier="1")["Configuration"]["Description"] == "the first"
    )
    with refused("ResourceNotFoundException", f"Function not found: {arn(name, '9')}", 404):
        client.get_function(FunctionName=name, Qualifier="9")
    with refused("InvalidParameterValueException"):
        client.get_function(FunctionName=f"{name}:1", Qualifier="2")
    with refused(
        "InvalidParameterValueException",
        "$LATEST version cannot be deleted without deleting the function.",
    ):
        client.delete_function(FunctionName=name, Qualifier="$LATEST")


def test_aliases_mean_versions(functions: Lambda) -> None:
    client, name = functions.of(), functions.make()
    client.publish_version(FunctionName=name)
    client.update_function_configuration(FunctionName=name, Timeout=12)
    client.publish_version(FunctionName=name)
    made = client.create_alias(FunctionName=name, Name="live", FunctionVersion="1", Description="now")
    assert made["AliasArn"] == arn(name, "live")
    assert client.get_function(FunctionName=name, Qualifier="live")["Configuration"]["Version"] == "1"
    with refused("ResourceConflictException", f"Alias already exists: {arn(name, 'live')}", 409):
        client.create_alias(FunctionName=name, Name="live", FunctionVersion="2")
    with refused("ResourceNotFoundException", f"Function not found: {arn(name, '7')}", 404):
        client.create_alias(FunctionName=name, Name="other", FunctionVersion="7")
    weighted = client.update_alias(
        FunctionName=name,
        Name="live",
        RoutingConfig={"AdditionalVersionWeights": {"2": 0.25}},
        RevisionId=made["RevisionId"],
    )
    assert weighted["RoutingConfig"] == {"AdditionalVersionWeights": {"2": 0.25}}
    assert (weighted["FunctionVersion"], weighted["Description"]) == ("1", "now")
    with refused("PreconditionFailedException", status=412):
        client.update_alias(FunctionName=name, Name="live", RevisionId=made["RevisionId"])
    with refused("InvalidParameterValueException"):
        client.update_alias(
            FunctionName=name, Name="live", RoutingConfig={"AdditionalVersionWeights": {"1": 0.5}}
        )
    with refused(
        "InvalidParameterValueException",
        "$LATEST is not supported for an alias pointing to more than 1 version",
    ):
        client.update_alias(FunctionName=name, Name="live", FunctionVersion="$LATEST")
    with refused(
        "ResourceConflictException",
        "Unable to delete version because the following aliases reference it: [live]",
        409,
    ):
        client.delete_function(FunctionName=name, Qualifier="2")
    client.create_alias(FunctionName=name, Name="next", FunctionVersion="2")
    assert [each["Name"] for each in client.list_aliases(FunctionName=name)["Aliases"]] == ["live", "next"]
    assert [
        each["Name"] for each in client.list_aliases(FunctionName=name, FunctionVersion="1")["Aliases"]
    ] == ["live"]
    with refused("ResourceNotFoundException", f"Cannot find alias arn: {arn(name, 'gone')}", 404):
        client.get_alias(FunctionName=name, Name="gone")
    client.delete_alias(FunctionName=name, Name="live")
    client.delete_alias(FunctionName=name, Name="live")
    with refused("ResourceNotFoundException", f"Cannot find alias arn: {arn(name, 'live')}", 404):
        client.get_alias(FunctionName=name, Name="live")


def test_code_comes_out_of_s3_as_the_caller(functions: Lambda) -> None:
    client, s3 = functions.of(), functions.of(service="s3")
    s3.create_bucket(Bucket="packages-of-lambda")
    padded = zipped({"index.py": "def handler(event, context):\n    return 3\n", "data": "x" * 10})
    large = zipped({"index.py": "x = 1\n", "data": os.urandom(2_000_000).hex()})
    for key, package in (("small.zip", padded), ("large.zip", large), ("none.zip", b"")):
        s3.put_object(Bucket="packages-of-lambda", Key=key, Body=package)

    def code(key: str) -> dict[str, str]:
        return {"S3Bucket": "packages-of-lambda", "S3Key": key}

    for key, package in (("small.zip", padded), ("large.zip", large)):
        name = functions.make(Code=code(key))
        assert client.get_function_configuration(FunctionName=name)["CodeSha256"] == sha(package)
    updated = client.update_function_code(FunctionName=name, **code("small.zip"))
    assert updated["CodeSha256"] == sha(padded)
    with refused(
        "InvalidParameterValueException",
        "Error occurred while GetObject. S3 Error Code: NoSuchKey. S3 Error Message: The specified key does not "
        "exist.",
    ):
        functions.make(Code=code("missing.zip"))
    with refused("InvalidParameterValueException"):
        functions.make(Code=code("none.zip"))
    with refused("InvalidParameterValueException", "Please specify both S3Bucket and S3Key."):
        client.update_function_code(FunctionName=name, S3Key="small.zip")
    functions.of(service="iam").put_user_policy(
        UserName="nobody", PolicyName="code", PolicyDocument=allowing("lambda:UpdateFunctionCode")
    )
    with refused("AccessDeniedException", status=403):
        functions.of("nobody").update_function_code(FunctionName=name, **code("large.zip"))


def test_functions_are_listed_by_name(functions: Lambda) -> None:
    client = functions.of(region="eu-west-1")
    for name in ("b", "a", "c"):
        client.create_function(
            FunctionName=name,
            Runtime=RUNTIME,
            Role=ROLE,
            Handler="index.handler",
            Code={"ZipFile": ECHO},
            Publish=True,
        )
    pages = client.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": 2})
    assert [each["FunctionName"] for page in pages for each in page["Functions"]] == ["a", "b", "c"]
    pages = client.get_paginator("list_functions").paginate(
        FunctionVersion="ALL", PaginationConfig={"PageSize": 4}
    )
    assert [(each["FunctionName"], each["Version"]) for page in pages for each in page["Functions"]] == [
        (name, version) for name in ("a", "b", "c") for version in ("$LATEST", "1")
    ]
    with refused("InvalidParameterValueException"):
        client.list_functions(Marker="invented")
    with refused("ResourceNotFoundException", status=404):
        client.get_function(FunctionName=arn("a"))


def test_tags_and_reserved_concurrency(functions: Lambda) -> None:
    client, name = functions.of(), functions.make(Tags={"a": "1"})
    client.tag_resource(Resource=arn(name), Tags={"b": "2", "a": "3"})
    client.untag_resource(Resource=arn(name), TagKeys=["a", "none"])
    assert client.list_tags(Resource=arn(name))["Tags"] == {"b": "2"}
    assert "ReservedConcurrentExecutions" not in client.get_function_concurrency(FunctionName=name)
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=5)
    assert client.get_function_concurrency(FunctionName=name)["ReservedConcurrentExecutions"] == 5
    assert client.get_function(FunctionName=name)["Concurrency"] == {"ReservedConcurrentExecutions": 5}
    with refused(
        "InvalidParameterValueException",
        "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below "
        "its minimum value of [100].",
    ):
        client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=901)
    client.delete_function_concurrency(FunctionName=name)
    assert "ReservedConcurrentExecutions" not in client.get_function_concurrency(FunctionName=name)


def test_a_customers_key_decides_who_sees_the_variables(functions: Lambda) -> None:
    kms = functions.of(service="kms")
    iam = functions.of(service="iam")
    key = kms.create_key()["KeyMetadata"]["Arn"]
    name = functions.make(KMSKeyArn=key, Environment={"Variables": {"SECRET": "sealed"}})
    (grant,) = kms.list_grants(KeyId=key)["Grants"]
    assert grant["GranteePrincipal"] == ROLE
    assert grant["Constraints"] == {"EncryptionContextEquals": {"aws:lambda:FunctionArn": arn(name)}}
    assert functions.of().get_function_configuration(FunctionName=name)["Environment"] == {
        "Variables": {"SECRET": "sealed"}
    }
    iam.put_user_policy(
        UserName="nobody",
        PolicyName="own",
        PolicyDocument=allowing("lambda:GetFunctionConfiguration", resource=arn(name)),
    )
    shown = functions.of("nobody").get_function_configuration(FunctionName=name)["Environment"]
    assert "Variables" not in shown
    assert shown["Error"]["ErrorCode"] == "AccessDeniedException"
    assert "kms:Decrypt" in shown["Error"]["Message"]
    kms.disable_key(KeyId=key)
    with pytest.raises(ClientError, match="KMS Exception: DisabledException"):
        functions.of().update_function_configuration(
            FunctionName=name, Environment={"Variables": {"SECRET": "other"}}
        )
    kms.enable_key(KeyId=key)
    functions.of().delete_function(FunctionName=name)
    assert kms.list_grants(KeyId=key)["Grants"] == []


def test_the_policy_of_a_function_grows_and_shrinks(functions: Lambda) -> None:
    client, name = functions.of(), functions.make()
    with refused("ResourceNotFoundException", "The resource you requested does not exist.", 404):
        client.get_policy(FunctionName=name)
    with refused("ResourceNotFoundException", f"No policy is found for: {arn(name)}", 404):
        client.remove_permission(FunctionName=name, StatementId="one")
    added = client.add_permission(
        FunctionName=name,
        StatementId="one",
        Action="lambda:InvokeFunction",
        Principal="secretsmanager.amazonaws.com",
        SourceAccount=ACCOUNT,
        SourceArn=f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:db-*",
    )
    statement = {
        "Sid": "one",
        "Effect": "Allow",
        "Principal": {"Service": "secretsmanager.amazonaws.com"},
        "Action": "lambda:InvokeFunction",
        "Resource": arn(name),
        "Condition": {
            "StringEquals": {"AWS:SourceAccount": ACCOUNT},
            "ArnLike": {"AWS:SourceArn": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:db-*"},
        },
    }
    assert json.loads(added["Statement"]) == statement
    found = client.get_policy(FunctionName=name)
    assert json.loads(found["Policy"]) == {
        "Version": "2012-10-17",
        "Id": "default",
        "Statement": [statement],
    }
    with refused("ResourceConflictException", status=409):
        client.add_permission(
            FunctionName=name, StatementId="one", Action="lambda:InvokeFunction", Principal=ACCOUNT
        )
    with refused(
        "InvalidParameterValueException",
        "The provided principal was invalid. Please check the principal and try again.",
    ):
        client.add_permission(
            FunctionName=name,
            StatementId="two",
            Action="lambda:InvokeFunction",
            Principal=f"arn:aws:iam::{ACCOUNT}:user/never-was",
        )
    with refused("PreconditionFailedException", status=412):
        client.remove_permission(FunctionName=name, StatementId="one", RevisionId="old")
    with refused("ResourceNotFoundException", "Statement two is not found in resource policy.", 404):
        client.remove_permission(FunctionName=name, StatementId="two")
    client.remove_permission(FunctionName=name, StatementId="one", RevisionId=found["RevisionId"])
    with refused("ResourceNotFoundException", status=404):
        client.get_policy(FunctionName=name)


def test_another_account_reaches_what_the_policy_lets_it(functions: Lambda) -> None:
    client, name = functions.of(), functions.make()
    stranger = functions.of("stranger")
    with refused("AccessDeniedException", status=403):
        stranger.get_function_configuration(FunctionName=arn(name))
    client.add_permission(
        FunctionName=name,
        StatementId="stranger",
        Action="lambda:GetFunctionConfiguration",
        Principal=user_arn("stranger"),
    )
    assert stranger.get_function_configuration(FunctionName=arn(name))["FunctionName"] == name
    client.publish_version(FunctionName=name)
    with refused("AccessDeniedException", status=403):
        # A version has a policy of its own.
        stranger.get_function_configuration(FunctionName=arn(name, "1"))
    with refused("AccessDeniedException", status=403):
        stranger.delete_function(FunctionName=arn(name))


def test_variables_that_another_account_sets_are_under_the_key_of_the_functions_account(
    functions: Lambda,
) -> None:
    client, name = functions.of(), functions.make()
    client.add_permission(
        FunctionName=name,
        StatementId="stranger",
        Action="lambda:UpdateFunctionConfiguration",
        Principal=user_arn("stranger"),
    )
    functions.of("stranger").update_function_configuration(
        FunctionName=arn(name), Environment={"Variables": {"SET": "elsewhere"}}
    )
    shown = client.get_function_configuration(FunctionName=name)
    assert shown["Environment"] == {"Variables": {"SET": "elsewhere"}}
    aliases = functions.of("stranger", "kms").list_aliases()["Aliases"]
    assert "alias/aws/lambda" not in [alias["AliasName"] for alias in aliases]


def test_who_may_add_permissions_may_be_limited_to_principals(functions: Lambda) -> None:
    name = functions.make()
    functions.of(service="iam").put_user_policy(
        UserName="nobody",
        PolicyName="adding",
        PolicyDocument=allowing(
            "lambda:AddPermission",
            resource=arn(name),
            Condition={"StringEquals": {"lambda:Principal": "s3.amazonaws.com"}},
        ),
    )
    nobody = functions.of("nobody")
    request = {"FunctionName": name, "StatementId": "s3", "Action": "lambda:InvokeFunction"}
    with refused("AccessDeniedException", status=403):
        nobody.add_permission(**request, Principal="events.amazonaws.com")
    nobody.add_permission(**request, Principal="s3.amazonaws.com")


def test_the_audit_shows_neither_code_nor_variables(functions: Lambda) -> None:
    name = functions.make(
        "# unmistakable-code\n", Environment={"Variables": {"SECRET": "unmistakable-value"}}
    )
    functions.of().get_function_configuration(FunctionName=name)
    functions.of().update_function_configuration(
        FunctionName=name, Environment={"Variables": {"OTHER": "unmistakable-other"}}
    )
    listed = casemate("audit", "tail", "--data", str(functions.server.data), "-n", "all", "--json")
    assert listed.returncode == 0, listed.stderr
    records = [line for line in listed.stdout.splitlines() if name in line]
    names = {json.loads(record)["eventName"] for record in records}
    assert names >= {"CreateFunction", "UpdateFunctionConfiguration", "GetFunctionConfiguration"}
    assert not [record for record in records if "unmistakable" in record]
    assert b64encode(b"unmistakable")[:12].decode() not in listed.stdout
