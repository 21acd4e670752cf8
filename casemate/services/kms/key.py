"""A KMS key in memory: what authorises its use, what is shown of it, and its material, ready to use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from casemate.engine.envelope.message import BackingKey
from casemate.engine.keys import SPECS, Material
from casemate.engine.keys.specs import (
    ENCAPSULATE_DECAPSULATE,
    ENCRYPT_DECRYPT,
    GENERATE_VERIFY_MAC,
    KEY_AGREEMENT,
    SIGN_VERIFY,
    SYMMETRIC_DEFAULT,
)
from casemate.engine.policy import Grade, Policy
from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.gate.conditions import iso_time
from casemate.gate.resource import Resource, Value
from casemate.services.kms import recipients
from casemate.services.kms.grant_conditions import OF_GRANTS, context_of, operation_of
from casemate.services.kms.grant_store import Grants
from casemate.services.kms.naming import key_arn, parse_key_name
from casemate.services.kms.rows import KeyRow, MaterialRow

if TYPE_CHECKING:
    from casemate.api import kms

ENABLED, DISABLED, PENDING_DELETION = "Enabled", "Disabled", "PendingDeletion"
PENDING_IMPORT, PENDING_REPLICA_DELETION = "PendingImport", "PendingReplicaDeletion"

_ENCRYPTING = frozenset(
    {
        *("Encrypt", "Decrypt", "ReEncrypt", "GenerateDataKey", "GenerateDataKeyWithoutPlaintext"),
        *("GenerateDataKeyPair", "GenerateDataKeyPairWithoutPlaintext"),
    }
)
_ALGORITHMS = {
    ENCRYPT_DECRYPT: "EncryptionAlgorithms",
    SIGN_VERIFY: "SigningAlgorithms",
    GENERATE_VERIFY_MAC: "MacAlgorithms",
    KEY_AGREEMENT: "KeyAgreementAlgorithms",
    ENCAPSULATE_DECAPSULATE: "EncapsulationAlgorithms",
}
"""What a key's algorithms are shown as, by its usage."""

_OWN_TAGS = "aws:requesttag/"
_CONTEXT = "kms:encryptioncontext:"


