-- A secret but for its values. created, changed, deletion (when it is to be deleted), accessed (the day, 0 for never):
-- seconds since the epoch. sealed: the rest as a JSON document, wrapped under the account's key and bound to the other
-- columns, so that a row that was altered or moved is not used; accessed alone is outside of it.
CREATE TABLE secrets (
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    name TEXT NOT NULL,
    suffix TEXT NOT NULL,
    created REAL NOT NULL,
    changed REAL NOT NULL,
    deletion REAL,
    accessed REAL NOT NULL,
    sealed BLOB NOT NULL,
    PRIMARY KEY (account, region, name)
) STRICT;

CREATE INDEX secrets_by_creation ON secrets (account, region, created, name);
CREATE INDEX secrets_by_change ON secrets (account, region, changed, name);
CREATE INDEX secrets_by_access ON secrets (account, region, accessed, name);

-- A secret's values. sealed: which kind of value it is and its data key as KMS encrypted it, wrapped under the
-- account's key; value: sealed under the data key. size: of the value, in bytes.
CREATE TABLE secret_versions (
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    name TEXT NOT NULL,
    id TEXT NOT NULL,
    created REAL NOT NULL,
    accessed REAL NOT NULL,
    size INTEGER NOT NULL,
    sealed BLOB NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (account, region, name, id)
) STRICT;

CREATE INDEX secret_versions_by_creation ON secret_versions (account, region, name, created, id);

-- So that the quota needs no counting.
CREATE TABLE secret_counts (
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    secrets INTEGER NOT NULL,
    PRIMARY KEY (account, region)
) STRICT;
