"""AssumeRoleWithSAML, and IAM's SAML providers, with an identity provider that signs what it says."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from datetime import UTC, datetime
from itertools import count
from typing import Any, NamedTuple

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config as ClientConfig
from hypothesis import given
from hypothesis import strategies as st
from saml_support import ENTITY, RECIPIENT, IdentityProvider
from server_support import casemate, refused
from sts_support import ACCOUNT, Sts, policy, trust

from casemate.engine.saml.assertion import check
from casemate.engine.saml.documents import SamlError
from casemate.engine.saml.metadata import read_metadata

PROVIDER = f"arn:aws:iam::{ACCOUNT}:saml-provider/idp"
NOT_AUTHORIZED = "Not authorized to perform sts:AssumeRoleWithSAML"
TOO_SHORT = "SessionDuration in AuthnResponse must be a number from 900 to 43200"
TWO_VALUES = "The attribute https://aws.amazon.com/SAML/Attributes/SourceIdentity has more than one value."
_numbers = count(1)


def _id_of(xml: str) -> str:
    return xml.split('ID="')[1].split('"')[0]


class Saml(NamedTuple):
    sts: Sts
    idp: IdentityProvider

    def role(self, may: Any = None, *actions: str, **condition: Any) -> str:
        more = {"Condition": condition} if condition else {}
        return self.sts.role(
            trust({"Federated": PROVIDER}, *(actions or ("sts:AssumeRoleWithSAML",)), **more), may
        )

    def assume(self, role: str, response: str | None = None, provider: str = PROVIDER, **more: Any) -> Any:
        session: Any = boto3.session.Session(region_name="us-east-1")
        client = session.client(
            "sts",
            endpoint_url=self.sts.server.endpoint,
            config=ClientConfig(signature_version=UNSIGNED, retries={"total_max_attempts": 1}),
        )
        return client.assume_role_with_saml(
            RoleArn=role, PrincipalArn=provider, SAMLAssertion=response or self.response(role), **more
        )

    def response(self, role: str, **more: Any) -> str:
        """With a signed assertion for a role."""
        return self.idp.response(self.idp.signed(self.idp.assertion([f"{role},{PROVIDER}"], **more)))


@pytest.fixture(scope="module")
def saml(sts: Sts) -> Saml:
    idp = IdentityProvider()
    made = sts.of("admin", "iam").create_saml_provider(Name="idp", SAMLMetadataDocument=idp.metadata)
    assert made["SAMLProviderArn"] == PROVIDER
    return Saml(sts, idp)


def test_a_user_of_the_identity_provider_assumes_a_role(saml: Saml) -> None:
    role = saml.role(
        policy("kms:ListKeys"), StringEquals={"SAML:aud": RECIPIENT, "SAML:sub_type": "persistent"}
    )
    answer = saml.assume(role)
    assert (answer["Subject"], answer["SubjectType"]) == ("alice", "persistent")
    assert (answer["Issuer"], answer["Audience"]) == (ENTITY, RECIPIENT)
    assert len(b64decode(answer["NameQualifier"])) == 20
    assert answer["AssumedRoleUser"]["Arn"].endswith("/alice@example.com")
    assert saml.sts.by(answer["Credentials"]).get_caller_identity()["Arn"] == answer["AssumedRoleUser"]["Arn"]
    assert saml.sts.by(answer["Credentials"], "kms").list_keys()["Keys"] is not None
    # The response signed as a whole, the ARNs the other way round.
    whole = saml.idp.response(saml.idp.assertion([f"{PROVIDER}, {role}"]), signed=True)
    assert saml.assume(role, whole)["Subject"] == "alice"
    # And both signed.
    both = saml.idp.response(saml.idp.signed(saml.idp.assertion([f"{PROVIDER},{role}"])), signed=True)
    assert saml.assume(role, both)["Subject"] == "alice"


def test_whom_a_role_does_not_trust(saml: Saml) -> None:
    for role in (
        saml.role(None, StringEquals={"SAML:aud": "https://somewhere.else"}),
        saml.sts.role(trust({"AWS": "*"}, "sts:*")),
        saml.sts.role(trust({"Federated": PROVIDER + "2"}, "sts:AssumeRoleWithSAML")),
        f"arn:aws:iam::{ACCOUNT}:role/absent",
    ):
        with refused("AccessDenied", NOT_AUTHORIZED, 403):
            saml.assume(role)
    # The assertion names another role.
    other = saml.role()
    with refused("AccessDenied", NOT_AUTHORIZED, 403):
        saml.assume(other, saml.response(saml.role()))
    with refused("InvalidIdentityToken", "Specified provider doesn't exist"):
        saml.assume(other, provider=PROVIDER + "2")


def test_durations_of_the_assertion(saml: Saml) -> None:
    role = saml.role()

    def lasts(response: str | None = None, **more: Any) -> float:
        expires: datetime = saml.assume(role, response, **more)["Credentials"]["Expiration"]
        return (expires - datetime.now(UTC)).total_seconds()

    assert 3_500 < lasts() <= 3_600
    assert 840 < lasts(saml.response(role, SessionDuration="900")) <= 900
    assert 840 < lasts(saml.response(role, SessionDuration="900"), DurationSeconds=3_600) <= 900
    assert 1_100 < lasts(saml.response(role, session_ends=1_200)) <= 1_200
    with refused(
        "ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
    ):
        saml.assume(role, DurationSeconds=7_200)


def test_tags_and_source_identity(saml: Saml) -> None:
    role = saml.role(
        policy(
            "kms:ListKeys", Condition={"StringEquals": {"aws:PrincipalTag/team": "red", "saml:sub": "alice"}}
        ),
        *("sts:AssumeRoleWithSAML", "sts:TagSession", "sts:SetSourceIdentity"),
        StringEquals={"aws:RequestTag/team": "red", "sts:SourceIdentity": "alice"},
    )
    response = saml.response(
        role, PrincipalTag__team="red", TransitiveTagKeys=["team"], SourceIdentity="alice"
    )
    answer = saml.assume(role, response)
    assert answer["SourceIdentity"] == "alice"
    assert saml.sts.by(answer["Credentials"], "kms").list_keys()["Keys"] is not None
    untaggable = saml.role()
    with refused("AccessDenied", "Not authorized to perform sts:TagSession", 403):
        saml.assume(untaggable, saml.response(untaggable, PrincipalTag__team="red"))


def test_assertions_that_prove_nothing(saml: Saml) -> None:
    role, idp = saml.role(), saml.idp
    pair = [f"{role},{PROVIDER}"]
    signed = idp.signed(idp.assertion(pair))
    evil = idp.assertion(pair, subject="root")
    stranger = IdentityProvider()
    sha1 = b64decode(idp.response(signed)).decode().replace("rsa-sha256", "rsa-sha1")
    wrong: list[tuple[str, str]] = [
        ("====", "Invalid base64 SAMLResponse"),
        (b64encode(b"<a>").decode(), "The document is not XML."),
        (b64encode(b"<a/>").decode(), "Invalid SAMLResponse"),
        (
            b64encode(b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>').decode(),
            "The document has a document type.",
        ),
        (idp.response(idp.assertion(pair)), "The response is not signed."),
        (stranger.response(stranger.signed(stranger.assertion(pair))), "Response signature invalid"),
        (idp.response(signed.replace(">alice<", ">admin<")), "Response signature invalid"),
        (b64encode(sha1.encode()).decode(), "Response signature invalid"),
        # Two assertions of one id: which one was signed is not guessed.
        (
            idp.response(
                signed,
                evil.replace(evil.split('ID="')[1].split('"')[0], signed.split('ID="')[1].split('"')[0]),
            ),
            "Response signature invalid",
        ),
        (saml.response(role, issuer="https://other.example.com"), "Issuer not present in specified provider"),
        (saml.response(role, audience="https://sp.example.com"), "The assertion is for another audience."),
        (saml.response(role, begins=3_600), "The assertion is not valid yet."),
        (saml.response(role, recipient=""), "The assertion has no bearer's confirmation with a recipient."),
        (saml.response(role, session=None), "RoleSessionName is required in AuthnResponse"),
        (saml.response(role, session="a b"), "RoleSessionName in AuthnResponse must match [\\w+=,.@-]{2,64}"),
        (
            saml.response(role, SessionDuration="60"),
            TOO_SHORT,
        ),
        (
            saml.response(role, SourceIdentity=["a1", "b2"]),
            TWO_VALUES,
        ),
        (
            idp.response(idp.assertion(pair), idp.assertion(pair), signed=True),
            "The response must hold one assertion, which is not encrypted.",
        ),
        (
            idp.response(idp.assertion(pair), status="Responder", signed=True),
            "The identity provider did not authenticate the user.",
        ),
    ]
    for response, message in wrong:
        with refused("InvalidIdentityToken", message):
            saml.assume(role, response)
    with refused("ExpiredTokenException", "Token must be redeemed within 5 minutes of issuance"):
        saml.assume(role, saml.response(role, ends=-1))


def test_an_assertion_that_was_slipped_in_is_not_looked_at(saml: Saml) -> None:
    """Signature wrapping: what counts is what was signed, wherever it stands."""
    role, idp = saml.role(), saml.idp
    pair = [f"{role},{PROVIDER}"]
    good, evil = idp.signed(idp.assertion(pair)), idp.assertion(pair, subject="root", session="root")
    hidden = f"<samlp:Extensions>{good}</samlp:Extensions>"
    for contents in ((evil, good), (good, evil), (evil, hidden), (hidden, evil)):
        response = idp.response(*contents)
        answer = saml.assume(role, response)
        assert answer["Subject"] == "alice"
        assert answer["AssumedRoleUser"]["Arn"].endswith("/alice@example.com")
    # A comment does not cut a name short.
    split = idp.response(idp.signed(idp.assertion(pair, subject="alice<!-- -->.evil")))
    assert saml.assume(role, split)["Subject"] == "alice.evil"


def test_a_user_in_the_audit(saml: Saml) -> None:
    role = saml.role(policy("kms:*"))
    response = saml.response(role)
    saml.assume(role, response)
    done = casemate("audit", "tail", "--data", str(saml.sts.server.data), "--json", "-n", "all")
    records = [json.loads(line) for line in done.stdout.splitlines()]
    given = [each for each in records if each["eventName"] == "AssumeRoleWithSAML"]
    record = next(each for each in given if (each["requestParameters"] or {}).get("roleArn") == role)
    who = record["userIdentity"]
    assert (who["type"], who["userName"], who["identityProvider"]) == ("SAMLUser", "alice", ENTITY)
    assert record["recipientAccountId"] == ACCOUNT
    assert response not in done.stdout


# --- IAM's providers


def test_a_saml_provider(saml: Saml) -> None:
    iam, name = saml.sts.of("admin", "iam"), f"idp-{next(_numbers)}"
    tags = [{"Key": "team", "Value": "red"}]
    arn = iam.create_saml_provider(Name=name, SAMLMetadataDocument=saml.idp.metadata, Tags=tags)[
        "SAMLProviderArn"
    ]
    assert arn == f"arn:aws:iam::{ACCOUNT}:saml-provider/{name}"
    shown = iam.get_saml_provider(SAMLProviderArn=arn)
    assert (shown["SAMLMetadataDocument"], shown["Tags"]) == (saml.idp.metadata, tags)
    assert shown["ValidUntil"] > shown["CreateDate"]
    assert arn in [each["Arn"] for each in iam.list_saml_providers()["SAMLProviderList"]]
    with refused("EntityAlreadyExists", f"SAMLProvider with name {name} already exists.", 409):
        iam.create_saml_provider(Name=name, SAMLMetadataDocument=saml.idp.metadata)
    other = IdentityProvider().metadata
    iam.update_saml_provider(SAMLProviderArn=arn, SAMLMetadataDocument=other)
    assert iam.get_saml_provider(SAMLProviderArn=arn)["SAMLMetadataDocument"] == other
    iam.tag_saml_provider(SAMLProviderArn=arn, Tags=[{"Key": "stage", "Value": "test"}])
    iam.untag_saml_provider(SAMLProviderArn=arn, TagKeys=["team"])
    assert iam.list_saml_provider_tags(SAMLProviderArn=arn)["Tags"] == [{"Key": "stage", "Value": "test"}]
    iam.delete_saml_provider(SAMLProviderArn=arn)
    for call in (iam.get_saml_provider, iam.delete_saml_provider):
        with refused("NoSuchEntity", f"Manifest not found for arn {arn}", 404):
            call(SAMLProviderArn=arn)


def test_metadata_that_is_none(saml: Saml) -> None:
    iam = saml.sts.of("admin", "iam")
    good = saml.idp.metadata
    for document, message in (
        ("x" * 1_000, "The document is not XML."),
        (good.replace("EntityDescriptor", "EntitiesDescriptor"), "Could not parse metadata"),
        (
            good.replace("IDPSSODescriptor", "SPSSODescriptor"),
            "Could not parse metadata: there is no IDPSSODescriptor",
        ),
        (
            good.replace('use="signing"', 'use="encryption"'),
            "Metadata must hold 1 to 10 signing certificates",
        ),
        (good.replace("X509Certificate>MII", "X509Certificate>AII"), "Invalid certificate in metadata"),
    ):
        with refused("InvalidInput", message):
            iam.create_saml_provider(Name="never", SAMLMetadataDocument=document)
    with refused("NotImplemented", "Encrypted assertions are not served by Casemate.", 501):
        iam.create_saml_provider(Name="never", SAMLMetadataDocument=good, AssertionEncryptionMode="Allowed")
    with refused("InvalidInput", "Invalid ARN: arn:aws:iam::111122223333:user/admin"):
        iam.get_saml_provider(SAMLProviderArn="arn:aws:iam::111122223333:user/admin")


_IDP = IdentityProvider()
_METADATA = read_metadata(_IDP.metadata.encode())
_GOOD = b64decode(_IDP.response(_IDP.signed(_IDP.assertion(["r,p"]))))
# A response is good for five minutes, and a whole run of the tests takes longer.
_SIGNED_AT = datetime.now(UTC).timestamp()


@given(st.binary(max_size=100))
def test_what_is_no_response_is_refused(data: bytes) -> None:
    with pytest.raises(SamlError):
        check(b64encode(data).decode(), _METADATA, datetime.now(UTC).timestamp())


@given(st.integers(0, len(_GOOD) - 1), st.sampled_from([b"a", b"<", b" ", b"9", b'"']))
def test_an_altered_response_says_the_same_or_is_refused(at: int, byte: bytes) -> None:
    said = check(b64encode(_GOOD).decode(), _METADATA, _SIGNED_AT)
    try:
        altered = check(b64encode(_GOOD[:at] + byte + _GOOD[at + 1 :]).decode(), _METADATA, _SIGNED_AT)
    except SamlError:
        return
    assert altered == said
