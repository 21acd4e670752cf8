"""Custom key stores by boto3: an HSM by SoftHSM2, an external key manager behind a proxy over HTTPS."""

from __future__ import annotations

import importlib
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from key_stores_support import CLUSTER, GONE, OTHERS, RELATED, SERVICE, SERVICE_ENDPOINT, STRANGE, Stores
from kms_support import refused, user_arn
from server_support import casemate
from softhsm_support import PIN
from xks_proxy_support import ACCESS_KEY_ID, CREDENTIAL, ENDPOINT, PATH, SECRET

NOT_CONNECTED = "CustomKeyStoreInvalidStateException"


def hsm_key(stores: Stores, store: str, **more: Any) -> dict[str, Any]:
    return dict(
        stores.client.create_key(Origin="AWS_CLOUDHSM", CustomKeyStoreId=store, **more)["KeyMetadata"]
    )


def external_key(stores: Stores, store: str, name: str, **more: Any) -> dict[str, Any]:
    created = stores.client.create_key(
        Origin="EXTERNAL_KEY_STORE", CustomKeyStoreId=store, XksKeyId=name, **more
    )
    return dict(created["KeyMetadata"])


# --- keys in an HSM


def test_a_key_in_an_hsm_does_all_that_a_symmetric_key_does(stores: Stores) -> None:
    kms = stores.client
    with stores.store(stores.cloudhsm()) as store:
        key = hsm_key(stores, store, Description="in the HSM")
        assert (key["Origin"], key["KeyState"], key["KeySpec"]) == (
            "AWS_CLOUDHSM",
            "Enabled",
            "SYMMETRIC_DEFAULT",
        )
        assert (key["CustomKeyStoreId"], key["CloudHsmClusterId"]) == (store, CLUSTER)
        assert "CurrentKeyMaterialId" not in key
        assert kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"] == key
        context = {"purpose": "test"}
        blob = kms.encrypt(KeyId=key["KeyId"], Plaintext=b"p" * 4096, EncryptionContext=context)[
            "CiphertextBlob"
        ]
        opened = kms.decrypt(CiphertextBlob=blob, EncryptionContext=context)
        assert (opened["Plaintext"], opened["KeyId"]) == (b"p" * 4096, key["Arn"])
        with refused("InvalidCiphertextException"):
            kms.decrypt(CiphertextBlob=blob)
        with refused("InvalidCiphertextException"):
            kms.decrypt(CiphertextBlob=blob[:-1] + bytes([blob[-1] ^ 1]), EncryptionContext=context)
        made = kms.generate_data_key(KeyId=key["KeyId"], KeySpec="AES_256")
        assert kms.decrypt(CiphertextBlob=made["CiphertextBlob"])["Plaintext"] == made["Plaintext"]
        assert len(made["Plaintext"]) == 32
        sealed = kms.generate_data_key_without_plaintext(KeyId=key["KeyId"], NumberOfBytes=20)
        assert len(kms.decrypt(CiphertextBlob=sealed["CiphertextBlob"])["Plaintext"]) == 20
        ours = stores.kms.key()
        there = kms.re_encrypt(CiphertextBlob=made["CiphertextBlob"], DestinationKeyId=ours["KeyId"])
        assert "SourceKeyMaterialId" not in there
        assert there["DestinationKeyMaterialId"] == ours["CurrentKeyMaterialId"]
        back = kms.re_encrypt(CiphertextBlob=there["CiphertextBlob"], DestinationKeyId=key["Arn"])
        assert kms.decrypt(CiphertextBlob=back["CiphertextBlob"])["Plaintext"] == made["Plaintext"]
        with refused("DryRunOperationException", status=412):
            kms.encrypt(KeyId=key["KeyId"], Plaintext=b"p", DryRun=True)


def test_the_material_is_in_the_hsm_alone_and_goes_with_its_key(stores: Stores) -> None:
    pkcs11 = importlib.import_module("pkcs11")

    def found(label: str) -> list[Any]:
        token = pkcs11.lib(stores.hsm.module).get_token(token_label="one")
        with token.open(user_pin=PIN) as session:
            return [
                (key[pkcs11.Attribute.EXTRACTABLE], key[pkcs11.Attribute.SENSITIVE])
                for key in session.get_objects({pkcs11.Attribute.LABEL: label})
            ]

    with stores.store(stores.cloudhsm()) as store:
        key = hsm_key(stores, store)["KeyId"]
        assert found(key) == [(False, True)]
        stores.client.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
        stores.kms.advance("8d")
        with refused("NotFoundException"):
            stores.client.describe_key(KeyId=key)
        stores.kms.events("DeleteKey", f"arn:aws:kms:us-east-1:111122223333:key/{key}", 1)
        assert found(key) == []


