"""Names of keys: the four ways, and whatever else a client may send."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kms_support import ABSENT_ID, ACCOUNT, REGION

from casemate.errors import AwsError
from casemate.services.kms.naming import KeyName, alias_arn, key_arn, parse_key_name

_IDS = st.uuids().map(str) | st.uuids().map(lambda each: f"mrk-{each.hex}")
_ALIASES = st.from_regex(r"alias/[a-zA-Z0-9/_-]{1,20}", fullmatch=True)


def test_the_four_ways() -> None:
    assert parse_key_name(ABSENT_ID) == KeyName("", "", "", ABSENT_ID, "")
    assert parse_key_name("alias/a/b") == KeyName("", "", "", "", "alias/a/b")
    arn = f"arn:aws-us-gov:kms:us-gov-west-1:{ACCOUNT}:"
    assert parse_key_name(arn + f"key/{ABSENT_ID}") == KeyName(
        "aws-us-gov", "us-gov-west-1", ACCOUNT, ABSENT_ID, ""
    )
    assert parse_key_name(arn + "alias/x") == KeyName("aws-us-gov", "us-gov-west-1", ACCOUNT, "", "alias/x")


@settings(max_examples=50)
@given(_IDS, _ALIASES, st.sampled_from(["us-east-1", "cn-north-1", "us-gov-west-1", "eu-central-2"]))
def test_arns_are_read_as_they_are_written(key_id: str, alias: str, region: str) -> None:
    name = parse_key_name(key_arn(ACCOUNT, region, key_id))
    assert (name.region, name.account, name.key_id, name.alias) == (region, ACCOUNT, key_id, "")
    name = parse_key_name(alias_arn(ACCOUNT, region, alias))
    assert (name.region, name.account, name.key_id, name.alias) == (region, ACCOUNT, "", alias)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        ABSENT_ID.replace("-", ""),
        ABSENT_ID.upper().replace("0", "A"),
        ABSENT_ID + "\n",
        " " + ABSENT_ID,
        "mrk-" + "g" * 32,
        "alias/",
        "alias/a b",
        "alias/x\n",
        "Alias/x",
        f"arn:aws:kms:{REGION}:{ACCOUNT}:key/x",
    ],
)
def test_what_is_no_key_id(text: str) -> None:
    with pytest.raises(AwsError) as caught:
        parse_key_name(text)
    assert caught.value.code == "NotFoundException"
    assert caught.value.message == f"Invalid keyId '{text.rpartition('key/')[2]}'"


@pytest.mark.parametrize(
    "text",
    [
        "arn:",
        "arn:aws:kms",
        f"arn:aws:kms:{REGION}:{ACCOUNT}",
        f"arn:aws:kms:{REGION}:{ACCOUNT}:",
        f"arn:aws:kms:{REGION}::key/{ABSENT_ID}",
        f"arn:aws:kms::{ACCOUNT}:key/{ABSENT_ID}",
        f"arn:aws:kms:{REGION}:11112222333:key/{ABSENT_ID}",
        f"arn:aws:kms:{REGION}:١١١١٢٢٢٢٣٣٣٣:key/{ABSENT_ID}",
        f"arn:aws:sns:{REGION}:{ACCOUNT}:key/{ABSENT_ID}",
        f"arn:aws:kms:{REGION}:{ACCOUNT}:{ABSENT_ID}",
        f"arn:aws:kms:{REGION}:{ACCOUNT}:alias/",
        f"arn:aws:kms:{REGION}:{ACCOUNT}:alias/x:y",
    ],
)
def test_what_is_no_arn_of_a_key(text: str) -> None:
    with pytest.raises(AwsError) as caught:
        parse_key_name(text)
    assert caught.value.code == "InvalidArnException"


@given(st.text() | st.text(alphabet="arn:wskmlie/-0123456789*\n\0", max_size=80))
def test_anything_else_is_refused_as_aws_does(text: str) -> None:
    name, code = None, ""
    try:
        name = parse_key_name(text)
    except AwsError as error:
        code = error.code
    if name is None:
        assert code in ("NotFoundException", "InvalidArnException")
    else:
        assert bool(name.key_id) != bool(name.alias), name
