"""CreateCustomKeyStore, DescribeCustomKeyStores, UpdateCustomKeyStore, DeleteCustomKeyStore.

What a change of an external key store's proxy leads to is tried before it is stored; an HSM's password is not, before
the store is connected: as AWS does it, and as an HSM locks out who tries wrong ones.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from casemate.api import kms
from casemate.engine.keystore.errors import KeyStoreError
from casemate.errors import AwsError
from casemate.gate.call import Call
from casemate.gate.operation import Need
from casemate.services.kms.backends import Backends, told
from casemate.services.kms.elsewhere import request_metadata
from casemate.services.kms.key_stores import (
    CLOUDHSM,
    CONNECTED,
    DISCONNECTED,
    EXTERNAL,
    FAILED,
    PUBLIC,
    SERVICE,
    KeyStore,
    KeyStores,
    Settings,
    keys_in,
)
from casemate.services.kms.pages import Page
from casemate.services.kms.quotas import KEY_STORES, must_be_within
from casemate.services.kms.refusals import invalid, unsupported
from casemate.services.kms.store_refusals import invalid_state, no_store, proxy_refused
from casemate.services.kms.targets import AccountWide, account_wide

_OF_CLOUDHSM = ("CloudHsmClusterId", "TrustAnchorCertificate", "KeyStorePassword")
_OF_EXTERNAL = (
    *("XksProxyConnectivity", "XksProxyUriEndpoint", "XksProxyUriPath", "XksProxyAuthenticationCredential"),
    *("XksProxyVpcEndpointServiceName", "XksProxyVpcEndpointServiceOwner"),
)
_WHILE_CONNECTED = {"NewCustomKeyStoreName", "XksProxyUriPath", "XksProxyAuthenticationCredential"}
"""What may be changed without disconnecting; of a CloudHSM key store its name alone."""


class Given(AccountWide):
    """What a request says of a store. cluster: what cloudhsm:DescribeClusters is needed on; service: what
    ec2:DescribeVpcEndpointServices is; None where the request has nothing to do with that. Source: "Service
    Authorization Reference" (dependent actions)."""

    __slots__ = ("cluster", "service")

    cluster: Given | None
    service: Given | None


def new_key_store(call: Call, request: Mapping[str, Any]) -> Given:
    """CreateCustomKeyStore's."""
    target = changed_key_store(call, request)
    target.cluster = target if request.get("CustomKeyStoreType", CLOUDHSM) == CLOUDHSM else None
    return target


def changed_key_store(call: Call, request: Mapping[str, Any]) -> Given:
    """UpdateCustomKeyStore's."""
    target = Given("*", call.account)
    target.cluster = None
    by_service = request.get("XksProxyConnectivity") == SERVICE or "XksProxyVpcEndpointServiceName" in request
    target.service = target if by_service else None
    return target


def key_store_named(call: Call, store_id: str) -> KeyStore:
    """The caller's own store. Raises CustomKeyStoreNotFoundException."""
    store = call.part(KeyStores).find(call, call.account, store_id)
    if store is None:
        raise no_store(store_id)
    return store


@kms.CreateCustomKeyStore.writes(
    new_key_store,
    Need("kms:CreateCustomKeyStore"),
    Need("cloudhsm:DescribeClusters", lambda target: target.cluster),
    Need("ec2:DescribeVpcEndpointServices", lambda target: target.service),
)
def create_custom_key_store(
    call: Call, req: kms.CreateCustomKeyStoreRequest, target: Given
) -> kms.CreateCustomKeyStoreResponse:
    """A custom key store that is not connected yet."""
    kind = req.get("CustomKeyStoreType", CLOUDHSM)
    _must_have_what_belongs(req, kind)
    others = call.part(KeyStores).all_of(call.tx, call.account)
    here = [each for each in others if each.region == call.region]
    store = KeyStore(
        call.account,
        call.region,
        call.before("custom key store id", lambda: f"cks-{os.urandom(9).hex()[:17]}"),
        req["CustomKeyStoreName"],
        kind,
        call.now,
        _secret(req, kind),
        _cloudhsm_settings(req) if kind == CLOUDHSM else _external_settings(req, Settings()),
    )
    _must_have_a_free_name(store, here)
    must_be_within(call, KEY_STORES, len(here) + 1, "custom key stores")
    if kind == CLOUDHSM:
        _must_have_a_cluster(call, store, others)
    else:
        _must_have_a_free_proxy(store, here)
        _must_have_a_proxy(call, store)
    call.part(KeyStores).insert(call.tx, store)
    return {"CustomKeyStoreId": store.id}


