-- id: of this very topic; settings: a JSON object of all that is configured (casemate/services/sns/topics.py); seal: binds
-- all columns together under the account's key.
CREATE TABLE sns_topics (
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    name TEXT NOT NULL,
    id TEXT NOT NULL,
    created INTEGER NOT NULL,
    settings TEXT NOT NULL,
    seal BLOB NOT NULL,
    PRIMARY KEY (account, region, name)
) STRICT;

-- topic: a topic's id, account and region its owner's; id: the end of the subscription's ARN; owner: the account that has
-- subscribed; endpoint: a digest, to be found by; sealed: the subscription itself, bound to its place.
CREATE TABLE sns_subscriptions (
    topic TEXT NOT NULL,
    id TEXT NOT NULL,
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    owner TEXT NOT NULL,
    arn TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    sealed BLOB NOT NULL,
    PRIMARY KEY (topic, id)
) STRICT;

CREATE INDEX sns_subscriptions_of_owner ON sns_subscriptions (owner, region, arn);
CREATE UNIQUE INDEX sns_subscriptions_by_endpoint ON sns_subscriptions (topic, endpoint);

-- What is yet to be delivered. due: seconds since the epoch; sealed: what, where to, and how it went so far.
CREATE TABLE sns_deliveries (
    id TEXT NOT NULL PRIMARY KEY,
    account TEXT NOT NULL,
    due REAL NOT NULL,
    sealed BLOB NOT NULL
) STRICT;

CREATE INDEX sns_deliveries_by_due ON sns_deliveries (due, id);

-- Deduplication of FIFO topics. until: when it is forgotten; says: sealed, what was answered.
CREATE TABLE sns_remembered (
    topic TEXT NOT NULL,
    digest TEXT NOT NULL,
    until REAL NOT NULL,
    says BLOB NOT NULL,
    PRIMARY KEY (topic, digest)
) STRICT;

-- The last sequence number of each FIFO topic.
CREATE TABLE sns_sequences (
    topic TEXT NOT NULL PRIMARY KEY,
    last INTEGER NOT NULL
) STRICT;

-- What an account's messages are signed by. name: of the certificate, in its URL; private_key: wrapped.
CREATE TABLE sns_signing_keys (
    account TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    certificate BLOB NOT NULL,
    private_key BLOB NOT NULL
) STRICT;