def test_random_bytes_come_from_the_hsm(stores: Stores) -> None:
    kms = stores.client
    with stores.store(stores.cloudhsm()) as store:
        drawn = [kms.generate_random(NumberOfBytes=32, CustomKeyStoreId=store)["Plaintext"] for _ in range(2)]
        assert [len(each) for each in drawn] == [32, 32]
        assert drawn[0] != drawn[1]
        kms.disconnect_custom_key_store(CustomKeyStoreId=store)
        with refused(NOT_CONNECTED):
            kms.generate_random(NumberOfBytes=32, CustomKeyStoreId=store)
    with refused("CustomKeyStoreNotFoundException"):
        kms.generate_random(NumberOfBytes=32, CustomKeyStoreId=store)


# --- external keys


def test_an_external_key_does_all_that_a_symmetric_key_does(stores: Stores) -> None:
    kms = stores.client
    with stores.store(stores.external()) as store:
        name = stores.proxy.new_key()
        key = external_key(stores, store, name)
        assert (key["Origin"], key["KeyState"]) == ("EXTERNAL_KEY_STORE", "Enabled")
        assert (key["CustomKeyStoreId"], key["XksKeyConfiguration"]) == (store, {"Id": name})
        assert "CurrentKeyMaterialId" not in key
        assert "CloudHsmClusterId" not in key
        context = {"purpose": "x" * 8000}
        blob = kms.encrypt(KeyId=key["KeyId"], Plaintext=b"p" * 4096, EncryptionContext=context)[
            "CiphertextBlob"
        ]
        told = stores.proxy.seen[-1][1]["requestMetadata"]
        assert told.pop("kmsRequestId")
        assert told == {
            "awsPrincipalArn": user_arn("admin"),
            "kmsKeyArn": key["Arn"],
            "kmsOperation": "Encrypt",
        }
        assert kms.decrypt(CiphertextBlob=blob, EncryptionContext=context)["Plaintext"] == b"p" * 4096
        assert stores.proxy.seen[-1][1]["requestMetadata"]["kmsOperation"] == "Decrypt"
        made = kms.generate_data_key(KeyId=key["KeyId"], KeySpec="AES_128")
        other = external_key(stores, store, stores.proxy.new_key())
        moved = kms.re_encrypt(CiphertextBlob=made["CiphertextBlob"], DestinationKeyId=other["KeyId"])
        assert [path.rsplit("/", 1)[1] for path, _ in stores.proxy.seen[-2:]] == ["decrypt", "encrypt"]
        assert kms.decrypt(CiphertextBlob=moved["CiphertextBlob"])["Plaintext"] == made["Plaintext"]
        # The external key alone does not open it, and KMS's material alone does not either.
        stores.proxy.keys[name].material = bytes(32)
        with refused(
            "KMSInvalidStateException",
            "The external key store proxy rejected the request because the specified ciphertext or additional "
            "authenticated data is corrupted, missing, or otherwise invalid.",
        ):
            kms.decrypt(CiphertextBlob=made["CiphertextBlob"])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ValidationException", "AWS KMS cannot interpret the response from the external key store proxy."),
        ("InvalidStateException", "because the external key is not enabled in the external key manager."),
        ("InvalidKeyUsageException", "because the external key does not support the requested operation."),
        ("AuthenticationFailedException", "because it could not authenticate AWS KMS."),
        ("AccessDeniedException", "The external key store proxy denied access to the operation."),
        ("KeyNotFoundException", "because it could not find the external key."),
        ("InvalidUriPathException", "because of an invalid URI path."),
        ("ThrottlingException", "due to a very high request rate."),
        (
            "UnsupportedOperationException",
            "because it does not support the requested cryptographic operation.",
        ),
        ("DependencyTimeoutException", "did not respond to the request in the time allotted."),
        ("InternalException", "because it cannot communicate with the external key manager."),
    ],
)
def test_cryptographic_operations_fail_by_one_code_and_the_proxys_reason(
    stores: Stores, name: str, text: str
) -> None:
    with stores.store(stores.external()) as store:
        key = external_key(stores, store, stores.proxy.new_key())["KeyId"]
        blob = stores.client.encrypt(KeyId=key, Plaintext=b"p")["CiphertextBlob"]
        with stores.proxy.refusing(name, "what the proxy says"):
            for operation, parameters in (
                ("encrypt", {"KeyId": key, "Plaintext": b"p"}),
                ("decrypt", {"CiphertextBlob": blob}),
                ("generate_data_key", {"KeyId": key, "KeySpec": "AES_256"}),
            ):
                with pytest.raises(stores.client.exceptions.KMSInvalidStateException) as caught:
                    getattr(stores.client, operation)(**parameters)
                assert text in caught.value.response["Error"]["Message"]
                assert "what the proxy says" not in str(caught.value), "that is for the log"
        assert "what the proxy says" in stores.kms.server.log
        assert stores.described(store)["ConnectionState"] == "CONNECTED"
        assert stores.client.decrypt(CiphertextBlob=blob)["Plaintext"] == b"p"


