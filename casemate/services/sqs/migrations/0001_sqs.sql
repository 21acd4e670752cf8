-- id: of this very queue; one of the same name that is made later has another one. settings: a JSON object of all that is
-- configured (casemate/services/sqs/queues.py). seal: binds all columns together under the account's key, so that a row
-- that was altered or moved is not used. dead_letters: the ARN of the queue's dead-letter queue, '' without one, which
-- the settings say too; it is here to be looked for.
CREATE TABLE sqs_queues (
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    name TEXT NOT NULL,
    id TEXT NOT NULL,
    created INTEGER NOT NULL,
    settings TEXT NOT NULL,
    dead_letters TEXT NOT NULL,
    seal BLOB NOT NULL,
    PRIMARY KEY (account, region, name)
) STRICT;

CREATE INDEX sqs_queues_by_dead_letters ON sqs_queues (dead_letters, name) WHERE dead_letters <> '';

-- contents: of a queue since it was made or last purged. id: in the order of sending; of FIFO queues the sequence number.
-- Times are seconds since the epoch. sent: from when on it is retained; visible: when it may be received; receives: how
-- often it was, before: how often before it came to this queue; first_received: NULL before the first time; receipt:
-- changes with every receive; line: of FIFO queues a digest of the message group, '' of others. data: sealed.
CREATE TABLE sqs_messages (
    contents TEXT NOT NULL,
    id TEXT NOT NULL,
    sent REAL NOT NULL,
    visible REAL NOT NULL,
    receives INTEGER NOT NULL,
    before INTEGER NOT NULL,
    first_received REAL,
    receipt INTEGER NOT NULL,
    line TEXT NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (contents, id)
) STRICT;

CREATE INDEX sqs_messages_by_visible ON sqs_messages (contents, visible, id);
CREATE INDEX sqs_messages_by_line ON sqs_messages (contents, line, id) WHERE line <> '';

-- What was emptied and is yet to be removed.
CREATE TABLE sqs_emptied (
    contents TEXT NOT NULL PRIMARY KEY,
    account TEXT NOT NULL,
    region TEXT NOT NULL
) STRICT;

-- The last sequence number of each FIFO queue.
CREATE TABLE sqs_sequences (
    queue TEXT NOT NULL PRIMARY KEY,
    last INTEGER NOT NULL
) STRICT;

-- digest: of a deduplication id and what it is for (a queue or a message group), or of a receive request's attempt id;
-- until: when it is forgotten; says: sealed, what was answered.
CREATE TABLE sqs_remembered (
    queue TEXT NOT NULL,
    digest TEXT NOT NULL,
    until REAL NOT NULL,
    says BLOB NOT NULL,
    PRIMARY KEY (queue, digest)
) STRICT;

CREATE INDEX sqs_remembered_by_until ON sqs_remembered (until);

-- Data keys of queues that are encrypted under a KMS key. arn: the queue's, the encryption context; wrapped: KMS's
-- ciphertext of it.
CREATE TABLE sqs_data_keys (
    id TEXT NOT NULL PRIMARY KEY,
    queue TEXT NOT NULL,
    arn TEXT NOT NULL,
    kms_key TEXT NOT NULL,
    created REAL NOT NULL,
    wrapped BLOB NOT NULL
) STRICT;

CREATE INDEX sqs_data_keys_of_queue ON sqs_data_keys (queue, kms_key, created);

-- Moves of messages out of dead-letter queues. destination: '' for each message's own source. state: RUNNING, COMPLETED,
-- CANCELLING, CANCELLED or FAILED.
CREATE TABLE sqs_move_tasks (
    id TEXT NOT NULL PRIMARY KEY,
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    source TEXT NOT NULL,
    destination TEXT NOT NULL,
    rate INTEGER NOT NULL,
    started REAL NOT NULL,
    state TEXT NOT NULL,
    to_move INTEGER NOT NULL,
    moved INTEGER NOT NULL,
    failure TEXT NOT NULL
) STRICT;

CREATE INDEX sqs_move_tasks_of_source ON sqs_move_tasks (account, region, source, started);
