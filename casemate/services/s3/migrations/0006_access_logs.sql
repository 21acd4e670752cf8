-- Lines of server access logs that are not delivered yet, in their order. bucket: s3_buckets.id, of the bucket that is
-- logged; day: of UTC, 2026-11-25; made: seconds since the epoch; sealed: the lines, enciphered under the account's key
-- and bound to the other columns.
CREATE TABLE s3_log_lines (
    bucket TEXT NOT NULL,
    id TEXT NOT NULL,
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    day TEXT NOT NULL,
    made REAL NOT NULL,
    sealed BLOB NOT NULL,
    PRIMARY KEY (bucket, id)
) STRICT;
