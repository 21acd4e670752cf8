"""What a request acts on: one resolver for each way in which KMS's operations name it.

A resource that does not exist is one without a policy, and with the error that a caller gets who would be allowed
to use it: of another account's keys and aliases, nobody learns whether they exist.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from casemate.engine.envelope.errors import BadCiphertext
from casemate.engine.envelope.message import Header, read_header
from casemate.engine.keys.specs import ENCRYPT_DECRYPT, SYMMETRIC_DEFAULT
from casemate.engine.policy import Grade
from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.gate.operation import Repeated
from casemate.gate.regions import partition_of
from casemate.gate.resource import Resource, Value
from casemate.services.kms.key import Key, context_keys, of_context, of_request, request_alias
from casemate.services.kms.keys import Keys
from casemate.services.kms.managed import on_first_use
from casemate.services.kms.naming import KeyName, alias_arn, key_arn, parse_key_name
from casemate.services.kms.refusals import (
    constraint,
    incorrect_key,
    invalid_arn,
    invalid_ciphertext,
    invalid_key_id,
    no_alias,
    no_ciphertext_key,
    no_key,
    other_region,
)

if TYPE_CHECKING:
    from casemate.api import kms


def absent(arn: str, account: str, error: AwsError) -> Key:
    """In place of a key that is not there. No handler ever sees it: the gate refuses the caller, or raises the
    error."""
    return cast("Key", Resource(arn, account, missing=error))


def place(call: Call, name: KeyName) -> str:
    """The account that the name means. Raises NotFoundException for another Region's ARN, InvalidArnException for
    another partition's."""
    if not name.region:
        return call.account
    if name.region != call.region:
        raise other_region(name.region)
    if name.partition != partition_of(call.region):
        raise invalid_arn(f"arn:{name.partition}:kms:{name.region}")
    return name.account


def key_named(call: Call, text: str) -> Key:
    """The key that any of the four ways names, in any account."""
    name = parse_key_name(text)
    account = place(call, name)
    region = call.region
    keys = call.part(Keys)
    key_id = name.key_id
    if not key_id:
        alias = keys.find_alias(call, account, region, name.alias)
        if alias is None and account == call.account:
            alias = on_first_use(call, name.alias)
        if alias is None:
            arn = alias_arn(account, region, name.alias)
            return absent(arn, account, no_alias(arn))
        key_id = alias.key_id
    key = keys.find(call, account, region, key_id)
    if key is None:
        arn = key_arn(account, region, key_id)
        return absent(arn, account, no_key(arn))
    if name.alias and account != call.account:
        # A refusal that named the key would tell that the alias exists, and of which key.
        key = copy(key)
        key.shown = alias_arn(account, region, name.alias)
    return key


def named_key(call: Call, request: Mapping[str, Any]) -> Key:
    """KeyId, in any of the four ways, in any account: for operations that AWS allows across accounts."""
    return key_named(call, request["KeyId"])


def _only_by_id(text: str) -> KeyName:
    """Of operations that take no aliases."""
    name = parse_key_name(text)
    if name.alias:
        if name.region:
            raise AwsError("InvalidArnException", "Key Aliases are not supported for this operation")
        raise invalid_key_id(text)
    return name


def key_by_id(call: Call, request: Mapping[str, Any]) -> Key:
    """KeyId, as an id or an ARN, in any account."""
    _only_by_id(request["KeyId"])
    return key_named(call, request["KeyId"])


def own_key_named(call: Call, text: str) -> Key:
    """The caller's own key, by its id or ARN. Another account's is refused whatever its policy says, as AWS
    documents of operations without cross-account use."""
    name = _only_by_id(text)
    account = place(call, name)
    if account != call.account:
        arn = key_arn(account, call.region, name.key_id)
        return absent(arn, account, no_key(arn))
    return key_named(call, text)


def own_key(call: Call, request: Mapping[str, Any]) -> Key:
    """KeyId, as own_key_named."""
    return own_key_named(call, request["KeyId"])


# --- ciphertexts