@kms.DescribeCustomKeyStores.reads(account_wide)
def describe_custom_key_stores(
    call: Call, req: kms.DescribeCustomKeyStoresRequest, account: AccountWide
) -> kms.DescribeCustomKeyStoresResponse:
    """All of the account's custom key stores in the Region, or the one of an id or a name."""
    store_id, name = req.get("CustomKeyStoreId"), req.get("CustomKeyStoreName")
    if store_id is not None and name is not None:
        raise invalid("You cannot specify both CustomKeyStoreId and CustomKeyStoreName.")
    page = Page("DescribeCustomKeyStores", req, default=100)
    stores = [
        each
        for each in call.part(KeyStores).all_of(call.tx, call.account)
        if each.region == call.region and store_id in (None, each.id) and name in (None, each.name)
    ]
    if not stores and (store_id is not None or name is not None):
        raise no_store(store_id if store_id is not None else str(name))
    shown, more = page.cut([each for each in stores if each.id > page.after], lambda each: each.id)
    return {"CustomKeyStores": [_entry(each) for each in shown], **more}  # type: ignore[typeddict-item]


def _entry(store: KeyStore) -> kms.CustomKeyStoresListEntry:
    settings = store.settings
    shown: dict[str, Any] = {
        "CustomKeyStoreId": store.id,
        "CustomKeyStoreName": store.name,
        "CustomKeyStoreType": store.type,
        "ConnectionState": store.state,
        "CreationDate": datetime.fromtimestamp(store.created, UTC),
    }
    if store.state == FAILED:
        shown["ConnectionErrorCode"] = store.error
    if store.type == CLOUDHSM:
        shown["CloudHsmClusterId"] = settings.cluster
        shown["TrustAnchorCertificate"] = settings.certificate
    else:
        shown["XksProxyConfiguration"] = {
            "Connectivity": settings.connectivity,
            "AccessKeyId": settings.access_key_id,
            "UriEndpoint": settings.endpoint,
            "UriPath": settings.path,
        }
        if settings.connectivity == SERVICE:
            shown["XksProxyConfiguration"]["VpcEndpointServiceName"] = settings.service
            shown["XksProxyConfiguration"]["VpcEndpointServiceOwner"] = settings.owner or store.account
    return shown  # type: ignore[return-value]  # the row's strings are the model's enumerations


@kms.UpdateCustomKeyStore.writes(
    changed_key_store,
    Need("kms:UpdateCustomKeyStore"),
    Need("ec2:DescribeVpcEndpointServices", lambda target: target.service),
)
def update_custom_key_store(
    call: Call, req: kms.UpdateCustomKeyStoreRequest, target: Given
) -> kms.UpdateCustomKeyStoreResponse:
    """Change a store's name at any time, and most of its settings while it is not connected."""
    store = key_store_named(call, req["CustomKeyStoreId"])
    given = set(req) - {"CustomKeyStoreId"}
    foreign = given & set(_OF_EXTERNAL if store.type == CLOUDHSM else _OF_CLOUDHSM)
    if foreign:
        raise invalid(f"{min(foreign)} is not valid for a custom key store of type {store.type}.")
    if not given:
        raise invalid("Specify at least one property of the custom key store to update.")
    free = {"NewCustomKeyStoreName"} if store.type == CLOUDHSM else _WHILE_CONNECTED
    if store.state not in (DISCONNECTED, CONNECTED) or (store.state == CONNECTED and not given <= free):
        raise invalid_state(store, "Disconnect the custom key store before you update it.")
    others = [
        each for each in call.part(KeyStores).all_of(call.tx, call.account) if each.place != store.place
    ]
    here = [each for each in others if each.region == call.region]
    changed = store.changed(
        name=req.get("NewCustomKeyStoreName", store.name), secret=_secret(req, store.type) or store.secret
    )
    _must_have_a_free_name(changed, here)
    if store.type == CLOUDHSM:
        if "CloudHsmClusterId" in req:
            changed = changed.changed(settings=store.settings._replace(cluster=req["CloudHsmClusterId"]))
            _must_have_a_cluster(call, changed, others, related=True)
    elif given != {"NewCustomKeyStoreName"}:
        changed = changed.changed(settings=_external_settings(req, store.settings))
        _must_have_a_free_proxy(changed, here)
        _must_have_a_proxy(call, changed)
    call.part(KeyStores).save(call.tx, changed)
    return {}