def test_requests_that_wait_for_a_proxy_keep_no_others_waiting(stores: Stores) -> None:
    """More of them than there are threads for the database."""
    arrived, go = threading.Semaphore(0), threading.Event()

    def hold(path: str, request: dict[str, Any]) -> None:
        arrived.release()
        assert go.wait(15)

    with stores.store(stores.external()) as store, ThreadPoolExecutor(8) as threads:
        key = external_key(stores, store, stores.proxy.new_key())["KeyId"]
        with stores.proxy.failing(hold):
            try:
                held = [
                    threads.submit(stores.client.encrypt, KeyId=key, Plaintext=b"%d" % number)
                    for number in range(8)
                ]
                assert all(arrived.acquire(timeout=15) for _ in held), "all of them are under way at once"
                assert stores.client.list_keys()["Keys"], "which is read from the database"
                stores.client.create_key()
                assert not any(each.done() for each in held)
            finally:
                go.set()
            blobs = [each.result()["CiphertextBlob"] for each in held]
        opened = [stores.client.decrypt(CiphertextBlob=blob)["Plaintext"] for blob in blobs]
        assert opened == [b"%d" % number for number in range(8)]


def test_a_dry_run_asks_no_proxy_to_encrypt(stores: Stores) -> None:
    with stores.store(stores.external()) as store:
        key = external_key(stores, store, stores.proxy.new_key())["KeyId"]
        seen = len(stores.proxy.seen)
        with refused("DryRunOperationException", status=412):
            stores.client.encrypt(KeyId=key, Plaintext=b"p", DryRun=True)
        assert len(stores.proxy.seen) == seen


# --- CreateKey's refusals


def test_an_external_key_that_will_not_do_is_refused(stores: Stores) -> None:
    unsuitable = "XksKeyInvalidConfigurationException"
    with stores.store(stores.external()) as store:
        for wrong, text in (
            (
                {"spec": "AES_128"},
                "The key spec of the external key must be AES_256. "
                "The key spec of specified external key is AES_128.",
            ),
            (
                {"usage": ("ENCRYPT",)},
                "The key usage of the external key must include ENCRYPT and DECRYPT. The key usage of specified "
                "external key is ENCRYPT.",
            ),
            (
                {"status": "DISABLED"},
                "The status of the external key must be ENABLED. "
                "The status of specified external key is DISABLED.",
            ),
        ):
            with refused(unsuitable, text):
                external_key(stores, store, stores.proxy.new_key(**wrong))
        with refused(
            "XksKeyNotFoundException",
            "The external key store proxy rejected the request because it could not find the external key.",
        ):
            external_key(stores, store, "absent")
        with refused("XksKeyNotFoundException"):
            external_key(stores, store, "..")
        name = stores.proxy.new_key()
        for said, code in (
            ("AuthenticationFailedException", NOT_CONNECTED),
            ("AccessDeniedException", "KMSInvalidStateException"),
            ("InvalidStateException", unsuitable),
            ("InternalException", NOT_CONNECTED),
        ):
            with stores.proxy.refusing(said), refused(code):
                external_key(stores, store, name)
        external_key(stores, store, name)
        with refused("XksKeyAlreadyInUseException"):
            external_key(stores, store, name)


