-- id: of this very group; one of the same name that is made later has another one. settings: a JSON object of all that is
-- configured (casemate/services/logs/groups.py). seal: binds all columns together under the account's key, so that a row
-- that was altered or moved is not used.
CREATE TABLE logs_groups (
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    name TEXT NOT NULL,
    id TEXT NOT NULL,
    created INTEGER NOT NULL,
    settings TEXT NOT NULL,
    seal BLOB NOT NULL,
    PRIMARY KEY (account, region, name)
) STRICT;

CREATE UNIQUE INDEX logs_groups_by_id ON logs_groups (id);

-- Times are milliseconds since the epoch; first_event, last_event, last_ingestion: NULL before the first event.
CREATE TABLE logs_streams (
    group_id TEXT NOT NULL,
    name TEXT NOT NULL,
    id TEXT NOT NULL,
    created INTEGER NOT NULL,
    first_event INTEGER,
    last_event INTEGER,
    last_ingestion INTEGER,
    stored INTEGER NOT NULL,
    PRIMARY KEY (group_id, name)
) STRICT;

CREATE INDEX logs_streams_by_last_event ON logs_streams (group_id, last_event, name);

-- What one call of PutLogEvents brought, sealed as one. id: in the order of time; first_event, last_event: of its events;
-- ingested: when they came; stored: what they count for; data_key: the customer's data key that it is sealed under
-- (logs_data_keys), '' for the account's key.
CREATE TABLE logs_batches (
    group_id TEXT NOT NULL,
    stream_id TEXT NOT NULL,
    id TEXT NOT NULL,
    first_event INTEGER NOT NULL,
    last_event INTEGER NOT NULL,
    ingested INTEGER NOT NULL,
    events INTEGER NOT NULL,
    stored INTEGER NOT NULL,
    data_key TEXT NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (id)
) STRICT;

CREATE INDEX logs_batches_of_stream ON logs_batches (stream_id, first_event, id);
CREATE INDEX logs_batches_of_stream_backwards ON logs_batches (stream_id, last_event, id);
CREATE INDEX logs_batches_of_group ON logs_batches (group_id, first_event, id);

-- Data keys of groups that are associated with a KMS key. wrapped: KMS's ciphertext of it.
CREATE TABLE logs_data_keys (
    id TEXT NOT NULL PRIMARY KEY,
    group_id TEXT NOT NULL,
    kms_key TEXT NOT NULL,
    created INTEGER NOT NULL,
    wrapped BLOB NOT NULL
) STRICT;

CREATE INDEX logs_data_keys_of_group ON logs_data_keys (group_id, kms_key, created);