@kms.DeleteCustomKeyStore.writes(account_wide)
def delete_custom_key_store(
    call: Call, req: kms.DeleteCustomKeyStoreRequest, account: AccountWide
) -> kms.DeleteCustomKeyStoreResponse:
    """Forget a store without keys that is not connected. What is behind it stays as it is."""
    store = key_store_named(call, req["CustomKeyStoreId"])
    if keys_in(call.tx, store):
        raise AwsError(
            "CustomKeyStoreHasCMKsException",
            f"The custom key store {store.id} contains KMS keys. Delete them first.",
        )
    if store.state != DISCONNECTED:
        raise invalid_state(store, "Disconnect the custom key store before you delete it.")
    call.part(KeyStores).delete(call.tx, store)
    return {}


# --- what a request says


def _must_have_what_belongs(req: Mapping[str, Any], kind: str) -> None:
    needed = list(_OF_CLOUDHSM if kind == CLOUDHSM else _OF_EXTERNAL[:4])
    if req.get("XksProxyConnectivity") == SERVICE:
        needed.append("XksProxyVpcEndpointServiceName")
    for member in needed:
        if member not in req:
            raise invalid(f"{member} is required for a custom key store of type {kind}.")
    for member in _OF_EXTERNAL if kind == CLOUDHSM else _OF_CLOUDHSM:
        if member in req:
            raise invalid(f"{member} is not valid for a custom key store of type {kind}.")


def _secret(req: Mapping[str, Any], kind: str) -> str:
    """The password or secret access key in the request; '' when there is none."""
    if kind == CLOUDHSM:
        return str(req.get("KeyStorePassword", ""))
    return str(req.get("XksProxyAuthenticationCredential", {}).get("RawSecretAccessKey", ""))


def _cloudhsm_settings(req: Mapping[str, Any]) -> Settings:
    return Settings(cluster=req["CloudHsmClusterId"], certificate=req["TrustAnchorCertificate"])


def _external_settings(req: Mapping[str, Any], before: Settings) -> Settings:
    """The settings that a request leads to. Raises ValidationException for those that do not go together."""
    connectivity = req.get("XksProxyConnectivity", before.connectivity)
    moved = before.connectivity not in ("", connectivity)
    if moved and "XksProxyUriEndpoint" not in req:
        raise invalid("XksProxyUriEndpoint is required when XksProxyConnectivity changes.")
    service = req.get("XksProxyVpcEndpointServiceName", "" if moved else before.service)
    owner = req.get("XksProxyVpcEndpointServiceOwner", "" if moved else before.owner)
    if connectivity == SERVICE and not service:
        raise invalid(
            "XksProxyVpcEndpointServiceName is required when XksProxyConnectivity is VPC_ENDPOINT_SERVICE."
        )
    if connectivity == PUBLIC and (service or owner):
        raise invalid("XksProxyVpcEndpointServiceName is valid only with VPC_ENDPOINT_SERVICE connectivity.")
    credential = req.get("XksProxyAuthenticationCredential", {})
    return Settings(
        connectivity=connectivity,
        endpoint=req.get("XksProxyUriEndpoint", before.endpoint),
        path=req.get("XksProxyUriPath", before.path),
        access_key_id=credential.get("AccessKeyId", before.access_key_id),
        service=service,
        owner=owner,
    )


# --- what the account's other stores, the operator and the backing store say to it


def _must_have_a_free_name(store: KeyStore, here: list[KeyStore]) -> None:
    if "\0" in store.name:
        raise invalid("CustomKeyStoreName contains an invalid character.")
    if any(each.name == store.name for each in here):
        raise AwsError(
            "CustomKeyStoreNameInUseException", f"The custom key store name {store.name} is already in use."
        )