class Key(Resource):
    """A key as operations use it. Never changed: a change makes another row, which is loaded anew.

    aliases: names with their "alias/"; backing: of a symmetric encryption key, the versions of the material that are
    there, by id; material: of any other key, the one that it has, None while it has none; materials: what is stored
    of all versions, first to last; algorithms: those of its spec for its usage; regions: of a multi-Region key, where
    the related keys are, itself included; usable: its usage while it is enabled, else '';
    elsewhere: in a custom key store.
    """

    __slots__ = (
        *("algorithms", "aliases", "backing", "current", "elsewhere", "material", "materials"),
        *("regions", "row", "usable"),
    )

    current: BackingKey
    """The version for new messages; absent from a key whose state says that it has none here."""

    def __init__(
        self,
        row: KeyRow,
        policy: Policy,
        aliases: tuple[str, ...],
        backing: Mapping[str, BackingKey],
        *,
        material: Material | None = None,
        materials: tuple[MaterialRow, ...] = (),
        regions: tuple[str, ...] = (),
    ) -> None:
        super().__init__(row.arn, row.account, policy=policy, guarded=True, type="AWS::KMS::Key")
        self.row = row
        self.elsewhere = row.custom_key_store != ""
        self.aliases = aliases
        self.backing = backing
        self.material = material
        self.materials = materials
        self.regions = regions
        if row.current_material in backing:
            self.current = backing[row.current_material]
        self.algorithms = SPECS[row.key_spec].algorithms.get(row.key_usage, ())
        self.usable = row.key_usage if row.state == ENABLED else ""

    @property
    def outside_rcps(self) -> bool:
        """AWS managed keys are."""
        return self.row.manager == "AWS"

    def tags(self) -> Mapping[str, str]:
        return self.row.tags

    def condition(self, key: str, call: Call, request: Mapping[str, Any]) -> Value:
        of_key = _OF_KEY.get(key)
        if of_key is not None:
            return of_key(self)
        if key.startswith(_CONTEXT):
            return of_context(key, context_of(request))
        if key == "kms:encryptioncontextkeys":
            return context_keys(context_of(request))
        if key == "kms:requestalias":
            return request_alias(request.get("KeyId"))
        return of_request(key, call, request)

    def granted(self, action: str, call: Call, request: Mapping[str, Any]) -> Grade:
        return self.granted_with(action, call, request, request.get("EncryptionContext"))

    def granted_with(
        self, action: str, call: Call, request: Mapping[str, Any], context: Mapping[str, str] | None
    ) -> Grade:
        """``granted``, for a request with this encryption context."""
        return call.part(Grants).reach(call, self.row[:3], action, request, context)

    @property
    def lacks_material(self) -> bool:
        """Material that is to be imported, first or again, is not here."""
        return self.row.origin == "EXTERNAL" and (
            not self.materials or any(not each.present and not each.state for each in self.materials)
        )

    # What a key's state and usage allow. Source: "Key states of AWS KMS keys".

    def must_be_usable(self, operation: str, usage: str = ENCRYPT_DECRYPT) -> None:
        """For cryptographic operations: enabled, and of the right usage. Raises DisabledException,
        KMSInvalidStateException, InvalidKeyUsageException."""
        if self.usable == usage:
            return
        self.must_not_be_pending_deletion()
        self.must_not_be_pending_import()
        self.must_be_enabled()
        raise AwsError(
            "InvalidKeyUsageException",
            f"{self.arn} key usage is {self.row.key_usage} which is not valid for {operation}.",
        )

    def must_be_enabled(self) -> None:
        """For what a disabled key refuses. Raises DisabledException."""
        if self.row.state == DISABLED:
            raise AwsError("DisabledException", f"{self.arn} is disabled.")

    def must_not_be_pending_deletion(self) -> None:
        """Nor wait for its replicas' deletion. Raises KMSInvalidStateException."""
        if self.row.state == PENDING_DELETION:
            raise AwsError("KMSInvalidStateException", f"{self.arn} is pending deletion.")
        if self.row.state == PENDING_REPLICA_DELETION:
            raise AwsError("KMSInvalidStateException", f"{self.arn} is pending replica deletion.")

    def must_not_be_pending_import(self) -> None:
        """Raises KMSInvalidStateException."""
        if self.row.state == PENDING_IMPORT:
            raise AwsError("KMSInvalidStateException", f"{self.arn} is pending import.")

    def must_take(self, algorithm: str) -> None:
        """Raises InvalidKeyUsageException for an algorithm that this kind of key has not."""
        if algorithm not in self.algorithms:
            raise AwsError(
                "InvalidKeyUsageException",
                f"Algorithm {algorithm} is incompatible with key spec {self.row.key_spec}.",
            )

    def must_be_symmetric(self, operation: str) -> None:
        """For what RSA keys that encrypt do not do. Raises InvalidKeyUsageException."""
        if self.row.key_spec != SYMMETRIC_DEFAULT:
            raise AwsError(
                "InvalidKeyUsageException",
                f"{self.arn} key spec is {self.row.key_spec} which is not valid for {operation}.",
            )

    def metadata(self) -> kms.KeyMetadata:
        """What CreateKey and DescribeKey show."""
        row = self.row
        shown: dict[str, Any] = {
            "AWSAccountId": row.account,
            "KeyId": row.id,
            "Arn": self.arn,
            "CreationDate": datetime.fromtimestamp(row.created, UTC),
            "Enabled": row.state == ENABLED,
            "Description": row.description,
            "KeyUsage": row.key_usage,
            "KeyState": row.state,
            "Origin": row.origin,
            "KeyManager": row.manager,
            "CustomerMasterKeySpec": row.key_spec,
            "KeySpec": row.key_spec,
            **self.algorithms_shown(),
            "MultiRegion": bool(row.primary_region),
        }
        if row.primary_region:
            shown["MultiRegionConfiguration"] = self._related()
        if row.state == PENDING_REPLICA_DELETION:
            shown["PendingDeletionWindowInDays"] = row.deletion_window
        if row.current_material and row.key_spec == SYMMETRIC_DEFAULT:
            shown["CurrentKeyMaterialId"] = row.current_material
        if row.origin == "EXTERNAL" and not self.lacks_material:
            expiries = [
                each.valid_to for each in self.materials if each.valid_to is not None and not each.state
            ]
            shown["ExpirationModel"] = "KEY_MATERIAL_EXPIRES" if expiries else "KEY_MATERIAL_DOES_NOT_EXPIRE"
            if expiries:
                shown["ValidTo"] = datetime.fromtimestamp(min(expiries), UTC)
        if row.deletion_date is not None:
            shown["DeletionDate"] = datetime.fromtimestamp(row.deletion_date, UTC)
        return shown  # type: ignore[return-value]  # the row's strings are the model's enumerations

    def algorithms_shown(self) -> dict[str, list[str]]:
        """EncryptionAlgorithms, SigningAlgorithms, ..., as the key's usage has it."""
        return {_ALGORITHMS[self.row.key_usage]: list(self.algorithms)}

    def _related(self) -> kms.MultiRegionConfiguration:
        """Where the related keys of a multi-Region key are."""
        row = self.row
        ends: dict[str, kms.MultiRegionKey] = {
            region: {"Arn": key_arn(row.account, region, row.id), "Region": region} for region in self.regions
        }
        return {
            "MultiRegionKeyType": "PRIMARY" if row.is_primary else "REPLICA",
            "PrimaryKey": ends[row.primary_region],
            "ReplicaKeys": [end for region, end in ends.items() if region != row.primary_region],
        }


