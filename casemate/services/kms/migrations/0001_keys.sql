-- What authorises and what is shown of a key. tags: a JSON object, name to value. deletion_date: while the key
-- is pending deletion. current_material: the backing key that new messages are encrypted with. seal: binds all
-- columns together under the account's key, so that a row that was altered or moved is not used.
CREATE TABLE kms_keys (
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    id TEXT NOT NULL,
    created REAL NOT NULL,
    state TEXT NOT NULL,
    description TEXT NOT NULL,
    key_usage TEXT NOT NULL,
    key_spec TEXT NOT NULL,
    origin TEXT NOT NULL,
    policy TEXT NOT NULL,
    tags TEXT NOT NULL,
    deletion_date REAL,
    current_material TEXT NOT NULL,
    seal BLOB NOT NULL,
    PRIMARY KEY (account, region, id)
) STRICT;

-- A key's material, version by version; wrapped by the account's key.
CREATE TABLE kms_backing_keys (
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    key_id TEXT NOT NULL,
    version INTEGER NOT NULL,
    id TEXT NOT NULL,
    created REAL NOT NULL,
    wrapped BLOB NOT NULL,
    PRIMARY KEY (account, region, key_id, version)
) STRICT;

-- name: with its "alias/". seal: as in kms_keys.
CREATE TABLE kms_aliases (
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    name TEXT NOT NULL,
    key_id TEXT NOT NULL,
    created REAL NOT NULL,
    updated REAL NOT NULL,
    seal BLOB NOT NULL,
    PRIMARY KEY (account, region, name)
) STRICT;

CREATE INDEX kms_aliases_of_key ON kms_aliases (account, region, key_id);
