-- Access points: further names of a bucket. bucket: its name; alias: what may stand in a bucket's place; settings, seal:
-- as in s3_buckets.
CREATE TABLE s3_access_points (
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    name TEXT NOT NULL,
    bucket TEXT NOT NULL,
    alias TEXT NOT NULL,
    created REAL NOT NULL,
    settings TEXT NOT NULL,
    seal BLOB NOT NULL,
    PRIMARY KEY (account, region, name)
) STRICT;

CREATE UNIQUE INDEX s3_access_points_alias ON s3_access_points (alias);
CREATE INDEX s3_access_points_of_bucket ON s3_access_points (bucket);