def test_create_key_says_what_does_not_go_together(stores: Stores) -> None:
    create = stores.client.create_key
    with stores.store(stores.external()) as external, stores.store(stores.cloudhsm()) as cloudhsm:
        parameters: dict[str, Any]
        for parameters in (
            {"CustomKeyStoreId": cloudhsm},
            {"CustomKeyStoreId": cloudhsm, "Origin": "EXTERNAL"},
            {"Origin": "AWS_CLOUDHSM"},
            {"Origin": "AWS_CLOUDHSM", "CustomKeyStoreId": cloudhsm, "XksKeyId": "x"},
            {"Origin": "EXTERNAL_KEY_STORE", "CustomKeyStoreId": external},
            {"XksKeyId": "x"},
        ):
            with refused("ValidationException"):
                create(**parameters)
        for parameters in (
            {"Origin": "AWS_CLOUDHSM", "CustomKeyStoreId": external},
            {"Origin": "EXTERNAL_KEY_STORE", "CustomKeyStoreId": cloudhsm, "XksKeyId": "x"},
            {"Origin": "AWS_CLOUDHSM", "CustomKeyStoreId": cloudhsm, "MultiRegion": True},
            {
                "Origin": "AWS_CLOUDHSM",
                "CustomKeyStoreId": cloudhsm,
                "KeySpec": "HMAC_256",
                "KeyUsage": "GENERATE_VERIFY_MAC",
            },
        ):
            with refused("UnsupportedOperationException"):
                create(**parameters)
        with refused("UnsupportedOperationException"):
            stores.client.generate_random(NumberOfBytes=1, CustomKeyStoreId=external)
        with refused("CustomKeyStoreNotFoundException"):
            create(Origin="AWS_CLOUDHSM", CustomKeyStoreId="cks-absent")
        key = hsm_key(stores, cloudhsm)["KeyId"]
        with refused("UnsupportedOperationException"):
            stores.client.enable_key_rotation(KeyId=key)
        with refused("UnsupportedOperationException"):
            stores.client.rotate_key_on_demand(KeyId=key)
        with refused("UnsupportedOperationException"):
            stores.client.generate_data_key_pair(KeyId=key, KeyPairSpec="ECC_NIST_P256")
        with refused("UnsupportedOperationException"):
            stores.client.get_parameters_for_import(
                KeyId=key, WrappingAlgorithm="RSAES_OAEP_SHA_256", WrappingKeySpec="RSA_2048"
            )


def test_nothing_is_made_in_an_hsm_for_whoever_may_not_create_keys(stores: Stores) -> None:
    with stores.store(stores.cloudhsm()) as store, refused("AccessDeniedException"):
        stores.kms.of("nobody").create_key(Origin="AWS_CLOUDHSM", CustomKeyStoreId=store)


# --- connecting and disconnecting


@pytest.mark.parametrize("kind", ["cloudhsm", "external"])
def test_keys_of_a_disconnected_store_are_unavailable_and_come_back(stores: Stores, kind: str) -> None:
    kms = stores.client
    with stores.store(getattr(stores, kind)()) as store:

        def create() -> str:
            if kind == "cloudhsm":
                return str(hsm_key(stores, store)["KeyId"])
            return str(external_key(stores, store, stores.proxy.new_key())["KeyId"])

        key, disabled, doomed = create(), create(), create()
        kms.disable_key(KeyId=disabled)
        kms.schedule_key_deletion(KeyId=doomed)
        blob = kms.encrypt(KeyId=key, Plaintext=b"p")["CiphertextBlob"]
        kms.disconnect_custom_key_store(CustomKeyStoreId=store)
        assert stores.described(store)["ConnectionState"] == "DISCONNECTED"
        with refused("CustomKeyStoreInvalidStateException"):
            kms.disconnect_custom_key_store(CustomKeyStoreId=store)

        def state(key_id: str) -> tuple[str, bool]:
            shown = kms.describe_key(KeyId=key_id)["KeyMetadata"]
            return shown["KeyState"], shown["Enabled"]

        assert [state(each) for each in (key, disabled, doomed)] == [
            ("Unavailable", False),
            ("Unavailable", False),
            ("PendingDeletion", False),
        ]
        for operation, parameters in (
            ("encrypt", {"KeyId": key, "Plaintext": b"p"}),
            ("decrypt", {"CiphertextBlob": blob}),
            ("re_encrypt", {"CiphertextBlob": blob, "DestinationKeyId": key}),
            ("generate_data_key", {"KeyId": key, "KeySpec": "AES_256"}),
            ("generate_data_key_without_plaintext", {"KeyId": key, "KeySpec": "AES_256"}),
            ("encrypt", {"KeyId": key, "Plaintext": b"p", "DryRun": True}),
        ):
            with pytest.raises(kms.exceptions.KMSInvalidStateException, match="not connected to its"):
                getattr(kms, operation)(**parameters)
        with refused(NOT_CONNECTED):
            create()
        kms.cancel_key_deletion(KeyId=doomed)
        assert state(doomed) == ("Unavailable", False)
        kms.enable_key(KeyId=disabled)
        assert stores.connect(store)["ConnectionState"] == "CONNECTED"
        assert [state(each) for each in (key, disabled, doomed)] == [
            ("Enabled", True),
            ("Enabled", True),
            ("Disabled", False),
        ]
        assert kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"p"
        with refused("DisabledException"):
            kms.encrypt(KeyId=doomed, Plaintext=b"p")


