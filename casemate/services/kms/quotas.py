"""KMS's quotas, per account and Region. Source: "Request quotas", "Resource quotas", as of November 2026.

Codes are AWS's, as far as they could be found in public; those of the others begin with ``L-CM`` and say so in
docs/services/service-quotas.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.gate.operation import Charges
from casemate.gate.quotas import Quota, ServiceQuotas

SYMMETRIC, RSA, ECC, ML_DSA, ML_KEM = (
    f"CryptographicOperations{kind}" for kind in ("Symmetric", "Rsa", "Ecc", "MlDsa", "MlKem")
)

_STORES = {"AWS_CLOUDHSM": "CustomKeyStore", "EXTERNAL_KEY_STORE": "ExternalKeyStore"}

_CHINA = ("cn-north-1", "cn-northwest-1")


def _resource(code: str, name: str, value: float, **more: Any) -> Quota:
    return Quota("kms", code, name, value, **more)


KEYS = _resource(
    "L-C2F1777E",
    "Customer Master Keys (CMKs)",
    100_000,
    description="Customer managed keys in the Region, whatever their kind and state.",
)
ALIASES_PER_KEY = _resource("L-340F62FB", "Aliases per CMK", 50, description="Aliases of one key.")
GRANTS_PER_KEY = _resource("L-D594A657", "Grants per CMK", 50_000, description="Grants on one key.")
KEY_STORES = _resource("L-F33DCFEB", "Custom Key Stores", 10, description="Custom key stores in the Region.")
ROTATIONS_PER_KEY = _resource(
    "L-0E66C9C0",
    "On-demand rotations per CMK",
    25,
    adjustable=False,
    description="On-demand rotations of one key.",
)
POLICY_SIZE = _resource(
    "L-CM000001",
    "Key policy document size",
    32,
    adjustable=False,
    unit="Kilobytes",
    description="Size of a key policy, in units of 1 024 bytes.",
)


def _shared(
    counts: str, code: str, kind: str, value: float, by_region: Mapping[str, float] | None = None
) -> Quota:
    return Quota(
        "kms",
        code,
        f"Cryptographic operations ({kind}) request rate",
        value,
        by_region or {},
        counts=counts,
        description=f"Cryptographic operations with {kind} keys a second, all of them together.",
    )


def _pairs(spec: str, code: str, value: float, in_china: float | None = None) -> Quota:
    return Quota(
        "kms",
        code,
        f"GenerateDataKeyPair ({spec}) request rate",
        value,
        {} if in_china is None else dict.fromkeys(_CHINA, in_china),
        counts=f"GenerateDataKeyPair{spec}",
        description="GenerateDataKeyPair and GenerateDataKeyPairWithoutPlaintext a second, together.",
    )


def _rate(operation: str, value: float, code: str) -> Quota:
    return Quota(
        "kms",
        code,
        f"{operation} request rate",
        value,
        counts=operation,
        description=f"{operation} requests a second.",
    )


_SYMMETRIC_RATES = {
    **dict.fromkeys(("us-east-1", "us-west-2", "eu-west-1"), 100_000.0),
    **dict.fromkeys(
        ("us-east-2", "ap-southeast-1", "ap-southeast-2", "ap-northeast-1", "eu-central-1", "eu-west-2"),
        20_000.0,
    ),
}

_REQUESTS = (
    _shared(SYMMETRIC, "L-6E3AF000", "symmetric", 10_000, _SYMMETRIC_RATES),
    _shared(RSA, "L-2AC98190", "RSA", 1_000),
    _shared(ECC, "L-DC14942D", "ECC and SM2", 1_000),
    _shared(ML_DSA, "L-CM000002", "ML-DSA", 1_000),
    # AWS's page does not tell this one: as with the other kinds of asymmetric keys.
    _shared(ML_KEM, "L-CM000034", "ML-KEM", 1_000),
    Quota(
        "kms",
        "L-CM000035",
        "AWS CloudHSM key store request rate",
        1_800,
        adjustable=False,
        counts=_STORES["AWS_CLOUDHSM"],
        description="Cryptographic operations a second with the keys of one AWS CloudHSM key store.",
    ),
    Quota(
        "kms",
        "L-CM000036",
        "External key store request rate",
        1_800,
        counts=_STORES["EXTERNAL_KEY_STORE"],
        description="Cryptographic operations a second with the keys of one external key store.",
    ),
    _pairs("ECC_NIST_P256", "L-D2EEB5E0", 100),
    _pairs("ECC_NIST_P384", "L-16B46EF0", 100),
    _pairs("ECC_NIST_P521", "L-1D966DA0", 100),
    _pairs("ECC_SECG_P256K1", "L-CM000003", 100),
    _pairs("ECC_NIST_EDWARDS25519", "L-CM000004", 100),
    _pairs("RSA_2048", "L-CM000005", 20, 1),
    _pairs("RSA_3072", "L-CM000006", 4, 0.5),
    _pairs("RSA_4096", "L-CM000007", 1, 0.1),
    _pairs("SM2", "L-CM000008", 25),
    _rate("CancelKeyDeletion", 5, "L-635264CC"),
    _rate("ConnectCustomKeyStore", 5, "L-705B9E79"),
    _rate("CreateAlias", 5, "L-F7504F73"),
    _rate("CreateCustomKeyStore", 5, "L-08932E37"),
    _rate("CreateGrant", 50, "L-0428A42E"),
    _rate("CreateKey", 5, "L-32B67F4A"),
    _rate("DeleteAlias", 15, "L-1F75ADD1"),
    _rate("DeleteCustomKeyStore", 5, "L-E99520CB"),
    _rate("DeleteImportedKeyMaterial", 15, "L-1233BF9B"),
    _rate("DescribeCustomKeyStores", 5, "L-E20AA94C"),
    _rate("DescribeKey", 2_000, "L-FAE8F084"),
    _rate("DisableKey", 5, "L-6B8C93BD"),
    _rate("DisableKeyRotation", 5, "L-CE1DB614"),
    _rate("DisconnectCustomKeyStore", 5, "L-9F1FCF6D"),
    _rate("EnableKey", 5, "L-BD96F100"),
    _rate("EnableKeyRotation", 15, "L-BE799B67"),
    _rate("GetKeyLastUsage", 5, "L-CM000009"),
    _rate("GetKeyPolicy", 1_000, "L-CM000010"),
    _rate("GetKeyRotationStatus", 1_000, "L-CM000011"),
    _rate("GetParametersForImport", 1, "L-CM000012"),
    _rate("GetPublicKey", 2_000, "L-CM000013"),
    _rate("ImportKeyMaterial", 15, "L-CM000014"),
    _rate("ListAliases", 500, "L-CM000015"),
    _rate("ListGrants", 100, "L-CM000016"),
    _rate("ListKeyPolicies", 100, "L-CM000017"),
    _rate("ListKeyRotations", 100, "L-CM000018"),
    _rate("ListKeys", 500, "L-CM000019"),
    _rate("ListResourceTags", 2_000, "L-CM000020"),
    _rate("ListRetirableGrants", 100, "L-CM000021"),
    _rate("PutKeyPolicy", 15, "L-CM000022"),
    _rate("ReplicateKey", 5, "L-CM000023"),
    _rate("RetireGrant", 50, "L-CM000024"),
    _rate("RevokeGrant", 50, "L-CM000025"),
    _rate("RotateKeyOnDemand", 5, "L-CM000026"),
    _rate("ScheduleKeyDeletion", 15, "L-CM000027"),
    _rate("TagResource", 10, "L-CM000028"),
    _rate("UntagResource", 5, "L-CM000029"),
    _rate("UpdateAlias", 5, "L-CM000030"),
    _rate("UpdateCustomKeyStore", 5, "L-CM000031"),
    _rate("UpdateKeyDescription", 5, "L-CM000032"),
    _rate("UpdatePrimaryRegion", 5, "L-CM000033"),
)

QUOTAS = ServiceQuotas(
    "kms",
    "AWS Key Management Service (AWS KMS)",
    (KEYS, ALIASES_PER_KEY, GRANTS_PER_KEY, KEY_STORES, ROTATIONS_PER_KEY, POLICY_SIZE, *_REQUESTS),
    "You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls.",
)


def must_be_within(call: Call, quota: Quota, count: int, what: str, region: str = "") -> None:
    """Raises LimitExceededException when so many are more than the quota allows the caller. what: "keys"; region: the
    call's unless given."""
    limit = int(call.limit(quota, region))
    if count > limit:
        raise AwsError("LimitExceededException", f"The quota for {what} is {limit}.")


