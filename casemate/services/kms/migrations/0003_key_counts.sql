-- How many customer managed keys there are, so that a quota of many is checked without counting them.
CREATE TABLE kms_key_counts (
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    keys INTEGER NOT NULL,
    PRIMARY KEY (account, region)
) STRICT;

INSERT INTO kms_key_counts (account, region, keys)
    SELECT account, region, COUNT(*) FROM kms_keys WHERE manager = 'CUSTOMER' GROUP BY account, region;

-- Keys whose deletion is scheduled, and those that are gone: what was paid for them until then. A deletion that is
-- cancelled takes its row away, as though it had never been. rotations: a JSON list of when, at most two.
CREATE TABLE kms_key_ends (
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    key_id TEXT NOT NULL,
    key_spec TEXT NOT NULL,
    created REAL NOT NULL,
    rotations TEXT NOT NULL,
    ended REAL NOT NULL,
    PRIMARY KEY (account, region, key_id)
) STRICT;
