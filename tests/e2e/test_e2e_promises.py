"""How a newcomer tries Casemate: the AWS CLI and boto3, unmodified, against a server as the README starts it."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import botocore.auth
import pytest
from botocore.exceptions import ClientError
from e2e_support import (
    ACCOUNT,
    ADMIN,
    CLERK,
    CLERK_ARN,
    KEY_ID,
    MATERIAL,
    ROOT_MAY_ALL,
    STRANGER,
    aws,
    journal_of,
    policy,
    seed_file,
)
from server_support import Server, casemate, running_server

from casemate.services.iam.identities import AccessKey

KEY_ARN = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/{KEY_ID}"


@contextmanager
def refused(code: str, message: str | None = None) -> Iterator[None]:
    with pytest.raises(ClientError) as caught:
        yield
    error = caught.value.response["Error"]
    assert error["Code"] == code, error
    if message is not None:
        assert error["Message"] == message


def exports(server: Server) -> dict[str, str]:
    """What ``eval "$(casemate env)"`` sets."""
    shown = casemate("env", "--data", str(server.data))
    assert shown.returncode == 0, shown.stderr
    found = {}
    for line in shown.stdout.splitlines():
        if line.startswith("export "):
            name, _, value = line.removeprefix("export ").partition("=")
            found[name] = value.strip("'\"")
    return found


def test_the_first_minute_with_the_aws_cli(tmp_path: Path) -> None:
    """A server without a seed; a key, a file there and back, every refusal on the way; kill -9, and again."""
    (tmp_path / "policy.json").write_text(
        '{"Version": "2012-10-17", "Comment": "the plaintext to be looked for"}'
    )
    with running_server(tmp_path) as server:
        env = exports(server)
        assert env["AWS_ENDPOINT_URL"] == server.endpoint
        made = aws(env, "kms", "create-key", "--query", "KeyMetadata.KeyId", "--output", "text")
        assert made.returncode == 0, made.stderr
        key = made.stdout.strip()
        sealed = aws(
            env,
            *("kms", "encrypt", "--key-id", key, "--plaintext", "fileb://policy.json"),
            *("--output", "text", "--query", "CiphertextBlob"),
            cwd=tmp_path,
        )
        assert sealed.returncode == 0, sealed.stderr
        (tmp_path / "ExampleEncryptedFile").write_bytes(base64.b64decode(sealed.stdout))
        decrypt = (
            *("kms", "decrypt", "--ciphertext-blob", "fileb://ExampleEncryptedFile"),
            *("--output", "text", "--query", "Plaintext"),
        )
        opened = aws(env, *decrypt, cwd=tmp_path)
        assert base64.b64decode(opened.stdout) == (tmp_path / "policy.json").read_bytes(), opened.stderr
        wrong = aws(env, *decrypt, cwd=tmp_path, AWS_SECRET_ACCESS_KEY="wrong")
        assert "(InvalidSignatureException)" in wrong.stderr
        assert wrong.returncode != 0
        secure = aws(
            env,
            "sts",
            "get-caller-identity",
            AWS_ENDPOINT_URL=server.tls_endpoint,
            AWS_CA_BUNDLE=str(server.ca_bundle),
        )
        assert json.loads(secure.stdout)["Arn"].startswith("arn:aws:iam::"), secure.stderr
        server.kill()
    with running_server(tmp_path) as server:
        again = aws(exports(server), *decrypt, cwd=tmp_path)
        assert base64.b64decode(again.stdout) == (tmp_path / "policy.json").read_bytes(), again.stderr
        assert server.stop() == 0


def clients(server: Server) -> tuple[Any, Any, Any]:
    return server.client("kms", ADMIN), server.client("kms", CLERK), server.client("kms", STRANGER)


def test_a_second_principal_whom_the_key_policy_refuses(seeded: Server) -> None:
    admin, clerk, stranger = clients(seeded)
    deny = {
        "Effect": "Deny",
        "Principal": {"AWS": CLERK_ARN},
        "Action": ["kms:Decrypt", "kms:Encrypt"],
        "Resource": "*",
    }
    key = admin.create_key(Policy=policy(ROOT_MAY_ALL, deny))["KeyMetadata"]
    blob = admin.encrypt(KeyId=key["KeyId"], Plaintext=b"x")["CiphertextBlob"]
    message = (
        f"User: {CLERK_ARN} is not authorized to perform: kms:Decrypt on resource: {key['Arn']} "
        "with an explicit deny in a resource-based policy"
    )
    with refused("AccessDeniedException", message):
        clerk.decrypt(CiphertextBlob=blob)
    assert clerk.describe_key(KeyId=key["KeyId"])["KeyMetadata"]["Arn"] == key["Arn"], "the rest is allowed"
    with refused("AccessDeniedException"):
        stranger.decrypt(CiphertextBlob=blob)


def test_a_key_policy_that_names_nobody_lets_nobody(seeded: Server) -> None:
    admin, clerk, _ = clients(seeded)
    only_admin = {**ROOT_MAY_ALL, "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:user/admin"}}
    key = admin.create_key(Policy=policy(only_admin))["KeyMetadata"]
    message = (
        f"User: {CLERK_ARN} is not authorized to perform: kms:Encrypt on resource: {key['Arn']} "
        "because no resource-based policy allows the kms:Encrypt action"
    )
    with refused("AccessDeniedException", message):
        clerk.encrypt(KeyId=key["Arn"], Plaintext=b"x")


def test_a_wrong_secret_and_an_unknown_key(seeded: Server) -> None:
    with refused("InvalidSignatureException"):
        seeded.client("kms", AccessKey(ADMIN.id, "wrong")).list_keys()
    with refused("UnrecognizedClientException", "The security token included in the request is invalid."):
        seeded.client("kms", AccessKey("AKIAUNKNOWN000000000", ADMIN.secret)).list_keys()
    with refused("SignatureDoesNotMatch"):
        seeded.client("sts", AccessKey(ADMIN.id, "wrong")).get_caller_identity()


def test_an_expired_signature(seeded: Server) -> None:
    old = datetime.now(UTC) - timedelta(minutes=20)
    with (
        patch.object(botocore.auth, "get_current_datetime", lambda *_, **__: old),
        # With awscrt installed, botocore signs by it.
        patch.dict(botocore.auth.AUTH_TYPE_MAPS, {"v4": botocore.auth.SigV4Auth}),
        refused("InvalidSignatureException"),
    ):
        seeded.client("kms", ADMIN).list_keys()


def test_a_changed_encryption_context(seeded: Server) -> None:
    admin, _, _ = clients(seeded)
    blob = admin.encrypt(KeyId=KEY_ID, Plaintext=b"x", EncryptionContext={"tenant": "blue"})["CiphertextBlob"]
    for context in ({"tenant": "green"}, {}, {"tenant": "blue", "more": "1"}, {"Tenant": "blue"}):
        with refused("InvalidCiphertextException"):
            admin.decrypt(CiphertextBlob=blob, EncryptionContext=context)
    assert admin.decrypt(CiphertextBlob=blob, EncryptionContext={"tenant": "blue"})["Plaintext"] == b"x"


def test_a_disabled_key_and_one_pending_deletion(seeded: Server) -> None:
    admin, _, _ = clients(seeded)
    key = admin.create_key()["KeyMetadata"]
    blob = admin.encrypt(KeyId=key["KeyId"], Plaintext=b"x")["CiphertextBlob"]
    admin.disable_key(KeyId=key["KeyId"])
    with refused("DisabledException", f"{key['Arn']} is disabled."):
        admin.decrypt(CiphertextBlob=blob)
    admin.enable_key(KeyId=key["KeyId"])
    admin.schedule_key_deletion(KeyId=key["KeyId"], PendingWindowInDays=7)
    with refused("KMSInvalidStateException", f"{key['Arn']} is pending deletion."):
        admin.decrypt(CiphertextBlob=blob)
    admin.cancel_key_deletion(KeyId=key["KeyId"])
    admin.enable_key(KeyId=key["KeyId"])
    assert admin.decrypt(CiphertextBlob=blob)["Plaintext"] == b"x"


def test_what_is_not_served_says_so(seeded: Server) -> None:
    with refused("NotImplemented", "The operation iam:ListSSHPublicKeys is not served by Casemate."):
        seeded.client("iam", ADMIN).list_ssh_public_keys()
    for service, call in (("dynamodb", "list_tables"), ("ecs", "list_clusters"), ("rds", "describe_events")):
        with refused("NotImplemented"):
            getattr(seeded.client(service, ADMIN), call)()
    with pytest.raises(ClientError) as caught:
        seeded.client("cloudfront", ADMIN).list_distributions()
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501


def test_transport_security_is_true_by_tls_alone(seeded: Server) -> None:
    admin, _, _ = clients(seeded)
    deny = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "kms:GenerateDataKey",
        "Resource": "*",
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    key = admin.create_key(Policy=policy(ROOT_MAY_ALL, deny))["KeyMetadata"]["KeyId"]
    with refused("AccessDeniedException"):
        admin.generate_data_key(KeyId=key, KeySpec="AES_256")
    secure = seeded.client("kms", ADMIN, tls=True)
    assert len(secure.generate_data_key(KeyId=key, KeySpec="AES_256")["Plaintext"]) == 32
    with refused("AccessDeniedException"):
        admin.generate_data_key(KeyId=key, KeySpec="AES_256")


def test_a_condition_on_the_encryption_context_and_the_calling_account(seeded: Server) -> None:
    admin, clerk, stranger = clients(seeded)
    allow = {
        "Effect": "Allow",
        "Principal": {"AWS": "*"},
        "Action": "kms:Encrypt",
        "Resource": "*",
        "Condition": {"StringEquals": {"kms:EncryptionContext:tenant": "blue", "kms:CallerAccount": ACCOUNT}},
    }
    only_admin = {**ROOT_MAY_ALL, "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:user/admin"}}
    arn = admin.create_key(Policy=policy(only_admin, allow))["KeyMetadata"]["Arn"]
    assert clerk.encrypt(KeyId=arn, Plaintext=b"x", EncryptionContext={"tenant": "blue"})["KeyId"] == arn
    with refused("AccessDeniedException"):
        clerk.encrypt(KeyId=arn, Plaintext=b"x", EncryptionContext={"tenant": "green"})
    with refused("AccessDeniedException"):
        stranger.encrypt(KeyId=arn, Plaintext=b"x", EncryptionContext={"tenant": "blue"})


def test_via_service_is_not_for_clients_to_claim(seeded: Server) -> None:
    admin, clerk, _ = clients(seeded)
    allow = {
        "Effect": "Allow",
        "Principal": {"AWS": CLERK_ARN},
        "Action": "kms:Encrypt",
        "Resource": "*",
        "Condition": {"StringEquals": {"kms:ViaService": "secretsmanager.us-east-1.amazonaws.com"}},
    }
    only_admin = {**ROOT_MAY_ALL, "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:user/admin"}}
    arn = admin.create_key(Policy=policy(only_admin, allow))["KeyMetadata"]["Arn"]

    def claim(request: Any, **_: Any) -> None:
        for name in ("Kms-ViaService", "X-Amz-Via-Service", "X-Amz-Source-Service", "Via"):
            request.headers.add_header(name, "secretsmanager.us-east-1.amazonaws.com")

    clerk.meta.events.register("before-sign.kms.Encrypt", claim)
    with refused("AccessDeniedException"):
        clerk.encrypt(KeyId=arn, Plaintext=b"x")


def test_nothing_secret_stands_in_the_data_directory(tmp_path: Path) -> None:
    """All of it is read, byte by byte: as it is, and as a database, a journal or a log might encode it."""
    plaintext = b"a plaintext that may be nowhere on disk"
    context = "an encryption context is no secret"
    with running_server(tmp_path, "--seed", str(seed_file(tmp_path))) as server:
        admin, clerk, stranger = clients(server)
        secrets = {"plaintext": plaintext}
        blob = admin.encrypt(KeyId=KEY_ID, Plaintext=plaintext, EncryptionContext={"note": context})
        admin.decrypt(CiphertextBlob=blob["CiphertextBlob"], EncryptionContext={"note": context})
        data_key = admin.generate_data_key(KeyId=KEY_ID, KeySpec="AES_256")
        secrets["data key"] = data_key["Plaintext"]
        secrets["random bytes"] = clerk.generate_random(NumberOfBytes=32)["Plaintext"]
        secrets["the key's material"] = base64.b64decode(MATERIAL)
        for name, key in (("admin", ADMIN), ("clerk", CLERK), ("stranger", STRANGER)):
            secrets[f"{name}'s secret access key"] = key.secret.encode()
        for bad in (CLERK, STRANGER):
            with pytest.raises(ClientError):
                server.client("kms", AccessKey(bad.id, bad.secret + "?")).encrypt(
                    KeyId=KEY_ID, Plaintext=plaintext
                )
        with pytest.raises(ClientError):
            stranger.encrypt(KeyId=KEY_ARN, Plaintext=plaintext)
        with pytest.raises(ClientError):
            admin.encrypt(KeyId=KEY_ID, Plaintext=plaintext * 200)

        def search(*also: Path) -> None:
            files = [path for path in server.data.rglob("*") if path.is_file()]
            assert any(path.name == "casemate.db" for path in files)
            assert any(path.parent.name == "journal" for path in files)
            for path in [*files, *also]:
                content = path.read_bytes()
                for what, secret in secrets.items():
                    if path.name.startswith("credentials") and "admin's" in what:
                        continue
                    for form in (secret, base64.b64encode(secret), secret.hex().encode()):
                        assert form.rstrip(b"=") not in content, f"{what} stands in {path}"

        log = tmp_path / "server.log"
        search(log)
        server.kill()
        search(log)
    records = b"\n".join(journal_of(tmp_path / "data"))
    assert context.encode() in records, "the journal is what it should be"
    for what, secret in secrets.items():
        for form in (secret, base64.b64encode(secret), secret.hex().encode()):
            assert form.rstrip(b"=") not in records, f"{what} stands in an audit record"


def test_what_a_data_directory_holds_is_for_its_owner_alone(seeded: Server) -> None:
    public = {"ca.pem", "cert.pem", "server.json"}
    for path in [seeded.data, *seeded.data.rglob("*")]:
        if path.is_symlink() or path.name in public:
            continue
        assert path.stat().st_mode & 0o077 == 0 or path.parent.stat().st_mode & 0o077 == 0, f"{path} is open"
    assert seeded.data.stat().st_mode & 0o077 == 0
