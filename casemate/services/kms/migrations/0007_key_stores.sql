-- Custom key stores. state: DISCONNECTED, CONNECTING, CONNECTED or FAILED; error: why, when it is FAILED. settings: a
-- JSON object (casemate/services/kms/key_stores.py). wrapped: the password of the HSM's user or the secret access key
-- for the proxy, under the account's key, which binds all columns as well.
CREATE TABLE kms_key_stores (
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    type TEXT NOT NULL,
    created REAL NOT NULL,
    state TEXT NOT NULL,
    error TEXT NOT NULL,
    settings TEXT NOT NULL,
    wrapped BLOB NOT NULL,
    PRIMARY KEY (account, region, id),
    UNIQUE (account, region, name)
) STRICT;