def test_a_wrong_password_is_found_out_by_connecting(stores: Stores) -> None:
    kms = stores.client
    with stores.store(stores.cloudhsm(password="not-the-password"), connected=False) as store:
        failed = stores.connect(store)
        assert (failed["ConnectionState"], failed["ConnectionErrorCode"]) == ("FAILED", "INVALID_CREDENTIALS")
        with refused("CustomKeyStoreInvalidStateException"):
            kms.connect_custom_key_store(CustomKeyStoreId=store)
        with refused("CustomKeyStoreInvalidStateException"):
            kms.update_custom_key_store(CustomKeyStoreId=store, KeyStorePassword=PIN)
        with refused("CustomKeyStoreInvalidStateException"):
            kms.delete_custom_key_store(CustomKeyStoreId=store)
        kms.disconnect_custom_key_store(CustomKeyStoreId=store)
        kms.update_custom_key_store(CustomKeyStoreId=store, KeyStorePassword=PIN)
        connected = stores.connect(store)
        assert connected["ConnectionState"] == "CONNECTED"
        assert "ConnectionErrorCode" not in connected
        assert "not-the-password" not in stores.kms.server.log


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("AuthenticationFailedException", "INVALID_CREDENTIALS"),
        ("AccessDeniedException", "XKS_PROXY_ACCESS_DENIED"),
        ("InvalidUriPathException", "XKS_PROXY_INVALID_CONFIGURATION"),
        ("DependencyTimeoutException", "XKS_PROXY_TIMED_OUT"),
        ("InternalException", "XKS_PROXY_INVALID_RESPONSE"),
        ("", "XKS_PROXY_NOT_REACHABLE"),
    ],
)
def test_why_a_proxy_could_not_be_connected_is_told(stores: Stores, said: str, code: str) -> None:
    with stores.store(stores.external(), connected=False) as store:
        if said:
            with stores.proxy.refusing(said):
                failed = stores.connect(store)
        else:
            stores.proxy.health = ("UNAVAILABLE", "UNAVAILABLE")
            try:
                failed = stores.connect(store)
            finally:
                stores.proxy.health = ("ACTIVE",)
        assert (failed["ConnectionState"], failed["ConnectionErrorCode"]) == ("FAILED", code)


def test_a_proxy_behind_a_vpc_endpoint_service_is_asked_when_it_is_connected(stores: Stores) -> None:
    parameters = stores.external(
        XksProxyConnectivity="VPC_ENDPOINT_SERVICE",
        XksProxyUriEndpoint=SERVICE_ENDPOINT,
        XksProxyVpcEndpointServiceName=SERVICE,
    )
    seen = len(stores.proxy.seen)
    with stores.store(parameters, connected=False) as store:
        assert len(stores.proxy.seen) == seen
        shown = stores.described(store)["XksProxyConfiguration"]
        assert (shown["VpcEndpointServiceName"], shown["VpcEndpointServiceOwner"]) == (
            SERVICE,
            "111122223333",
        )
        # Its certificate is for another name.
        assert stores.connect(store)["ConnectionErrorCode"] == "XKS_PROXY_INVALID_TLS_CONFIGURATION"
        other = stores.external(
            XksProxyConnectivity="VPC_ENDPOINT_SERVICE",
            XksProxyUriEndpoint=SERVICE_ENDPOINT,
            XksProxyVpcEndpointServiceName=SERVICE,
        )
        with refused("XksProxyVpcEndpointServiceInUseException"):
            stores.client.create_custom_key_store(**other)
        with refused("XksProxyUriEndpointInUseException"):
            stores.client.create_custom_key_store(**stores.external(XksProxyUriEndpoint=SERVICE_ENDPOINT))
    with refused("XksProxyVpcEndpointServiceNotFoundException"):
        stores.client.create_custom_key_store(
            **{**parameters, "XksProxyVpcEndpointServiceName": SERVICE + "1"}
        )


