"""What AWS refuses, in its words."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest
from policy_support import ALICE, HOME, allow, ask, deny, document

from casemate.engine.policy import Kind, PolicyError, parse

SYNTAX = "Syntax errors in policy."
LEGACY = "The policy failed legacy parsing"
VENDOR = "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."
ORGANIZATIONS = "The provided policy document does not meet the requirements of the specified policy type."
ARN = "arn:aws:s3:::example"


def refused(text: str, kind: Kind) -> str:
    with pytest.raises(PolicyError) as caught:
        parse(text, kind)
    assert caught.value.message == str(caught.value)
    assert caught.value.fault
    return caught.value.message


def whole(**more: Any) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": allow("s3:ListBucket", ARN), **more})


def one(**more: Any) -> str:
    """A good statement with members replaced, or dropped where the value is None."""
    written = {**allow("s3:ListBucket", ARN), **more}
    return document({name: value for name, value in written.items() if value is not ...})


def condition(block: Any) -> str:
    return one(Condition=block)


@pytest.mark.parametrize("kind", ["identity", "boundary", "session"])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("This is not a json document", SYNTAX),
        ("", SYNTAX),
        ("[]", SYNTAX),
        ("null", SYNTAX),
        ('{"Version": "2012-10-17", "Version": "2012-10-17", "Statement": []}', SYNTAX),
        (whole(Version="2008-10-17"), "Policy document must be version 2012-10-17 or greater."),
        (
            json.dumps({"Statement": allow("s3:ListBucket", ARN)}),
            "Policy document must be version 2012-10-17 or greater.",
        ),
        (whole(Version="2013-10-17"), SYNTAX),
        (whole(Version=["2012-10-17"]), SYNTAX),
        ('{"Version": "2012-10-17"}', SYNTAX),
        (whole(Statement=["afd"]), SYNTAX),
        (whole(Statement=[]), SYNTAX),
        (whole(Statement=None), SYNTAX),
        (whole(**{"Extra field": "value"}), SYNTAX),
        (whole(Id=["x"]), SYNTAX),
        (whole(Id=5), SYNTAX),
        (one(**{"Extra field": "value"}), SYNTAX),
        (one(Effect="invalid"), SYNTAX),
        (one(Effect=...), SYNTAX),
        (one(Effect="denY"), LEGACY),
        (one(Sid={}), SYNTAX),
        (one(Sid=5), SYNTAX),
        (
            one(Sid="with spaces"),
            "Statement IDs (SID) must be alpha-numeric. "
            "Check that your input satisfies the regular expression [0-9A-Za-z]*",
        ),
        (
            document(allow("s3:ListBucket", ARN, Sid="x"), {"Sid": "x", "Effect": "Allow"}),
            "Statement IDs (SID) in a single policy must be unique.",
        ),
        (one(Action="invalid"), VENDOR),
        (one(Action=""), VENDOR),
        (one(Action=..., NotAction=""), VENDOR),
        (one(Action="a a:ListBucket"), "Vendor a a is not valid"),
        (one(Action="s*:ListBucket"), "Vendor s* is not valid"),
        (one(Action="s3:List:Bucket"), "Actions/Condition can contain only one colon."),
        (one(Action=...), "Policy statement must contain actions."),
        (one(Action=[]), "Policy statement must contain actions."),
        (document({"Effect": "Deny"}), "Policy statement must contain actions."),
        (one(Action=[[]]), SYNTAX),
        (one(Action={}), SYNTAX),
        (one(Action=[5]), SYNTAX),
        (one(Action=None), SYNTAX),
        (one(NotAction="iam:x"), SYNTAX),
        (one(Resource="invalid resource"), 'Resource invalid resource must be in ARN format or "*".'),
        (one(Resource=""), 'Resource  must be in ARN format or "*".'),
        (one(Resource=["adf"]), 'Resource adf must be in ARN format or "*".'),
        (one(Resource="a:bsdf"), 'Partition "bsdf" is not valid for resource "arn:bsdf:*:*:*:*".'),
        (one(Resource="a:b:c:d:e:f:g"), 'Partition "b" is not valid for resource "arn:b:c:d:e:f:g".'),
        (one(Resource="aws:s3:::e"), 'Partition "s3" is not valid for resource "arn:s3:::e:*".'),
        (one(Resource="arn:aws"), "Resource vendor must be fully qualified and cannot contain regexes."),
        (
            one(Resource="arn:aws:*:::x"),
            "Resource vendor must be fully qualified and cannot contain regexes.",
        ),
        (one(Resource="arn:aws:s3::example_bucket"), LEGACY),
        (one(Resource="arn:aws::::example_bucket"), LEGACY),
        (one(Resource="arn:aws::fdsasf"), LEGACY),
        (
            one(Resource="arn:aws:iam:us-east-1::user/x"),
            "IAM resource arn:aws:iam:us-east-1::user/x cannot contain region information.",
        ),
        (
            one(Resource="arn:aws:s3:us-east-1::bucket"),
            "Resource arn:aws:s3:us-east-1::bucket can not contain region information.",
        ),
        (
            one(Resource="arn:aws:iam:::example"),
            'IAM resource path must either be "*" or start with user/, federated-user/, role/, group/, '
            "instance-profile/, mfa/, server-certificate/, policy/, sms-mfa/, saml-provider/, "
            "oidc-provider/, report/, access-report/.",
        ),
        (one(Resource=...), "Policy statement must contain resources."),
        (one(Resource=[]), "Policy statement must contain resources."),
        (one(Resource={"a": ARN}), SYNTAX),
        (one(Resource=["adf", {}]), SYNTAX),
        (one(NotResource="*"), SYNTAX),
        (one(NotResource=[]), SYNTAX),
        (one(Principal="*"), "Policy document should not specify a principal."),
        (one(NotPrincipal={"AWS": HOME}), "Policy document should not specify a principal."),
        (condition([]), SYNTAX),
        (condition("a"), SYNTAX),
        (condition({"a": "b"}), SYNTAX),
        (condition({"DateGreaterThan": []}), SYNTAX),
        (condition({"DateGreaterThan": {"a": {}}}), SYNTAX),
        (condition({"StringEquals": {"a": [["b"]]}}), SYNTAX),
        (condition({"StringEquals": {"a": None}}), SYNTAX),
        (condition({"x": {"a": "1"}}), SYNTAX),
        (condition({"stringequals": {"a": "1"}}), SYNTAX),
        (condition({"ForAnyValue::StringEqualsIfExists": {"a": "1"}}), SYNTAX),
        (condition({"ForNoValue:StringEquals": {"a": "1"}}), SYNTAX),
        (condition({"NullIfExists": {"a": "true"}}), SYNTAX),
        (condition({"DateGreaterThan": {"a": "sdfdsf"}}), LEGACY),
        (condition({"DateLessThan": {"a": "9223372036854775808"}}), LEGACY),
        (condition({"DateLessThanEquals": {"a": "234-13"}}), LEGACY),
        (condition({"DateLessThanEquals": {"a": "2023-02-29"}}), LEGACY),
        (condition({"DateLessThanEquals": {"a": "2016-12-13T24:00:00Z"}}), LEGACY),
        (condition({"DateLessThanEquals": {"a": "2016-12-13t2:00:00.593194+1"}}), LEGACY),
        (condition({"DateLessThanEquals": {"a": "2016-12-13t2:00:00.1999999999+10:59"}}), LEGACY),
        (condition({"DateLessThanEquals": {"a": "2016-12-13T02:00:00+24:00"}}), LEGACY),
        (condition({"NumericEquals": {"a": "ten"}}), LEGACY),
        (condition({"NumericEquals": {"a": "1e9999"}}), LEGACY),
        (condition({"NumericEquals": {"a": "NaN"}}), LEGACY),
        (condition({"Bool": {"a": "yes"}}), LEGACY),
        (condition({"Null": {"a": "maybe"}}), LEGACY),
        (condition({"BinaryEquals": {"a": "*"}}), LEGACY),
        (condition({"IpAddress": {"aws:SourceIp": "203.0.113.0/33"}}), LEGACY),
        (condition({"IpAddress": {"aws:SourceIp": "fe80::1%eth0"}}), LEGACY),
        (condition({"NotIpAddress": {"aws:SourceIp": "home"}}), LEGACY),
        # Of several faults, the one that AWS reports.
        (one(Action="s:3:ListBucket", Resource="sdfsadf"), 'Resource sdfsadf must be in ARN format or "*".'),
        (one(Action="invalid", Resource=...), VENDOR),
        (one(Action=..., Resource="arn:aws:s3::example_bucket"), LEGACY),
        (one(Effect="allow", Action=..., Resource="arn:aws:s3:us-east-1::b"), LEGACY),
        (
            one(Resource=["arn:error:s3:::b", "arn:error:s3::b"]),
            'Partition "error" is not valid for resource "arn:error:s3:::b".',
        ),
        (one(Resource="arn:error:s3:::b", Condition={"DateGreaterThan": {"a": "x"}}), LEGACY),
        (
            json.dumps({"Statement": {**allow("s3:x", ARN), "Condition": {"DateGreaterThan": {"a": "x"}}}}),
            "Policy document must be version 2012-10-17 or greater.",
        ),
    ],
)
def test_identity_policies(kind: Kind, text: str, message: str) -> None:
    assert refused(text, kind) == message


@pytest.mark.parametrize(
    "text",
    [
        whole(),
        whole(Id="some id"),
        whole(Statement=[allow("s3:ListBucket", [ARN, "*"], Sid=""), deny("s3:*", ARN, Sid="")]),
        one(Action="*"),
        one(Action="*:*"),
        one(Action="iam: asdf safdsf af "),
        one(Action="s3-s.x:ListBucket"),
        one(Action=..., NotAction="s3:ListBucket"),
        one(Resource=..., NotResource="*"),
        one(Resource="arn:aws:iam:::user/example"),
        one(Resource="arn:aws:iam::*:*"),
        one(Resource="arn:aws:fdsasf"),
        one(Resource="arn:*:s3:::example"),
        one(Resource="arn:aws-us-gov:s3:::example"),
        one(Resource="arn:aws:ec2:us-east-1::example"),
        one(Resource=f"arn:aws:s3:us-west-2:{HOME}:accesspoint/mine/object/*"),
        one(Resource="arn:aws:iam::*:user/${aws:username}"),
        condition({}),
        condition({"DateGreaterThan": {}}),
        condition({"a": {}}),
        condition({"DateGreaterThan": {"a": []}}),
        condition({"DateGreaterThan": {"a": "01T"}}),
        condition({"DateLessThan": {"a": "-292275054"}}),
        condition({"DateLessThanEquals": {"a": "2016-12-13t2:00:00.593194+23"}}),
        condition({"DateLessThanEquals": {"a": "2016-12-13T21:20:37.593194+00:00"}}),
        condition({"DateGreaterThan": {"aws:EpochTime": 1577836800}}),
        condition({"ForAnyValue:StringEqualsIfExists": {"a": "asf"}}),
        condition({"StringEquals": {"aws:RequestTag/CostCenter": ["A-123", "B-456"]}}),
    ],
)
def test_what_iam_accepts(text: str) -> None:
    assert parse(text, "identity").statements


def trusting(**more: Any) -> str:
    written = {"Effect": "Allow", "Principal": {"AWS": HOME}, "Action": "sts:AssumeRole", **more}
    return document({name: value for name, value in written.items() if value is not ...})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "This policy contains invalid Json"),
        (trusting(Resource="*"), "Has prohibited field Resource"),
        (trusting(NotResource="*"), "Has prohibited field NotResource"),
        (trusting(Principal=...), "Missing required field Principal"),
        (trusting(Action=...), "Missing required field Action"),
        (trusting(Effect=...), "Missing required field Effect"),
        (trusting(Effect="allow"), "Invalid effect: allow"),
        (trusting(Extra="x"), "Unknown field Extra"),
        (trusting(Action="s3:GetObject"), "AssumeRole policy may only specify STS AssumeRole actions."),
        (trusting(Action="*"), "AssumeRole policy may only specify STS AssumeRole actions."),
        (
            trusting(Principal={"Federated": "accounts.*"}),
            'Invalid principal in policy: "Federated":"accounts.*"',
        ),
        (trusting(Principal={"AWS": "nobody"}), 'Invalid principal in policy: "AWS":"nobody"'),
        (trusting(Principal={"AWS": []}), 'Invalid principal in policy: "AWS":""'),
        (trusting(Principal={}), 'Invalid principal in policy: "AWS":"{}"'),
        (
            trusting(Principal={"CanonicalUser": "7" * 64}),
            f'Invalid principal in policy: "CanonicalUser":"{"7" * 64}"',
        ),
        (trusting(Principal={"Service": "*"}), 'Invalid principal in policy: "Service":"*"'),
        (trusting(Principal={"Group": "x"}), 'Invalid principal in policy: "Group":"x"'),
        (trusting(NotPrincipal={"AWS": HOME}), SYNTAX),
        (trusting(Condition={"Nonsense": {"a": "b"}}), "Invalid Condition type : Nonsense."),
    ],
)
def test_trust_policies(text: str, message: str) -> None:
    assert refused(text, "trust") == message


@pytest.mark.parametrize(
    "principal",
    [
        f"arn:aws:iam::{HOME}:user/*",
        f"arn:aws:iam::{HOME}:group/developers",
        f"arn:aws:iam::{HOME}:*",
        "arn:aws:iam::*:root",
        f"arn:aws:sts::{HOME}:assumed-role/Reader/*",
        f"arn:aws:sts::{HOME}:assumed-role/Reader",
        "11112222333",
        "arn:aws:s3:::example",
        "١١١١٢٢٢٢٣٣٣٣",
    ],
)
@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("key", "Policy contains a statement with one or more invalid principals."),
        ("resource", "Invalid principal in policy"),
    ],
)
def test_nobody_can_be_named_so(kind: Kind, message: str, principal: str) -> None:
    assert refused(document(allow("kms:*", Principal={"AWS": principal})), kind) == message


@pytest.mark.parametrize(
    "principal",
    [
        "*",
        {"AWS": "*"},
        {"AWS": [HOME, ALICE.arn, "AROAREADERREADER1234"], "Service": ["logs.us-east-1.amazonaws.com"]},
        {"AWS": f"arn:aws:sts::{HOME}:assumed-role/Reader/build"},
        {"AWS": f"arn:aws:sts::{HOME}:federated-user/fred"},
        {"AWS": f"arn:aws-cn:iam::{HOME}:role/service-role/x"},
        {"Federated": ["accounts.google.com", f"arn:aws:iam::{HOME}:oidc-provider/idp.example/x"]},
    ],
)
@pytest.mark.parametrize("kind", ["key", "resource", "trust"])
def test_somebody_can_be_named_so(kind: Kind, principal: Any) -> None:
    written = allow("sts:*", Principal=principal)
    if kind == "trust":
        del written["Resource"]
    assert parse(document(written), kind).statements


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<Policy/>", "Policies must be valid JSON and the first byte must be '{'"),
        (document(allow("s3:*", ARN)), "Missing required field Principal"),
        (one(Principal="*", Resource=...), "Missing required field Resource"),
        (one(Principal="*", Action=...), "Missing required field Action"),
        (one(Principal="*", Effect=...), "Missing required field Effect"),
        (one(Principal="*", Effect="permit"), "Invalid effect: permit"),
        (one(Principal="*", Extra=1), "Unknown field Extra"),
        (whole(Version="2020-01-01"), "The policy must contain a valid version string"),
        (whole(Statement=[]), "Could not parse the policy: Statement is empty!"),
        (one(Principal="*", Condition={"X": {"a": "b"}}), "Invalid Condition type : X."),
        (
            one(Principal="*", Condition={"IpAddress": {"a": "b"}}),
            "Invalid Condition value : 'b' does not appear",
        ),
        (one(Principal="*", Resource="bucket"), 'Resource bucket must be in ARN format or "*".'),
    ],
)
def test_resource_policies(text: str, message: str) -> None:
    assert refused(text, "resource").startswith(message)


def test_key_policies() -> None:
    assert refused("{", "key") == SYNTAX
    assert refused(document(allow("kms:*")), "key") == "Missing required field Principal"
    spaced = document(allow("kms:*", Principal="*", Sid="Enable IAM policies"))
    assert parse(spaced, "key").statements[0].sid == "Enable IAM policies"
    assert parse(json.dumps({"Statement": [allow("kms:*", Principal="*")]}), "key").version == "2008-10-17"


@pytest.mark.parametrize(
    "text",
    [
        "{",
        document(allow(Principal="*")),
        document(allow(), version="2008-10-17"),
        document({"Effect": "Allow", "Action": "*"}),
        document({"Effect": "Deny", "Resource": "*"}),
        document(deny("nonsense")),
        document(deny(Sid="with spaces")),
        document(deny(Condition={"Nonsense": {"a": "b"}})),
    ],
)
def test_service_control_policies(text: str) -> None:
    assert refused(text, "scp") == ORGANIZATIONS


def test_service_control_policies_have_the_whole_language() -> None:
    written = allow("s3:*", ARN, Condition={"StringEquals": {"aws:PrincipalTag/x": "y"}})
    assert parse(
        document(written, {"Effect": "Deny", "NotAction": "iam:*", "NotResource": ARN}), "scp"
    ).statements


@pytest.mark.parametrize(
    "text",
    [
        document(deny("s3:*")),
        document(deny("s3:*", Principal={"AWS": HOME})),
        document({"Effect": "Deny", "NotPrincipal": {"AWS": HOME}, "Action": "s3:*", "Resource": "*"}),
        document({"Effect": "Deny", "Principal": "*", "NotAction": "s3:*", "Resource": "*"}),
        document(allow("s3:*", Principal="*")),
        document(deny("*", Principal="*")),
    ],
)
def test_resource_control_policies(text: str) -> None:
    assert refused(text, "rcp") == ORGANIZATIONS


def test_resource_control_policies_that_are_accepted() -> None:
    assert parse(document(allow(Principal="*")), "rcp").statements
    conditional = deny(
        ["s3:*", "kms:Decrypt"], Principal="*", Condition={"Bool": {"aws:SecureTransport": "false"}}
    )
    assert parse(document(conditional), "rcp").statements


@pytest.mark.parametrize("kind", get_args(Kind))
@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"a":' * 100_000,
        "1" * 100_000,
        '{"Version": NaN}',
        '"\\ud800"',
        '{"Version": "\\ud800"}',
        "\ud800",
    ],
    ids=[
        "deep array",
        "deep object",
        "long number",
        "NaN",
        "surrogate",
        "surrogate member",
        "bare surrogate",
    ],
)
def test_hostile_documents(kind: Kind, text: str) -> None:
    refused(text, kind)


@pytest.mark.parametrize(
    "value",
    ["${" * 16_000, "${a,'" * 6_000 + "}", "*" * 32_000, "*?" * 16_000, "a." * 16_000 + "*", "${a}" * 8_000],
    ids=["opened", "quoted", "stars", "wildcards", "labels", "variables"],
)
def test_long_values_are_read_in_time(value: str) -> None:
    """The test's own time limit is the check: nothing here may take quadratic time worth noticing."""
    written = {"StringLike": {"x:k": value}, "ArnNotLike": {"x:k": "arn:" + value}}
    parsed = parse(one(Resource="arn:aws:s3:::" + value, Condition=written), "identity")
    meets_all = set(value) == {"*"}
    decision = ask(ALICE, "s3:ListBucket", ARN + value * 2, allows=(parsed,), keys={"x:k": "no"})
    assert decision.allowed is meets_all
    for principal in ({"Federated": value}, {"Service": value}, {"AWS": value}):
        with pytest.raises(PolicyError):
            parse(trusting(Principal=principal), "trust")


def test_a_lone_surrogate_in_a_name() -> None:
    assert (
        refused('{"Version":"2012-10-17","Statement":[{"Sid":"\\ud800","Effect":"Allow"}]}', "identity")
        == SYNTAX
    )


def test_a_document_is_compiled_once() -> None:
    assert parse(whole(), "identity") is parse(whole(), "identity")
    assert parse(whole(), "identity") is not parse(whole(), "session")
    named = parse(whole(), "identity").named("mine")
    assert named.name == "mine"
    assert named.statements is parse(whole(), "identity").statements
    assert "mine" in repr(named)


def test_who_is_named_can_be_asked() -> None:
    text = document(
        allow(
            "kms:*",
            Principal={"AWS": [f"arn:aws:iam::{HOME}:root", ALICE.arn], "Service": "sns.amazonaws.com"},
        ),
        {"Effect": "Deny", "NotPrincipal": {"AWS": HOME}, "Action": "kms:*", "Resource": "*"},
        deny("kms:*", Principal="*"),
    )
    assert list(parse(text, "key").principals()) == [
        ("AWS", HOME),
        ("AWS", ALICE.arn),
        ("Service", "sns.amazonaws.com"),
        ("AWS", HOME),
    ]
