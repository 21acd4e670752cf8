-- What the audit has recorded, by account and Region: a page holds the events that one reading of the journal found of
-- one hour, in records, or those that a file of the archive has, where file is not ''. account, region: '' of calls that
-- were refused before they were known. first, last: times of its earliest and its latest event, seconds since the epoch;
-- management: how many management events it has; bytes: of records; terms: what may be looked up in it, '' of a file's.
CREATE TABLE cloudtrail_pages (
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    last INTEGER NOT NULL,
    id TEXT NOT NULL,
    first INTEGER NOT NULL,
    management INTEGER NOT NULL,
    file TEXT NOT NULL,
    reading TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    terms BLOB NOT NULL,
    records BLOB NOT NULL,
    PRIMARY KEY (account, region, last, id)
) STRICT;

CREATE INDEX cloudtrail_pages_by_id ON cloudtrail_pages (id) WHERE file = '';
CREATE INDEX cloudtrail_pages_by_reading ON cloudtrail_pages (reading) WHERE file = '';
CREATE INDEX cloudtrail_pages_by_file ON cloudtrail_pages (file) WHERE file <> '';

-- What may be looked up in a file's page, by attribute.
CREATE TABLE cloudtrail_terms (
    page TEXT NOT NULL,
    attribute INTEGER NOT NULL,
    terms BLOB NOT NULL,
    PRIMARY KEY (page, attribute)
) STRICT;

-- The archive: Parquet files, sealed, as blobs. name: what the key and the frames are bound to; size: of the Parquet file,
-- bytes; key: wrapped; first, last: times of its earliest and its latest event; events: how many it has.
CREATE TABLE cloudtrail_archive (
    name TEXT NOT NULL PRIMARY KEY,
    blob TEXT NOT NULL,
    size INTEGER NOT NULL,
    key BLOB NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    events INTEGER NOT NULL
) STRICT;

CREATE INDEX cloudtrail_archive_by_last ON cloudtrail_archive (last);
CREATE INDEX cloudtrail_archive_by_blob ON cloudtrail_archive (blob);

-- Readings of the journal whose pages are not all in the archive. segments: JSON, of each run the segment that the
-- reading went on in: those before it are not needed for the reading's sake.
CREATE TABLE cloudtrail_readings (
    id TEXT NOT NULL PRIMARY KEY,
    segments TEXT NOT NULL
) STRICT;