def _must_have_a_cluster(
    call: Call, store: KeyStore, others: list[KeyStore], *, related: bool = False
) -> None:
    """related: the cluster takes the place of another, of the same certificate."""
    cluster_id = store.settings.cluster
    cluster = call.part(Backends).cluster(cluster_id, store.account)
    if cluster is None:
        raise AwsError("CloudHsmClusterNotFoundException", f"The CloudHSM cluster {cluster_id} is not found.")
    if any(each.settings.cluster == cluster_id for each in others):
        raise AwsError(
            "CloudHsmClusterInUseException",
            f"The CloudHSM cluster {cluster_id} is already associated with a custom key store.",
        )
    if _der(store.settings.certificate) != cluster.certificate:
        if related:
            raise AwsError(
                "CloudHsmClusterNotRelatedException",
                f"The CloudHSM cluster {cluster_id} has another certificate than the original cluster.",
            )
        raise AwsError(
            "IncorrectTrustAnchorException",
            f"The trust anchor certificate is not that of the CloudHSM cluster {cluster_id}.",
        )
    if not call.before(f"cluster {cluster_id}", lambda: _is_there(call, store), waits=True):
        raise AwsError(
            "CloudHsmClusterNotActiveException", f"The CloudHSM cluster {cluster_id} is not active."
        )


def _is_there(call: Call, store: KeyStore) -> bool:
    try:
        call.part(Backends).look_for(store)
    except KeyStoreError as error:
        told(store, error)
        return False
    return True


def _der(pem: str) -> bytes:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    try:
        return x509.load_pem_x509_certificate(pem.encode()).public_bytes(Encoding.DER)
    except ValueError:
        return b""


def _must_have_a_free_proxy(store: KeyStore, here: list[KeyStore]) -> None:
    mine = store.settings
    for each in here:
        other = each.settings
        if each.type != EXTERNAL:
            continue
        if mine.service and mine.service == other.service:
            raise AwsError(
                "XksProxyVpcEndpointServiceInUseException",
                f"The VPC endpoint service {mine.service} is already associated with a custom key store.",
            )
        if mine.endpoint.lower() != other.endpoint.lower():
            continue
        if mine.path == other.path and mine.connectivity == other.connectivity == PUBLIC:
            raise AwsError(
                "XksProxyUriInUseException",
                f"The URI {mine.endpoint}{mine.path} is already associated with a custom key store.",
            )
        if SERVICE in (mine.connectivity, other.connectivity):
            raise AwsError(
                "XksProxyUriEndpointInUseException",
                f"The endpoint {mine.endpoint} is already associated with a custom key store.",
            )


def _must_have_a_proxy(call: Call, store: KeyStore) -> None:
    """With a public endpoint it is asked for its health; a VPC endpoint service is, when the store is connected."""
    if store.settings.connectivity == SERVICE:
        if call.part(Backends).endpoint(store.settings) is None:
            raise AwsError(
                "XksProxyVpcEndpointServiceNotFoundException",
                f"The VPC endpoint service {store.settings.service} is not found.",
            )
        return
    asked = request_metadata(call)
    asked.pop("awsPrincipalArn")

    def ask() -> KeyStoreError | None:
        try:
            call.part(Backends).check(store, asked)
        except KeyStoreError as error:
            return told(store, error)
        return None

    failed = call.before("health of the proxy", ask, waits=True)
    if failed is not None:
        raise proxy_refused(store, failed)


# --- randomness


def random_of(call: Call, store_id: str, count: int) -> bytes:
    """Random bytes of a CloudHSM key store's HSM. Raises CustomKeyStoreNotFoundException,
    CustomKeyStoreInvalidStateException, UnsupportedOperationException, DependencyTimeoutException."""
    store = key_store_named(call, store_id)
    if store.type != CLOUDHSM:
        raise unsupported(f"GenerateRandom is not supported by a custom key store of type {store.type}.")
    if store.state != CONNECTED:
        raise invalid_state(store, "Connect the custom key store before you generate random bytes in it.")

    def draw() -> bytes:
        try:
            return call.part(Backends).token(store).random(count)
        except KeyStoreError as error:
            told(store, error)
            text = "The system timed out while trying to fulfill the request."
            raise AwsError("DependencyTimeoutException", text, 503) from None

    return call.before(f"{count} random bytes of {store_id}", draw, waits=True)
