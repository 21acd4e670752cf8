-- grantee, retiree: an ARN or a service's name, as given; retiree: '' without a retiring principal. issuer: the account
-- that made the grant. operations: a JSON list; constraints: a JSON object. seal: as in kms_keys.
CREATE TABLE kms_grants (
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    key_id TEXT NOT NULL,
    id TEXT NOT NULL,
    created REAL NOT NULL,
    name TEXT NOT NULL,
    grantee TEXT NOT NULL,
    retiree TEXT NOT NULL,
    issuer TEXT NOT NULL,
    operations TEXT NOT NULL,
    constraints TEXT NOT NULL,
    seal BLOB NOT NULL,
    PRIMARY KEY (account, region, key_id, id)
) STRICT;

CREATE INDEX kms_grants_of_grantee ON kms_grants (account, region, key_id, grantee, id);

CREATE INDEX kms_grants_of_retiree ON kms_grants (retiree, region, account, key_id, id) WHERE retiree <> '';

CREATE INDEX kms_grants_by_name ON kms_grants (account, region, key_id, name) WHERE name <> '';

-- How many grants a key has, so that a quota of many is checked without counting them.
CREATE TABLE kms_grant_counts (
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    key_id TEXT NOT NULL,
    grants INTEGER NOT NULL,
    PRIMARY KEY (account, region, key_id)
) STRICT;