# --- creating, describing, updating and deleting stores


def test_stores_are_described_by_id_by_name_and_in_pages_without_their_secrets(stores: Stores) -> None:
    describe = stores.client.describe_custom_key_stores
    with (
        stores.store(stores.cloudhsm(), connected=False) as cloudhsm,
        stores.store(stores.external(), connected=False) as external,
    ):
        shown = stores.described(external)
        assert shown["CustomKeyStoreType"] == "EXTERNAL_KEY_STORE"
        assert shown["ConnectionState"] == "DISCONNECTED"
        assert shown["CreationDate"]
        assert shown["XksProxyConfiguration"] == {
            "Connectivity": "PUBLIC_ENDPOINT",
            "AccessKeyId": ACCESS_KEY_ID,
            "UriEndpoint": ENDPOINT,
            "UriPath": PATH,
        }
        assert SECRET not in str(shown)
        named = describe(CustomKeyStoreName=stores.described(cloudhsm)["CustomKeyStoreName"])[
            "CustomKeyStores"
        ]
        assert [each["CustomKeyStoreId"] for each in named] == [cloudhsm]
        assert named[0]["TrustAnchorCertificate"] == stores.certificate
        assert named[0]["CloudHsmClusterId"] == CLUSTER
        assert cloudhsm.startswith("cks-")
        assert len(cloudhsm) == 21
        pages = [
            [each["CustomKeyStoreId"] for each in page["CustomKeyStores"]]
            for page in stores.client.get_paginator("describe_custom_key_stores").paginate(
                PaginationConfig={"PageSize": 1}
            )
        ]
        assert pages == [[each] for each in sorted((cloudhsm, external))]
        with refused("ValidationException"):
            describe(CustomKeyStoreId=cloudhsm, CustomKeyStoreName="x")
        with refused("CustomKeyStoreNotFoundException"):
            describe(CustomKeyStoreName="absent")
        with refused("InvalidMarkerException"):
            describe(Marker="nonsense")
        assert stores.kms.of("stranger").describe_custom_key_stores()["CustomKeyStores"] == []
        with refused("CustomKeyStoreNotFoundException"):
            stores.kms.of("stranger").connect_custom_key_store(CustomKeyStoreId=cloudhsm)
    with refused("CustomKeyStoreNotFoundException"):
        stores.described(external)


def test_creating_a_cloudhsm_key_store_is_refused_with_the_reason(stores: Stores) -> None:
    create = stores.client.create_custom_key_store
    for changed, code in (
        ({"CloudHsmClusterId": "cluster-zzzzzzzzzzzz"}, "CloudHsmClusterNotFoundException"),
        ({"CloudHsmClusterId": OTHERS}, "CloudHsmClusterNotFoundException"),
        ({"CloudHsmClusterId": GONE}, "CloudHsmClusterNotActiveException"),
        ({"CloudHsmClusterId": STRANGE}, "IncorrectTrustAnchorException"),
        ({"TrustAnchorCertificate": "no certificate"}, "IncorrectTrustAnchorException"),
        ({"XksProxyUriPath": PATH}, "ValidationException"),
    ):
        with refused(code):
            create(**stores.cloudhsm(**changed))
    for missing in ("CloudHsmClusterId", "TrustAnchorCertificate", "KeyStorePassword"):
        parameters = stores.cloudhsm()
        del parameters[missing]
        with refused("ValidationException"):
            create(**parameters)
    with stores.store(stores.cloudhsm(), connected=False) as store:
        with refused("CloudHsmClusterInUseException"):
            create(**stores.cloudhsm())
        name = stores.described(store)["CustomKeyStoreName"]
        with refused("CustomKeyStoreNameInUseException"):
            create(**stores.cloudhsm(CustomKeyStoreName=name, CloudHsmClusterId=RELATED))


