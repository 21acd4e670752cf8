"""What KMS says when a custom key store fails: by the kind of failure, and by what the caller wanted.

Source: "AWS KMS External Key Store Proxy API Specification" (error codes), "Troubleshooting external key stores",
"Troubleshooting a custom key store", "CustomKeyStoresListEntry".
"""

from __future__ import annotations

from collections.abc import Mapping

from casemate.engine.keystore.errors import Failure, KeyStoreError
from casemate.errors import AwsError
from casemate.services.kms.key_stores import CLOUDHSM, KeyStore

_UNCLEAR = (
    "AWS KMS cannot interpret the response from the external key store proxy. If you see this "
    "error repeatedly, report it to your external key store proxy administrator."
)
_HSM = (
    "AWS KMS cannot communicate with your AWS CloudHSM cluster. This might be a transient issue. "
    "If you see this error repeatedly, verify that the cluster is active, and that the password "
    "of its kmsuser is the key store's."
)
_MESSAGES: Mapping[Failure, str] = {
    Failure.ACCESS_DENIED: (
        "The external key store proxy denied access to the operation. Verify that the user and "
        "the external key are both authorized for this operation, and try the request again."
    ),
    Failure.AUTHENTICATION_FAILED: (
        "The external key store proxy rejected the request because it could not authenticate AWS "
        "KMS. Verify the credentials for your external key store and update if necessary."
    ),
    Failure.DEPENDENCY_TIMEOUT: (
        "The external key store proxy did not respond to the request in the time allotted. Retry "
        "the request. If you see this error repeatedly, report it to your external key store "
        "proxy administrator."
    ),
    Failure.INTERNAL: (
        "The external key store proxy rejected the request because it cannot communicate with the"
        " external key manager. Verify that the external key store proxy configuration is correct"
        " and that the external key manager is available."
    ),
    Failure.INVALID_CIPHERTEXT: (
        "The external key store proxy rejected the request because the specified ciphertext or "
        "additional authenticated data is corrupted, missing, or otherwise invalid."
    ),
    Failure.INVALID_KEY_USAGE: (
        "The external key store proxy rejected the request because the external key does not "
        "support the requested operation."
    ),
    Failure.INVALID_STATE: (
        "The external key store proxy rejected the request because the external key is not "
        "enabled in the external key manager."
    ),
    Failure.INVALID_URI_PATH: (
        "The external key store proxy rejected the request because of an invalid URI path. Verify"
        " the URI path for your external key store and update if necessary."
    ),
    Failure.KEY_NOT_FOUND: (
        "The external key store proxy rejected the request because it could not find the external key."
    ),
    Failure.THROTTLING: (
        "The external key store proxy rejected the request due to a very high request rate. "
        "Reduce the frequency of your calls using KMS keys in this external key store."
    ),
    Failure.UNSUPPORTED_OPERATION: (
        "The external key store proxy rejected the request because it does not support the "
        "requested cryptographic operation. If you see this error repeatedly, report it to your "
        "external key store proxy administrator."
    ),
    Failure.VALIDATION: _UNCLEAR,
    Failure.MALFORMED: _UNCLEAR,
    Failure.TIMEOUT: (
        "AWS KMS rejected the request because the external key store proxy did not respond in "
        "time. Retry the request. If you see this error repeatedly, report it to your external "
        "key store proxy administrator."
    ),
    Failure.TLS: (
        "AWS KMS cannot establish a TLS connection to the external key store proxy. Verify the "
        "TLS configuration, including its certificate."
    ),
    Failure.UNHEALTHY: (
        "The external key store proxy is in an unhealthy state. If you see this message "
        "repeatedly, notify your external key store proxy administrator."
    ),
    Failure.UNREACHABLE: (
        "AWS KMS cannot communicate with the external key store proxy. This might be a transient "
        "network issue. If you see this error repeatedly, verify that your external key store "
        "proxy is active and is connected to the network, and that its endpoint URI is correct in"
        " your external key store."
    ),
}
_NO_BACKING_KEY = "AWS KMS cannot find the key material of this KMS key in its AWS CloudHSM cluster."

CORRUPT = (
    "The ciphertext that the external key store proxy submitted for decryption, or the encryption context, is "
    "corrupted, missing, or otherwise invalid."
)


def _message(store: KeyStore, error: KeyStoreError) -> str:
    if store.type == CLOUDHSM:
        return _NO_BACKING_KEY if error.failure is Failure.KEY_NOT_FOUND else _HSM
    return _MESSAGES.get(error.failure, _UNCLEAR)


