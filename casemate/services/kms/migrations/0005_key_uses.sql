-- The last cryptographic operation by each key, as the audit has it; written some time afterwards.
CREATE TABLE kms_key_uses (
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    key_id TEXT NOT NULL,
    operation TEXT NOT NULL,
    used REAL NOT NULL,
    event_id TEXT NOT NULL,
    request_id TEXT NOT NULL,
    PRIMARY KEY (account, region, key_id)
) STRICT;