def test_creating_an_external_key_store_is_refused_with_the_reason(stores: Stores) -> None:
    create = stores.client.create_custom_key_store
    wrong_secret = {**CREDENTIAL, "RawSecretAccessKey": "x" * 43}
    for changed, code in (
        ({"XksProxyUriEndpoint": "https://not-configured.casemate.test"}, "XksProxyUriUnreachableException"),
        ({"XksProxyUriEndpoint": "https://closed.casemate.test"}, "XksProxyUriUnreachableException"),
        ({"XksProxyUriEndpoint": "https://untrusted.casemate.test"}, "XksProxyUriUnreachableException"),
        ({"XksProxyUriPath": "/other/kms/xks/v1"}, "XksProxyInvalidConfigurationException"),
        (
            {"XksProxyAuthenticationCredential": wrong_secret},
            "XksProxyIncorrectAuthenticationCredentialException",
        ),
        ({"KeyStorePassword": "a-password"}, "ValidationException"),
        ({"XksProxyVpcEndpointServiceName": SERVICE}, "ValidationException"),
        ({"XksProxyConnectivity": "VPC_ENDPOINT_SERVICE"}, "ValidationException"),
        ({"XksProxyUriEndpoint": "http://xks.casemate.test"}, "ValidationException"),
    ):
        with refused(code):
            create(**stores.external(**changed))
    for said, code in (
        ("ThrottlingException", "XksProxyUriUnreachableException"),
        ("InternalException", "XksProxyInvalidResponseException"),
    ):
        with stores.proxy.refusing(said), refused(code):
            create(**stores.external())
    with stores.proxy.answering(200, {}), refused("XksProxyInvalidResponseException"):
        create(**stores.external())
    with stores.proxy.answering(307, {}), refused("XksProxyInvalidResponseException"):
        create(**stores.external())
    with stores.store(stores.external(), connected=False), refused("XksProxyUriInUseException"):
        create(**stores.external())


def test_what_may_be_changed_while_connected_and_what_not(stores: Stores) -> None:
    update = stores.client.update_custom_key_store
    with stores.store(stores.external()) as store:
        key = external_key(stores, store, stores.proxy.new_key())["KeyId"]
        update(CustomKeyStoreId=store, NewCustomKeyStoreName="renamed")
        assert stores.described(store)["CustomKeyStoreName"] == "renamed"
        new = {"AccessKeyId": "ANOTHERACCESSKEY234567", "RawSecretAccessKey": "y" * 44}
        with refused("XksProxyIncorrectAuthenticationCredentialException"):
            update(CustomKeyStoreId=store, XksProxyAuthenticationCredential=new)
        stores.client.encrypt(KeyId=key, Plaintext=b"with the old credential")
        stores.proxy.credentials[new["AccessKeyId"]] = new["RawSecretAccessKey"]
        update(CustomKeyStoreId=store, XksProxyAuthenticationCredential=new)
        assert stores.proxy.seen[-1][1]["requestMetadata"]["kmsOperation"] == "UpdateCustomKeyStore"
        old = stores.proxy.credentials.pop(ACCESS_KEY_ID)
        try:
            stores.client.encrypt(KeyId=key, Plaintext=b"with the new credential")
        finally:
            stores.proxy.credentials[ACCESS_KEY_ID] = old
        with refused("CustomKeyStoreInvalidStateException"):
            update(CustomKeyStoreId=store, XksProxyUriEndpoint=ENDPOINT)
        with refused("XksProxyInvalidConfigurationException"):
            update(CustomKeyStoreId=store, XksProxyUriPath="/other/kms/xks/v1")
        with refused("ValidationException"):
            update(CustomKeyStoreId=store, KeyStorePassword="a-password")
        with refused("ValidationException"):
            update(CustomKeyStoreId=store)
        stores.client.disconnect_custom_key_store(CustomKeyStoreId=store)
        with refused("XksProxyUriUnreachableException"):
            update(CustomKeyStoreId=store, XksProxyUriEndpoint="https://closed.casemate.test")
        with refused("ValidationException"):
            update(
                CustomKeyStoreId=store,
                XksProxyConnectivity="VPC_ENDPOINT_SERVICE",
                XksProxyVpcEndpointServiceName=SERVICE,
            )
        update(
            CustomKeyStoreId=store,
            XksProxyConnectivity="VPC_ENDPOINT_SERVICE",
            XksProxyUriEndpoint=SERVICE_ENDPOINT,
            XksProxyVpcEndpointServiceName=SERVICE,
        )
        assert stores.described(store)["XksProxyConfiguration"]["UriEndpoint"] == SERVICE_ENDPOINT
        update(CustomKeyStoreId=store, XksProxyConnectivity="PUBLIC_ENDPOINT", XksProxyUriEndpoint=ENDPOINT)
        assert "VpcEndpointServiceName" not in stores.described(store)["XksProxyConfiguration"]
    with refused("CustomKeyStoreNotFoundException"):
        update(CustomKeyStoreId=store, NewCustomKeyStoreName="x")


