"""The quotas themselves: whole, unique, and one for whatever counts."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from casemate.errors import AwsError
from casemate.gate.operation import Operation
from casemate.gate.throttle import Throttle
from casemate.server.composition import APIS, QUOTAS
from casemate.services.kms import quotas as kms_quotas

EVERY = [quota for service in QUOTAS for quota in service.quotas]
COUNTED = {f"{quota.service}:{quota.counts}" for quota in EVERY if quota.counts}
KMS = [
    operation
    for api in APIS
    if api.service == "kms"
    for operation in api.operations
    if operation.served is not None
]


def test_codes_and_names_are_unique_in_their_service() -> None:
    assert len(EVERY) > 50
    assert len({(quota.service, quota.code) for quota in EVERY}) == len(EVERY)
    assert len({(quota.service, quota.name) for quota in EVERY}) == len(EVERY)
    assert len(COUNTED) == sum(bool(quota.counts) for quota in EVERY)
    for quota in EVERY:
        assert quota.value > 0
        assert quota.description


@pytest.mark.parametrize("operation", KMS, ids=repr)
def test_every_operation_of_kms_has_a_quota(operation: Operation[Any, Any]) -> None:
    served = operation.served
    assert served is not None
    if served.quota_of is None:
        assert served.quota in COUNTED
    else:
        assert served.quota_of in (
            *(kms_quotas.cryptographic, kms_quotas.key_pair),
            *(kms_quotas.replica, kms_quotas.primary_move),
        )


def _key(spec: str, origin: str = "AWS_KMS", store: str = "") -> Any:
    return SimpleNamespace(row=SimpleNamespace(key_spec=spec, origin=origin, custom_key_store=store))


def charged(charges: Any) -> list[tuple[str, str]]:
    return [(f"kms:{name}", region) for name, region in charges]


CALL: Any = SimpleNamespace(region="us-east-1")


@pytest.mark.parametrize(
    ("spec", "kind"),
    [
        ("SYMMETRIC_DEFAULT", "Symmetric"),
        ("HMAC_256", "Symmetric"),
        ("RSA_2048", "Rsa"),
        ("ECC_NIST_P256", "Ecc"),
        ("ECC_NIST_EDWARDS25519", "Ecc"),
        ("SM2", "Ecc"),
        ("ML_DSA_65", "MlDsa"),
        ("ML_KEM_768", "MlKem"),
    ],
)
def test_keys_count_by_their_kind(spec: str, kind: str) -> None:
    expected = [(f"kms:CryptographicOperations{kind}", "us-east-1")]
    assert expected[0][0] in COUNTED
    sealed = SimpleNamespace(key=_key(spec))
    for target in (_key(spec), sealed):
        assert charged(kms_quotas.cryptographic(CALL, {}, target)) == expected


@pytest.mark.parametrize(
    ("origin", "kind"), [("AWS_CLOUDHSM", "CustomKeyStore"), ("EXTERNAL_KEY_STORE", "ExternalKeyStore")]
)
def test_a_key_in_a_store_counts_for_the_store_too(origin: str, kind: str) -> None:
    key = _key("SYMMETRIC_DEFAULT", origin, "cks-1")
    assert charged(kms_quotas.cryptographic(CALL, {}, key)) == [
        ("kms:CryptographicOperationsSymmetric", "us-east-1"),
        (f"kms:{kind}/cks-1", "us-east-1"),
    ]
    throttle = Throttle({f"kms:{kind}": 1})
    throttle.take(f"kms:{kind}/cks-1", "111122223333", "us-east-1", "json", None)
    throttle.take(f"kms:{kind}/cks-2", "111122223333", "us-east-1", "json", None)
    with pytest.raises(AwsError):
        throttle.take(f"kms:{kind}/cks-1", "111122223333", "us-east-1", "json", None)


def test_what_has_no_key_counts_as_symmetric() -> None:
    absent = SimpleNamespace(arn="arn:aws:kms:us-east-1:111122223333:key/none")
    assert charged(kms_quotas.cryptographic(CALL, {}, absent)) == [
        ("kms:CryptographicOperationsSymmetric", "us-east-1")
    ]
    random = kms_quotas.cryptographic(CALL, {"CustomKeyStoreId": "cks-1"}, absent)
    assert charged(random)[1:] == [("kms:CustomKeyStore/cks-1", "us-east-1")]


def test_a_re_encryption_counts_for_each_kind_once() -> None:
    def both(source: str, destination: str) -> list[str]:
        target = SimpleNamespace(source=SimpleNamespace(key=_key(source)), destination=_key(destination))
        return [name for name, _ in charged(kms_quotas.cryptographic(CALL, {}, target))]

    symmetric, rsa = "kms:CryptographicOperationsSymmetric", "kms:CryptographicOperationsRsa"
    assert both("SYMMETRIC_DEFAULT", "SYMMETRIC_DEFAULT") == [symmetric]
    assert both("SYMMETRIC_DEFAULT", "RSA_4096") == [symmetric, rsa]
    assert both("RSA_4096", "SYMMETRIC_DEFAULT") == [rsa, symmetric]


@pytest.mark.parametrize("spec", ["RSA_2048", "RSA_3072", "RSA_4096", "ECC_NIST_P521", "SM2"])
def test_pairs_count_by_their_kind(spec: str) -> None:
    (name, _), *rest = charged(kms_quotas.key_pair(CALL, {"KeyPairSpec": spec}, None))
    assert rest == []
    assert name in COUNTED


def test_what_concerns_two_regions_counts_in_both() -> None:
    assert charged(kms_quotas.replica(CALL, {"ReplicaRegion": "eu-west-1"}, None)) == [
        ("kms:ReplicateKey", "us-east-1"),
        ("kms:CreateKey", "eu-west-1"),
        ("kms:CreateKey", "eu-west-1"),
    ]
    assert charged(kms_quotas.primary_move(CALL, {"PrimaryRegion": "eu-west-1"}, None)) == [
        ("kms:UpdatePrimaryRegion", "us-east-1"),
        ("kms:UpdatePrimaryRegion", "eu-west-1"),
    ]
