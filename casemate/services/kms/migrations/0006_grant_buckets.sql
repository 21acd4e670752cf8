-- Anew, with where a grant is looked for; no release has had grants. shape: what a request must have, as casemate's
-- Shape is stored; bucket: a digest of what it must have there.
DROP TABLE kms_grants;

DELETE FROM kms_grant_counts;

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
    shape TEXT NOT NULL,
    bucket TEXT NOT NULL,
    PRIMARY KEY (account, region, key_id, id)
) STRICT;

CREATE INDEX kms_grants_of_grantee ON kms_grants (account, region, key_id, grantee, id);

CREATE INDEX kms_grants_met ON kms_grants (account, region, key_id, grantee, shape, bucket, operations, id);

CREATE INDEX kms_grants_of_retiree ON kms_grants (retiree, region, account, key_id, id) WHERE retiree <> '';

CREATE INDEX kms_grants_by_name ON kms_grants (account, region, key_id, name) WHERE name <> '';