class Sealed(NamedTuple):
    """A ciphertext and its key. material: the id of the backing key that opens it, '' where an RSA key does; blob:
    b"" where there is no ciphertext, in a dry run that ignores it."""

    key: Key
    material: str
    blob: bytes
    algorithm: kms.EncryptionAlgorithmSpec = SYMMETRIC_DEFAULT


def sealed_by(
    call: Call, request: Mapping[str, Any], key_id: str | None, algorithm: kms.EncryptionAlgorithmSpec
) -> Sealed:
    """The key that encrypted CiphertextBlob. key_id: what the request says it is, None where it says nothing, which
    it may for the algorithm of symmetric keys only: what was encrypted with an RSA key tells nothing of it.

    Raises InvalidCiphertextException, AccessDeniedException for a key of another Region, and IncorrectKeyException
    when the request names another key. A key that does not exist is a stand-in: anybody can write a header, and is
    not to learn by it which keys another account has.
    """
    blob: bytes | None = request.get("CiphertextBlob")
    if request.get("DryRun") and "IGNORE_CIPHERTEXT" in request.get("DryRunModifiers", ()):
        if key_id is None:
            raise constraint("keyId", None, "Member must not be null")
        return Sealed(key_named(call, key_id), "", b"", algorithm)
    if blob is None:
        raise constraint("ciphertextBlob", None, "Member must not be null")
    if algorithm != SYMMETRIC_DEFAULT:
        if key_id is None:
            raise constraint("keyId", None, "Member must not be null")
        return Sealed(key_named(call, key_id), "", blob, algorithm)
    header, name = _told_by(request, blob)
    if key_id is not None:
        other = _other_key(call, key_id, name)
        if other is not None:
            return Sealed(other, "", b"")
    if name.partition != partition_of(call.region):
        raise no_ciphertext_key()
    if name.region != call.region and not name.key_id.startswith("mrk-"):
        raise no_ciphertext_key()
    # Of a multi-Region key's ciphertexts, the related key of this Region opens any other's.
    key = call.part(Keys).find(call, name.account, call.region, name.key_id)
    if key is None:
        arn = key_arn(name.account, call.region, name.key_id)
        return Sealed(absent(arn, name.account, no_ciphertext_key()), "", b"")
    return Sealed(key, header.backing_id, blob)


def _told_by(request: Mapping[str, Any], blob: bytes) -> tuple[Header, KeyName]:
    """What a ciphertext says of its key. Raises InvalidCiphertextException."""
    repeated = type(request) is Repeated
    if repeated and request.read is not None:  # type: ignore[attr-defined]
        told: tuple[Header, KeyName] = request.read  # type: ignore[attr-defined]
        return told
    try:
        header = read_header(blob)
        name = parse_key_name(header.key_arn)
    except (BadCiphertext, AwsError):
        raise invalid_ciphertext() from None
    if not name.account or not name.key_id:
        raise invalid_ciphertext()
    if repeated:
        request.read = (header, name)  # type: ignore[attr-defined]
    return header, name


def _other_key(call: Call, text: str, sealed: KeyName) -> Key | None:
    """None when the text names the ciphertext's key; else what stands in for it."""
    name = parse_key_name(text)
    account = place(call, name)
    if name.key_id:
        # A short id may be that of another account's key. Nothing is looked up, so nothing is told.
        if name.key_id != sealed.key_id or (name.account and name.account != sealed.account):
            raise incorrect_key()
        return None
    alias = call.part(Keys).find_alias(call, account, call.region, name.alias)
    arn = alias_arn(account, call.region, name.alias)
    if alias is None:
        return absent(arn, account, no_alias(arn))
    if (account, alias.key_id) != (sealed.account, sealed.key_id):
        return absent(arn, account, incorrect_key())
    return None


def ciphertext_key(call: Call, request: Mapping[str, Any]) -> Sealed:
    """Decrypt's: the key that the blob names; KeyId, if given, must be the same. The RSA key that KeyId names."""
    algorithm = request.get("EncryptionAlgorithm", SYMMETRIC_DEFAULT)
    return sealed_by(call, request, request.get("KeyId"), algorithm)


