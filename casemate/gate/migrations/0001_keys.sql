-- The root key's record, as its seal wrapped it: one row.
CREATE TABLE root_key (
    id INTEGER NOT NULL PRIMARY KEY,
    record BLOB NOT NULL,
    sealed REAL NOT NULL
) STRICT;

-- One key per account, wrapped by the root key; what belongs to the account is wrapped by it.
CREATE TABLE account_keys (
    account TEXT NOT NULL,
    version INTEGER NOT NULL,
    wrapped BLOB NOT NULL,
    PRIMARY KEY (account, version)
) STRICT;