def _of_spec(spec: str) -> str:
    if spec.startswith("RSA_"):
        return RSA
    if spec.startswith("ML_DSA_"):
        return ML_DSA
    if spec.startswith("ML_KEM_"):
        return ML_KEM
    if spec.startswith("ECC_") or spec == "SM2":
        return ECC
    return SYMMETRIC


def cryptographic(call: Call, request: Mapping[str, Any], target: Any) -> Charges:
    """What a cryptographic operation counts for: the quota of its key's kind. A re-encryption between two kinds of
    key counts for both; with one kind it is one request. What has no key (random bytes, a key that does not exist)
    counts as symmetric. A key in a custom key store counts for the store as well.

    target: what the resolver found: a key, what has one as ``key``, or a re-encryption."""
    row = getattr(target, "row", None)
    if row is not None:
        spec = row.key_spec
        own = (SYMMETRIC if spec == "SYMMETRIC_DEFAULT" else _of_spec(spec), call.region)
        if not row.custom_key_store:
            return (own,)
        return own, (f"{_STORES[row.origin]}/{row.custom_key_store}", call.region)
    source = getattr(target, "source", None)
    if source is None:
        key = getattr(target, "key", None)
        if key is not None:
            return cryptographic(call, request, key)
        store = request.get("CustomKeyStoreId")
        own = (SYMMETRIC, call.region)
        return (own,) if store is None else (own, (f"{_STORES['AWS_CLOUDHSM']}/{store}", call.region))
    both = (*cryptographic(call, request, source), *cryptographic(call, request, target.destination))
    return dict.fromkeys(both)


def key_pair(call: Call, request: Mapping[str, Any], target: Any) -> Charges:
    """What GenerateDataKeyPair and its sibling count for: the quota of the pair's kind."""
    return ((f"GenerateDataKeyPair{request['KeyPairSpec']}", call.region),)


def replica(call: Call, request: Mapping[str, Any], target: Any) -> Charges:
    """What ReplicateKey counts for: itself, and two times CreateKey where the replica is made."""
    there = ("CreateKey", str(request["ReplicaRegion"]))
    return (("ReplicateKey", call.region), there, there)


def primary_move(call: Call, request: Mapping[str, Any], target: Any) -> Charges:
    """What UpdatePrimaryRegion counts for: itself, in both Regions."""
    return (("UpdatePrimaryRegion", call.region), ("UpdatePrimaryRegion", str(request["PrimaryRegion"])))