# --- condition keys, all in lower case. Source: "AWS KMS condition keys", "AWS global condition keys".


def _multi_region_type(key: Key) -> Value:
    if not key.row.primary_region:
        return None
    return "PRIMARY" if key.row.is_primary else "REPLICA"


_OF_KEY: Mapping[str, Callable[[Key], Value]] = {
    "kms:keyorigin": lambda key: key.row.origin,
    "kms:keyspec": lambda key: key.row.key_spec,
    "kms:keyusage": lambda key: key.row.key_usage,
    "kms:customermasterkeyspec": lambda key: key.row.key_spec,
    "kms:customermasterkeyusage": lambda key: key.row.key_usage,
    "kms:multiregion": lambda key: "true" if key.row.primary_region else "false",
    "kms:multiregionkeytype": _multi_region_type,
    "kms:resourcealiases": lambda key: key.aliases or None,
}


def via_service(call: Call) -> Value:
    """kms:ViaService: "ssm.us-east-1.amazonaws.com" when a service passes the caller's request on."""
    return f"{call.via[-1]}.{call.region}.amazonaws.com" if call.via else None


def of_context(key: str, context: Mapping[str, str] | None) -> Value:
    """kms:EncryptionContext:<name>. A condition's name has no case, an encryption context's names have: those
    that differ in case only are all meant."""
    if not context:
        return None
    name = key[len(_CONTEXT) :]
    found = [value for each, value in context.items() if each.lower() == name]
    return found[0] if len(found) == 1 else found or None


def context_keys(context: Mapping[str, str] | None) -> Value:
    return tuple(context) if context else None


def request_alias(name: str | None) -> Value:
    """kms:RequestAlias: the alias's name, when the request names the key by one, be it by its ARN."""
    return (parse_key_name(name).alias or None) if name is not None else None


