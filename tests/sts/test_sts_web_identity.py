"""AssumeRoleWithWebIdentity as a CI system's jobs use it: its issuer's keys configured, or fetched."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import boto3
import jwt
import pytest
from botocore import UNSIGNED
from botocore.config import Config as ClientConfig
from issuer_support import AUDIENCE, Issuer, Published, published
from server_support import casemate, refused
from sts_support import ACCOUNT, Sts, policy, sts_server, trust

URL = "https://token.ci.example.com"
NAME = "token.ci.example.com"
PROVIDER = f"arn:aws:iam::{ACCOUNT}:oidc-provider/{NAME}"
SUBJECT = "repo:octo-org/octo-repo:ref:refs/heads/main"
NOT_AUTHORIZED = "Not authorized to perform sts:AssumeRoleWithWebIdentity"


class Ci(NamedTuple):
    sts: Sts
    issuer: Issuer

    def assume(self, role: str, token: str | None = None, **more: Any) -> Any:
        """As a job does that has no AWS credentials."""
        session: Any = boto3.session.Session(region_name="us-east-1")
        client = session.client(
            "sts",
            endpoint_url=self.sts.server.endpoint,
            config=ClientConfig(signature_version=UNSIGNED, retries={"total_max_attempts": 1}),
        )
        return client.assume_role_with_web_identity(
            RoleArn=role, RoleSessionName="job-7", WebIdentityToken=token or self.issuer.token(), **more
        )


def trusting(provider: str = PROVIDER, *actions: str, **condition: Any) -> dict[str, Any]:
    more = {"Condition": condition} if condition else {}
    return trust({"Federated": provider}, *(actions or ("sts:AssumeRoleWithWebIdentity",)), **more)


@pytest.fixture(scope="module")
def ci(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ci]:
    folder = tmp_path_factory.mktemp("ci")
    issuer = Issuer(URL)
    keys = folder / "keys.json"
    keys.write_text(json.dumps(issuer.key_set))
    config = folder / "casemate.toml"
    config.write_text(f'oidc_hosts = []\n[oidc_keys]\n"{URL}" = "{keys}"\n')
    with sts_server(folder, "--config", str(config)) as sts:
        sts.of("admin", "iam").create_open_id_connect_provider(Url=URL, ClientIDList=[AUDIENCE, "other"])
        yield Ci(sts, issuer)


def test_a_job_assumes_its_role(ci: Ci) -> None:
    role = ci.sts.role(
        trusting(StringEquals={f"{NAME}:aud": AUDIENCE}, StringLike={f"{NAME}:sub": "repo:octo-org/*"}),
        policy("kms:ListKeys"),
    )
    answer = ci.assume(role)
    assert answer["SubjectFromWebIdentityToken"] == SUBJECT
    assert (answer["Audience"], answer["Provider"]) == (AUDIENCE, PROVIDER)
    assert answer["AssumedRoleUser"]["Arn"].endswith("/job-7")
    credentials = answer["Credentials"]
    assert ci.sts.by(credentials).get_caller_identity()["Arn"] == answer["AssumedRoleUser"]["Arn"]
    assert ci.sts.by(credentials, "kms").list_keys()["Keys"] is not None
    with refused("AccessDenied", NOT_AUTHORIZED, 403):
        ci.assume(role, ci.issuer.token(sub="repo:somebody-else/repo:ref:refs/heads/main"))
    with refused("AccessDenied", NOT_AUTHORIZED, 403):
        ci.assume(role, ci.issuer.token(aud="other"))


def test_both_kinds_of_keys_and_a_token_that_names_none(ci: Ci) -> None:
    role = ci.sts.role(trusting())
    ci.assume(role, ci.issuer.token("two"))
    nameless = jwt.encode(ci.issuer.claims(), ci.issuer.keys["one"], "RS256")
    ci.assume(role, nameless)


def test_other_claims_are_condition_keys(ci: Ci) -> None:
    role = ci.sts.role(
        trusting(
            StringEquals={
                f"{NAME}:repository": "octo-org/octo-repo",
                f"{NAME}:run_attempt": "1",
                "sts:RoleSessionName": "job-7",
                "aws:FederatedProvider": PROVIDER,
            }
        )
    )
    ci.assume(role)
    with refused("AccessDenied", NOT_AUTHORIZED, 403):
        ci.assume(role, ci.issuer.token(repository="octo-org/other"))


def test_whom_else_a_role_does_not_trust(ci: Ci) -> None:
    for trusts in (trust(f"arn:aws:iam::{ACCOUNT}:root", "sts:*"), trust({"AWS": "*"}, "sts:*")):
        with refused("AccessDenied", NOT_AUTHORIZED, 403):
            ci.assume(ci.sts.role(trusts))
    other = f"arn:aws:iam::{ACCOUNT}:oidc-provider/another.example.com"
    with refused("AccessDenied", NOT_AUTHORIZED, 403):
        ci.assume(ci.sts.role(trusting(other)))
    with refused("AccessDenied", NOT_AUTHORIZED, 403):
        ci.assume(f"arn:aws:iam::{ACCOUNT}:role/absent")
    # A role of another account, in which there is no such provider.
    foreign = ci.sts.role(trusting(), user="stranger")
    with refused("InvalidIdentityToken", f"No OpenIDConnect provider found in your account for {URL}"):
        ci.assume(foreign)


def test_what_a_token_gives_stays_with_the_session(ci: Ci) -> None:
    role = ci.sts.role(
        trusting(),
        policy("kms:ListKeys", Condition={"StringEquals": {f"{NAME}:sub": SUBJECT, f"{NAME}:aud": AUDIENCE}}),
    )
    kms = ci.sts.by(ci.assume(role)["Credentials"], "kms")
    assert kms.list_keys()["Keys"] is not None
    other = ci.assume(role, ci.issuer.token(sub="somebody"))["Credentials"]
    with refused("AccessDeniedException"):
        ci.sts.by(other, "kms").list_keys()


def test_tags_and_source_identity_of_a_token(ci: Ci) -> None:
    tags: Any = {"principal_tags": {"team": ["red"]}, "transitive_tag_keys": ["team"]}
    token = ci.issuer.token(
        **{"https://aws.amazon.com/tags": tags, "https://aws.amazon.com/source_identity": "alice"}
    )
    all_three = ("sts:AssumeRoleWithWebIdentity", "sts:TagSession", "sts:SetSourceIdentity")
    role = ci.sts.role(
        trusting(
            PROVIDER, *all_three, StringEquals={"aws:RequestTag/team": "red", "sts:SourceIdentity": "alice"}
        ),
        policy(
            "kms:ListKeys",
            Condition={"StringEquals": {"aws:PrincipalTag/team": "red", "aws:SourceIdentity": "alice"}},
        ),
    )
    answer = ci.assume(role, token)
    assert answer["SourceIdentity"] == "alice"
    assert answer["PackedPolicySize"] > 0
    assert ci.sts.by(answer["Credentials"], "kms").list_keys()["Keys"] is not None
    with refused("AccessDenied", "Not authorized to perform sts:TagSession", 403):
        ci.assume(ci.sts.role(trusting()), token)
    unreadable: list[Any] = [{"principal_tags": "red"}, {"principal_tags": {"a": [1]}}, ["x"]]
    for wrong in unreadable:
        with refused("InvalidIdentityToken", "The claim https://aws.amazon.com/tags cannot be read."):
            ci.assume(role, ci.issuer.token(**{"https://aws.amazon.com/tags": wrong}))


def test_session_policies_and_durations(ci: Ci) -> None:
    role = ci.sts.role(trusting(), policy("kms:*"))
    answer = ci.assume(role, Policy=json.dumps(policy("kms:ListKeys")), DurationSeconds=900)
    kms = ci.sts.by(answer["Credentials"], "kms")
    assert kms.list_keys()["Keys"] is not None
    with refused("AccessDeniedException"):
        kms.create_key()
    with refused(
        "ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
    ):
        ci.assume(role, DurationSeconds=7_200)


def test_tokens_that_prove_nothing(ci: Ci) -> None:
    role = ci.sts.role(trusting())
    now = int(time.time())
    stranger = Issuer(URL)
    not_a_jwt = (
        "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)"
    )
    good = ci.issuer.token()
    head, body, signature = good.split(".")
    no_key: Any = None
    unsigned = jwt.encode(ci.issuer.claims(), no_key, "none")
    # The public key, which everybody has, is not taken for a secret.
    secret = jwt.encode(ci.issuer.claims(), "x" * 64, "HS256", headers={"kid": "one"})
    wrong: list[tuple[str, str]] = [
        ("no token at all", not_a_jwt),
        (unsigned, not_a_jwt),
        (secret, not_a_jwt),
        (stranger.token(), "Token signature invalid"),
        (f"{head}.{ci.issuer.token(sub='other').split('.')[1]}.{signature}", "Token signature invalid"),
        (f"{head}.{body}.", "Token signature invalid"),
        (
            ci.issuer.token(header={"kid": "three"}),
            "Couldn't retrieve verification key from your identity provider,  please reference "
            "AssumeRoleWithWebIdentity documentation for requirements",
        ),
        (ci.issuer.token(aud="somebody"), "Incorrect token audience"),
        (ci.issuer.token(azp="somebody"), "Incorrect token audience"),
        (ci.issuer.token(iss=None), "Missing a required claim: iss"),
        (ci.issuer.token(iss="http://token.ci.example.com"), "Issuer must be a valid URL"),
        (ci.issuer.token(sub=None), "Missing a required claim: sub"),
        (ci.issuer.token(exp=None), "Missing a required claim: exp"),
        (ci.issuer.token(iat=None), "Missing a required claim: iat"),
        (ci.issuer.token(nbf=now + 3_600), "The token is not valid yet."),
        (
            ci.issuer.token(iss="https://other.example.com"),
            "No OpenIDConnect provider found in your account for https://other.example.com",
        ),
    ]
    for token, message in wrong:
        with refused("InvalidIdentityToken", message):
            ci.assume(role, token)
    with pytest.raises(
        Exception, match=r"ExpiredTokenException.*Token expired: current date/time \d+ must be before"
    ):
        ci.assume(role, ci.issuer.token(exp=now - 1))
    ci.assume(role, good)


def test_access_tokens_of_oauth_are_not_served(ci: Ci) -> None:
    with refused("NotImplemented", "OAuth 2.0 access tokens are not served by Casemate.", 501):
        ci.assume(ci.sts.role(trusting()), ProviderId="graph.facebook.com")


def test_a_job_in_the_audit(ci: Ci) -> None:
    role = ci.sts.role(trusting(), policy("kms:ListAliases"))
    credentials = ci.assume(role)["Credentials"]
    ci.sts.by(credentials, "kms").list_aliases()
    done = casemate("audit", "tail", "--data", str(ci.sts.server.data), "--json", "-n", "all")
    records = [json.loads(line) for line in done.stdout.splitlines()]
    given = [each for each in records if each["eventName"] == "AssumeRoleWithWebIdentity"]
    record = next(each for each in given if each["requestParameters"]["roleArn"] == role)
    assert record["userIdentity"] == {
        "type": "WebIdentityUser",
        "principalId": f"{PROVIDER}:{AUDIENCE}:{SUBJECT}",
        "userName": SUBJECT,
        "identityProvider": PROVIDER,
    }
    assert record["recipientAccountId"] == ACCOUNT
    assert "eyJ" not in json.dumps(given)
    acting = [each for each in records if each["eventName"] == "ListAliases"][-1]["userIdentity"]
    assert acting["sessionContext"]["webIdFederationData"] == {
        "federatedProvider": PROVIDER,
        "attributes": {},
    }


def test_the_cli_takes_a_token_from_a_file(ci: Ci, tmp_path: Path) -> None:
    role = ci.sts.role(trusting(), policy("kms:ListKeys"))
    file = tmp_path / "token"
    file.write_text(ci.issuer.token())
    with pytest.MonkeyPatch.context() as env:
        env.setenv("AWS_ROLE_ARN", role)
        env.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(file))
        env.setenv("AWS_ENDPOINT_URL", ci.sts.server.endpoint)
        env.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
        env.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
        env.delenv("AWS_ACCESS_KEY_ID", raising=False)
        session: Any = boto3.session.Session(region_name="us-east-1")
        assert session.client("kms").list_keys()["Keys"] is not None


# --- keys that are fetched


@pytest.fixture(scope="module")
def fetching(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Sts, Path]]:
    folder = tmp_path_factory.mktemp("fetching")
    config = folder / "casemate.toml"
    config.write_text('oidc_hosts = ["localhost"]\n')
    with sts_server(folder, "--config", str(config)) as sts:
        yield sts, folder


def ci_of(sts: Sts, running: Published, thumbprint: str | None = None) -> tuple[Ci, str]:
    """Its provider, and a role that trusts it."""
    arn = sts.of("admin", "iam").create_open_id_connect_provider(
        Url=running.issuer.url,
        ClientIDList=[AUDIENCE],
        ThumbprintList=[thumbprint or running.certificate.thumbprint],
    )["OpenIDConnectProviderArn"]
    return Ci(sts, running.issuer), sts.role(trusting(arn))


def test_keys_are_fetched_once(fetching: tuple[Sts, Path], tmp_path: Path) -> None:
    with published(tmp_path) as running:
        ci, role = ci_of(fetching[0], running)
        ci.assume(role)
        ci.assume(role, running.issuer.token("two"))
        assert running.asked == ["/.well-known/openid-configuration", "/keys"]
        # Not again for each made-up token.
        with refused("InvalidIdentityToken"):
            ci.assume(role, running.issuer.token(header={"kid": "three"}))
        assert len(running.asked) == 2


def test_a_server_with_another_certificate(fetching: tuple[Sts, Path], tmp_path: Path) -> None:
    with published(tmp_path) as running:
        ci, role = ci_of(fetching[0], running, "0" * 40)
        with refused(
            "InvalidIdentityToken",
            "OpenIDConnect provider's HTTPS certificate doesn't match configured thumbprint",
        ):
            ci.assume(role)


@pytest.mark.parametrize(
    ("path", "status", "body", "why"),
    [
        ("/.well-known/openid-configuration", 500, b"", "it answers 500"),
        ("/.well-known/openid-configuration", 302, b"https://example.com/", "it answers 302"),
        ("/.well-known/openid-configuration", 200, b"[]", "its discovery document names no keys"),
        (
            "/.well-known/openid-configuration",
            200,
            b'{"issuer": "https://example.com", "jwks_uri": "https://localhost/keys"}',
            "its discovery document is of another issuer",
        ),
        ("/keys", 200, b" " * 300_000, "its answer is too large"),
    ],
)
def test_an_issuer_that_does_not_answer_as_it_should(
    fetching: tuple[Sts, Path], tmp_path: Path, path: str, status: int, body: bytes, why: str
) -> None:
    with published(tmp_path) as running:
        running.answers[path] = (status, body)
        ci, role = ci_of(fetching[0], running)
        with refused("IDPCommunicationError", f"The identity provider's keys cannot be fetched: {why}."):
            ci.assume(role)


def test_an_issuer_that_is_gone(fetching: tuple[Sts, Path], tmp_path: Path) -> None:
    with published(tmp_path) as running:
        ci, role = ci_of(fetching[0], running)
    with refused(
        "IDPCommunicationError", "The identity provider's keys cannot be fetched: ConnectionRefusedError."
    ):
        ci.assume(role)


def test_keys_are_fetched_from_configured_hosts_only(
    fetching: tuple[Sts, Path], sts: Sts, tmp_path: Path
) -> None:
    """By default, from those with public addresses."""
    with published(tmp_path) as running:
        ci, role = ci_of(sts, running)
        with refused(
            "IDPCommunicationError",
            "The identity provider's keys cannot be fetched: the server is not configured to reach this host.",
        ):
            ci.assume(role)
        issuer = Issuer("https://127.0.0.1")
        arn = (
            fetching[0]
            .of("admin", "iam")
            .create_open_id_connect_provider(Url=issuer.url, ClientIDList=[AUDIENCE])
        )
        role = fetching[0].role(trusting(arn["OpenIDConnectProviderArn"]))
        with refused(
            "IDPCommunicationError",
            "The identity provider's keys cannot be fetched: the server is not configured to reach this host.",
        ):
            Ci(fetching[0], issuer).assume(role)
        assert running.asked == []