def unusable(store: KeyStore, error: KeyStoreError) -> AwsError:
    """For cryptographic operations: one code, whose message tells why."""
    return AwsError("KMSInvalidStateException", _message(store, error))


def not_connected(store: KeyStore) -> AwsError:
    """For cryptographic operations with a key of a store that is not connected."""
    end = "AWS CloudHSM cluster" if store.type == CLOUDHSM else "external key store proxy"
    kind = "custom" if store.type == CLOUDHSM else "external"
    return AwsError(
        "KMSInvalidStateException",
        f"This KMS key is in a custom key store that is not connected to its {end}. Connect the {kind} key store and "
        "try the request again.",
    )


_CREATE_KEY: Mapping[Failure, str] = {
    Failure.ACCESS_DENIED: "KMSInvalidStateException",
    Failure.INVALID_KEY_USAGE: "XksKeyInvalidConfigurationException",
    Failure.INVALID_STATE: "XksKeyInvalidConfigurationException",
    Failure.KEY_NOT_FOUND: "XksKeyNotFoundException",
}


def no_key_made(store: KeyStore, error: KeyStoreError) -> AwsError:
    """For CreateKey."""
    code = "CustomKeyStoreInvalidStateException"
    if store.type != CLOUDHSM:
        code = _CREATE_KEY.get(error.failure, code)
    return AwsError(code, _message(store, error))


_UNREACHABLE = "XksProxyUriUnreachableException"
_OF_PROXY: Mapping[Failure, str] = {
    Failure.ACCESS_DENIED: "XksProxyInvalidConfigurationException",
    Failure.AUTHENTICATION_FAILED: "XksProxyIncorrectAuthenticationCredentialException",
    Failure.INVALID_URI_PATH: "XksProxyInvalidConfigurationException",
    **dict.fromkeys(
        (
            *(Failure.DEPENDENCY_TIMEOUT, Failure.INVALID_STATE, Failure.THROTTLING, Failure.TIMEOUT),
            *(Failure.TLS, Failure.UNHEALTHY, Failure.UNREACHABLE),
        ),
        _UNREACHABLE,
    ),
}


def proxy_refused(store: KeyStore, error: KeyStoreError) -> AwsError:
    """For CreateCustomKeyStore and UpdateCustomKeyStore of an external key store."""
    return AwsError(_OF_PROXY.get(error.failure, "XksProxyInvalidResponseException"), _message(store, error))


_CONNECTION_ERRORS: Mapping[Failure, str] = {
    Failure.ACCESS_DENIED: "XKS_PROXY_ACCESS_DENIED",
    Failure.AUTHENTICATION_FAILED: "INVALID_CREDENTIALS",
    Failure.DEPENDENCY_TIMEOUT: "XKS_PROXY_TIMED_OUT",
    Failure.INVALID_STATE: "XKS_PROXY_NOT_REACHABLE",
    Failure.INVALID_URI_PATH: "XKS_PROXY_INVALID_CONFIGURATION",
    Failure.THROTTLING: "XKS_PROXY_NOT_REACHABLE",
    Failure.TIMEOUT: "XKS_PROXY_TIMED_OUT",
    Failure.TLS: "XKS_PROXY_INVALID_TLS_CONFIGURATION",
    Failure.UNHEALTHY: "XKS_PROXY_NOT_REACHABLE",
    Failure.UNREACHABLE: "XKS_PROXY_NOT_REACHABLE",
    Failure.CREDENTIALS: "INVALID_CREDENTIALS",
    Failure.LOCKED_OUT: "USER_LOCKED_OUT",
    Failure.LOGGED_IN: "USER_LOGGED_IN",
    Failure.NO_CLUSTER: "CLUSTER_NOT_FOUND",
    Failure.NO_TOKEN: "INSUFFICIENT_CLOUDHSM_HSMS",
    Failure.NO_USER: "USER_NOT_FOUND",
    Failure.TOKEN: "NETWORK_ERRORS",
}


def connection_error(error: KeyStoreError) -> str:
    """ConnectionErrorCode."""
    return _CONNECTION_ERRORS.get(error.failure, "XKS_PROXY_INVALID_RESPONSE")


# --- what is wrong with a request, or with the state of a store


def no_store(what: str) -> AwsError:
    return AwsError("CustomKeyStoreNotFoundException", f"The custom key store {what} is not found.")


def invalid_state(store: KeyStore, wanted: str) -> AwsError:
    return AwsError(
        "CustomKeyStoreInvalidStateException",
        f"The connection state of custom key store {store.id} is {store.state}. {wanted}",
    )