def of_request(key: str, call: Call, request: Mapping[str, Any]) -> Value:
    """Condition keys that follow from the caller and the request, whatever it acts on."""
    of_call = _OF_CALL.get(key)
    if of_call is not None:
        return of_call(call, request)
    if key.startswith(_OWN_TAGS):
        name = key[len(_OWN_TAGS) :]
        for tag in request.get("Tags", ()):
            if tag["TagKey"].lower() == name:
                return str(tag["TagValue"])
    if key.startswith(recipients.CONDITIONS):
        return recipients.condition(key, call, request)
    return None


def _algorithm(call: Call, request: Mapping[str, Any]) -> Value:
    if operation_of(call) not in _ENCRYPTING:
        return None
    return str(request.get("EncryptionAlgorithm", SYMMETRIC_DEFAULT))


def _bypass(call: Call, request: Mapping[str, Any]) -> Value:
    if operation_of(call) not in ("CreateKey", "PutKeyPolicy"):
        return None
    return "true" if request.get("BypassPolicyLockoutSafetyCheck") else "false"


def _policy_name(call: Call, request: Mapping[str, Any]) -> Value:
    if operation_of(call) not in ("GetKeyPolicy", "PutKeyPolicy"):
        return None
    return str(request.get("PolicyName", "default"))


def _window(call: Call, request: Mapping[str, Any]) -> Value:
    return (
        str(request.get("PendingWindowInDays", 30)) if operation_of(call) == "ScheduleKeyDeletion" else None
    )


def _rotation_period(call: Call, request: Mapping[str, Any]) -> Value:
    return (
        str(request.get("RotationPeriodInDays", 365)) if operation_of(call) == "EnableKeyRotation" else None
    )


def _valid_to(call: Call, request: Mapping[str, Any]) -> Value:
    moment = request.get("ValidTo")
    return None if moment is None else iso_time(moment.timestamp())


def _expiration_model(call: Call, request: Mapping[str, Any]) -> Value:
    if operation_of(call) != "ImportKeyMaterial":
        return None
    return str(request.get("ExpirationModel", "KEY_MATERIAL_EXPIRES"))


def _message_type(call: Call, request: Mapping[str, Any]) -> Value:
    return str(request.get("MessageType", "RAW")) if operation_of(call) in ("Sign", "Verify") else None


def _tag_keys(call: Call, request: Mapping[str, Any]) -> Value:
    return (*(tag["TagKey"] for tag in request.get("Tags", ())), *request.get("TagKeys", ())) or None


_OF_CALL: Mapping[str, Callable[[Call, Mapping[str, Any]], Value]] = {
    "kms:calleraccount": lambda call, _: call.account,
    "kms:viaservice": lambda call, _: via_service(call),
    "kms:encapsulationalgorithm": lambda _, request: request.get("EncapsulationAlgorithm"),
    "kms:encryptionalgorithm": _algorithm,
    "kms:bypasspolicylockoutsafetycheck": _bypass,
    "kms:policyname": _policy_name,
    "kms:expirationmodel": _expiration_model,
    "kms:validto": _valid_to,
    "kms:wrappingalgorithm": lambda _, request: request.get("WrappingAlgorithm"),
    "kms:wrappingkeyspec": lambda _, request: request.get("WrappingKeySpec"),
    "kms:primaryregion": lambda _, request: request.get("PrimaryRegion"),
    "kms:replicaregion": lambda _, request: request.get("ReplicaRegion"),
    "kms:rotationperiodindays": _rotation_period,
    "kms:schedulekeydeletionpendingwindowindays": _window,
    "kms:datakeypairspec": lambda _, request: request.get("KeyPairSpec"),
    "kms:keyagreementalgorithm": lambda _, request: request.get("KeyAgreementAlgorithm"),
    "kms:macalgorithm": lambda _, request: request.get("MacAlgorithm"),
    "kms:messagetype": _message_type,
    "kms:signingalgorithm": lambda _, request: request.get("SigningAlgorithm"),
    "aws:tagkeys": _tag_keys,
    **OF_GRANTS,
}