def test_a_cloudhsm_key_store_moves_to_a_related_cluster_alone(stores: Stores) -> None:
    update = stores.client.update_custom_key_store
    with stores.store(stores.cloudhsm()) as store:
        with refused("CustomKeyStoreInvalidStateException"):
            update(CustomKeyStoreId=store, CloudHsmClusterId=RELATED)
        stores.client.disconnect_custom_key_store(CustomKeyStoreId=store)
        with refused("CloudHsmClusterNotRelatedException"):
            update(CustomKeyStoreId=store, CloudHsmClusterId=STRANGE)
        with refused("CloudHsmClusterNotFoundException"):
            update(CustomKeyStoreId=store, CloudHsmClusterId=OTHERS)
        update(CustomKeyStoreId=store, CloudHsmClusterId=RELATED)
        assert stores.described(store)["CloudHsmClusterId"] == RELATED
        assert stores.connect(store)["ConnectionState"] == "CONNECTED"
        with refused("ValidationException"):
            update(CustomKeyStoreId=store, XksProxyUriPath=PATH)


def test_a_store_with_keys_or_a_connection_is_not_deleted(stores: Stores) -> None:
    with stores.store(stores.cloudhsm()) as store:
        with refused("CustomKeyStoreInvalidStateException"):
            stores.client.delete_custom_key_store(CustomKeyStoreId=store)
        hsm_key(stores, store)
        stores.client.disconnect_custom_key_store(CustomKeyStoreId=store)
        with refused("CustomKeyStoreHasCMKsException"):
            stores.client.delete_custom_key_store(CustomKeyStoreId=store)


def test_permissions_are_those_of_the_operations_and_of_the_cluster(stores: Stores) -> None:
    nobody = stores.kms.of("nobody")
    for operation, parameters in (
        ("create_custom_key_store", stores.cloudhsm()),
        ("describe_custom_key_stores", {}),
        ("update_custom_key_store", {"CustomKeyStoreId": "cks-x", "NewCustomKeyStoreName": "n"}),
        ("delete_custom_key_store", {"CustomKeyStoreId": "cks-x"}),
        ("connect_custom_key_store", {"CustomKeyStoreId": "cks-x"}),
        ("disconnect_custom_key_store", {"CustomKeyStoreId": "cks-x"}),
    ):
        with refused("AccessDeniedException"):
            getattr(nobody, operation)(**parameters)
    builder = stores.kms.of("builder")
    with pytest.raises(builder.exceptions.ClientError, match="cloudhsm:DescribeClusters"):
        builder.create_custom_key_store(**stores.cloudhsm())
    with pytest.raises(builder.exceptions.ClientError, match="ec2:DescribeVpcEndpointServices"):
        builder.create_custom_key_store(**stores.external(XksProxyConnectivity="VPC_ENDPOINT_SERVICE"))
    made = builder.create_custom_key_store(**stores.external())["CustomKeyStoreId"]
    stores.client.delete_custom_key_store(CustomKeyStoreId=made)


def test_the_audit_has_the_calls_without_their_secrets(stores: Stores) -> None:
    with stores.store(stores.cloudhsm(), connected=False), stores.store(stores.external(), connected=False):
        pass
    listed = casemate("audit", "tail", "--data", str(stores.kms.server.data), "-n", "all", "--json").stdout
    created = [
        record["requestParameters"]
        for record in map(json.loads, listed.splitlines())
        if record["eventName"] == "CreateCustomKeyStore" and not record.get("errorCode")
    ]
    assert {each.get("cloudHsmClusterId") for each in created} >= {CLUSTER, None}
    for secret in (PIN, SECRET):
        assert secret not in listed
        assert secret not in stores.kms.server.log
        assert not any(
            secret.encode() in path.read_bytes()
            for path in stores.kms.server.data.rglob("*")
            if path.is_file() and "db" in path.name
        )