class Side(Resource):
    """One of the two keys of a re-encryption, with its own encryption context, algorithm and name."""

    __slots__ = ("_algorithm", "_context", "_key", "_name", "_same")

    def __init__(
        self, key: Key, context: Mapping[str, str] | None, name: str | None, algorithm: str, same: bool
    ) -> None:
        super().__init__(
            key.arn, key.account, policy=key.policy, guarded=key.guarded, type=key.type, missing=key.missing
        )
        self.shown = key.shown
        self._key = key
        self._context = context
        self._name = name
        self._algorithm = algorithm
        self._same = same

    @property
    def outside_rcps(self) -> bool:
        return self._key.outside_rcps

    def tags(self) -> Mapping[str, str]:
        return self._key.tags()

    def granted(self, action: str, call: Call, request: Mapping[str, Any]) -> Grade:
        if self.missing is not None:
            return Grade.NONE
        return self._key.granted_with(action, call, request, self._context)

    def condition(self, key: str, call: Call, request: Mapping[str, Any]) -> Value:
        if key.startswith("kms:encryptioncontext:"):
            return of_context(key, self._context)
        if key == "kms:encryptioncontextkeys":
            return context_keys(self._context)
        if key == "kms:requestalias":
            return request_alias(self._name)
        if key == "kms:encryptionalgorithm":
            return self._algorithm
        if key == "kms:reencryptonsamekey":
            return "true" if self._same else "false"
        return self._key.condition(key, call, request)


class ReEncryption(NamedTuple):
    """A re-encryption's two sides, as authorised and as used."""

    source_side: Side
    destination_side: Side
    source: Sealed
    destination: Key


def re_encryption(call: Call, request: Mapping[str, Any]) -> ReEncryption:
    """ReEncrypt's: the key of the blob (SourceKeyId, if given, must be the same) and the destination."""
    algorithm = request.get("SourceEncryptionAlgorithm", SYMMETRIC_DEFAULT)
    source = sealed_by(call, request, request.get("SourceKeyId"), algorithm)
    destination = key_named(call, request["DestinationKeyId"])
    same = source.key.arn == destination.arn
    return ReEncryption(
        Side(
            source.key,
            request.get("SourceEncryptionContext"),
            request.get("SourceKeyId"),
            algorithm,
            same,
        ),
        Side(
            destination,
            request.get("DestinationEncryptionContext"),
            request["DestinationKeyId"],
            request.get("DestinationEncryptionAlgorithm", SYMMETRIC_DEFAULT),
            same,
        ),
        source,
        destination,
    )


# --- the account as a whole


class AccountWide(Resource):
    """For operations on no particular resource: "*" in policies."""

    __slots__ = ()

    def condition(self, key: str, call: Call, request: Mapping[str, Any]) -> Value:
        return of_request(key, call, request)


def account_wide(call: Call, request: Mapping[str, Any]) -> AccountWide:
    """The caller's account."""
    return AccountWide("*", call.account)


class NewKey(Resource):
    """The key that CreateKey would make, as the request describes it. tagged: what kms:TagResource is needed on,
    None for a key without tags."""

    __slots__ = ("tagged",)

    tagged: NewKey | None

    def condition(self, key: str, call: Call, request: Mapping[str, Any]) -> Value:
        if key in ("kms:keyspec", "kms:customermasterkeyspec"):
            return str(request.get("KeySpec", request.get("CustomerMasterKeySpec", SYMMETRIC_DEFAULT)))
        if key in ("kms:keyusage", "kms:customermasterkeyusage"):
            return str(request.get("KeyUsage", ENCRYPT_DECRYPT))
        if key == "kms:keyorigin":
            return str(request.get("Origin", "AWS_KMS"))
        if key == "kms:multiregion":
            return "true" if request.get("MultiRegion") else "false"
        return of_request(key, call, request)


def new_key(call: Call, request: Mapping[str, Any]) -> NewKey:
    """CreateKey's."""
    target = NewKey("*", call.account)
    target.tagged = None
    if request.get("Tags"):
        # Any of the account's keys, since the new one has no id yet.
        target.tagged = NewKey(key_arn(call.account, call.region, "*"), call.account)
    return target
