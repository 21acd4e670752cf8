-- name: unique over all accounts of a partition. id: of this very bucket, what objects refer to: a bucket of the same
-- name that is made later has another one. settings: a JSON object of all that is configured. seal: binds all columns
-- together under the account's key, so that a row that was altered or moved is not used.
CREATE TABLE s3_buckets (
    name TEXT NOT NULL PRIMARY KEY,
    id TEXT NOT NULL,
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    created REAL NOT NULL,
    settings TEXT NOT NULL,
    seal BLOB NOT NULL
) STRICT;

CREATE INDEX s3_buckets_of_account ON s3_buckets (account, name);

-- What an account has configured for all its buckets; settings, seal: as in s3_buckets.
CREATE TABLE s3_accounts (
    account TEXT NOT NULL PRIMARY KEY,
    settings TEXT NOT NULL,
    seal BLOB NOT NULL
) STRICT;
