-- Inventory configurations. bucket: s3_buckets.id; sealed: the configuration, enciphered under the account's key and
-- bound to its place.
CREATE TABLE s3_inventories (
    bucket TEXT NOT NULL,
    id TEXT NOT NULL,
    sealed BLOB NOT NULL,
    PRIMARY KEY (bucket, id)
) STRICT, WITHOUT ROWID;
