"""The AWS Encryption SDK as ``casemate encrypt`` and ``decrypt`` use it: keys, caching, and what went wrong."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from casemate.cli.problems import CommandError

if TYPE_CHECKING:
    import argparse

    from botocore.session import Session

FRAME_BYTES = 65_536
"""A frame's plaintext. The SDKs' default of 4 KiB takes four times as long in Python."""
LARGEST_FRAME = 64 * 1024 * 1024
"""A frame is held in memory until it is authenticated; messages with larger ones are refused."""
MOST_DATA_KEYS = 32
"""Each encrypted data key of a message may cost a call to KMS."""
CACHED_SECONDS = 300.0

_CAPACITY = 1000
_KEY_ARN = re.compile(r"arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/.+")
_OF_ENVIRONMENT = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_KMS", "AWS_ACCESS_KEY_ID", "AWS_PROFILE")


class Caching(NamedTuple):
    """How long and for how much data keys are used again: seconds, messages, bytes of plaintext."""

    age: float = CACHED_SECONDS
    messages: int | None = None
    bytes: int | None = None


class Kms:
    """KMS at the server or in the account that the environment means. error: the last refusal it gave."""

    def __init__(self, options: argparse.Namespace) -> None:
        try:
            import aws_encryption_sdk  # noqa: F401
        except ImportError:
            raise CommandError(
                "this needs the AWS Encryption SDK", "Install it: pip install 'casemate[encryption]'"
            ) from None
        # It logs its exceptions with tracebacks, which Python prints where nobody has said what to do with them.
        sdk = logging.getLogger("aws_encryption_sdk")
        sdk.addHandler(logging.NullHandler())
        sdk.propagate = False
        self.error: Mapping[str, str] = {}
        self.session = _session(options)
        self.session.register("after-call.kms", self._note)

    def _note(self, **event: Any) -> None:
        self.error = event["parsed"].get("Error", {})

    def encrypting(self, key_ids: Sequence[str], caching: Caching | None) -> Any:
        """A materials manager. key_ids: the first makes the data keys, and all of them can decrypt."""
        from aws_encryption_sdk import StrictAwsKmsMasterKeyProvider

        return _cached(
            StrictAwsKmsMasterKeyProvider(botocore_session=self.session, key_ids=list(key_ids)), caching
        )

    def decrypting(self, key_ids: Sequence[str], caching: Caching | None) -> Any:
        """A materials manager. key_ids: the only keys that are used; without them, whichever the message names."""
        from aws_encryption_sdk import DiscoveryAwsKmsMasterKeyProvider, StrictAwsKmsMasterKeyProvider

        if not key_ids:
            return _cached(DiscoveryAwsKmsMasterKeyProvider(botocore_session=self.session), caching)
        arns = [self._arn(key_id) for key_id in key_ids]
        return _cached(StrictAwsKmsMasterKeyProvider(botocore_session=self.session, key_ids=arns), caching)

    def _arn(self, key_id: str) -> str:
        """A message names its keys by their ARNs."""
        if _KEY_ARN.fullmatch(key_id):
            return key_id
        from botocore.exceptions import BotoCoreError, ClientError

        region = key_id.split(":")[3] if key_id.count(":") >= 5 else None
        try:
            # boto3-stubs know clients of boto3's sessions only.
            client: Any = self.session.create_client("kms", region_name=region)
            return str(client.describe_key(KeyId=key_id)["KeyMetadata"]["Arn"])
        except (BotoCoreError, ClientError) as error:
            raise CommandError(f"{key_id}: {error}") from None

    def reason(self, error: Exception) -> str:
        """Why a file could not be encrypted or decrypted, in one line."""
        from aws_encryption_sdk import exceptions
        from cryptography.exceptions import InvalidSignature, InvalidTag

        of_keys = exceptions.GenerateKeyError, exceptions.EncryptKeyError, exceptions.DecryptKeyError
        if self.error and isinstance(error, of_keys):
            return f"KMS refused it: {self.error.get('Code', '')}: {self.error.get('Message', '')}".rstrip(
                ": "
            )
        if isinstance(error, InvalidTag | InvalidSignature):
            return "it is not as it was encrypted"
        if isinstance(error, exceptions.CustomMaximumValueExceeded):
            return str(error)
        if isinstance(error, exceptions.ActionNotAllowedError):
            return "it does not commit to its key (--allow-no-commitment decrypts it nevertheless)"
        if isinstance(error, exceptions.SerializationError | exceptions.NotSupportedError):
            return "it is no message of the AWS Encryption SDK, or is cut short"
        return str(error) or type(error).__name__


def client(*, allow_no_commitment: bool = False) -> Any:
    """The SDK's client: messages commit to their key, both ways unless older ones are to be read."""
    from aws_encryption_sdk import CommitmentPolicy, EncryptionSDKClient

    policy = (
        CommitmentPolicy.REQUIRE_ENCRYPT_ALLOW_DECRYPT
        if allow_no_commitment
        else CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT
    )
    return EncryptionSDKClient(commitment_policy=policy, max_encrypted_data_keys=MOST_DATA_KEYS)


def _cached(provider: Any, caching: Caching | None) -> Any:
    sdk: Any = import_module("aws_encryption_sdk")
    if caching is None:
        return import_module("aws_encryption_sdk.materials_managers.default").DefaultCryptoMaterialsManager(
            provider
        )
    limits = {"max_messages_encrypted": caching.messages, "max_bytes_encrypted": caching.bytes}
    return sdk.CachingCryptoMaterialsManager(
        master_key_provider=provider,
        cache=sdk.LocalCryptoMaterialsCache(_CAPACITY),
        max_age=caching.age,
        **{name: value for name, value in limits.items() if value is not None},
    )


def _session(options: argparse.Namespace) -> Session:
    """As AWS's environment says or, where it says nothing or --data names one, for the data directory's server."""
    from botocore.session import Session

    if not options.data and not options.config and any(os.environ.get(name) for name in _OF_ENVIRONMENT):
        return Session()

    from casemate.cli.env import variables
    from casemate.cli.settings import settings

    found = variables(settings(options), tls=False)

    class OfServer(Session):
        def create_client(self, *args: Any, **more: Any) -> Any:
            return super().create_client(*args, **{**more, "endpoint_url": found["AWS_ENDPOINT_URL"]})

    session = OfServer()
    session.set_credentials(found["AWS_ACCESS_KEY_ID"], found["AWS_SECRET_ACCESS_KEY"])
    session.set_config_variable("region", found["AWS_REGION"])
    if "AWS_CA_BUNDLE" in found:
        session.set_config_variable("ca_bundle", found["AWS_CA_BUNDLE"])
    return session
