-- A row for each version of an object, delete markers among them, in the order of listings: by key in UTF-8's order,
-- the newest version first.
-- bucket: s3_buckets.id. version: counts down with time; it is the version's id where null_version is 0. latest: 1 for
-- a key's newest version. body: s3_bodies.id; '' for a marker and for an object in parts. sealed: all else of the
-- object, enciphered under the account's key and bound to the other columns but latest.
CREATE TABLE s3_objects (
    bucket TEXT NOT NULL,
    key BLOB NOT NULL,
    version TEXT NOT NULL,
    null_version INTEGER NOT NULL,
    latest INTEGER NOT NULL,
    marker INTEGER NOT NULL,
    modified REAL NOT NULL,
    size INTEGER NOT NULL,
    body TEXT NOT NULL,
    sealed BLOB NOT NULL,
    PRIMARY KEY (bucket, key, version)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX s3_objects_listed ON s3_objects (bucket, key) WHERE latest = 1 AND marker = 0;

-- What objects consist of, as ciphertext: in data where that is small, else in the blob of the same id.
-- holder: s3_objects.version or s3_uploads.id. part: its number, 0 of an object that came as one. salt: what a part's
-- own key is derived with. sealed: what is told of a part, enciphered under the account's key.
CREATE TABLE s3_bodies (
    id TEXT NOT NULL PRIMARY KEY,
    holder TEXT NOT NULL,
    part INTEGER NOT NULL,
    size INTEGER NOT NULL,
    salt BLOB NOT NULL,
    data BLOB,
    sealed BLOB
) STRICT;

CREATE UNIQUE INDEX s3_bodies_parts ON s3_bodies (holder, part) WHERE part > 0;

-- Multipart uploads that are under way; ids count up with time.
CREATE TABLE s3_uploads (
    bucket TEXT NOT NULL,
    key BLOB NOT NULL,
    id TEXT NOT NULL,
    started REAL NOT NULL,
    sealed BLOB NOT NULL,
    PRIMARY KEY (bucket, key, id)
) STRICT, WITHOUT ROWID;

-- Blobs that nothing refers to any more, to be removed once nobody reads them: due is seconds since the epoch.
CREATE TABLE s3_garbage (
    id TEXT NOT NULL PRIMARY KEY,
    due REAL NOT NULL
) STRICT;

CREATE INDEX s3_garbage_due ON s3_garbage (due);
