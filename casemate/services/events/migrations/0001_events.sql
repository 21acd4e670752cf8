-- Event buses, rules with their targets, archives and replays. kind: which of them; name: unique among them, of a rule
-- "bus/rule". What is said of each is in sealed, wrapped by the account's key and bound to the row
-- (casemate/services/events/store.py). A default bus of which nothing was said has no row.
CREATE TABLE events_things (
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    created REAL NOT NULL,
    sealed BLOB NOT NULL,
    PRIMARY KEY (account, region, kind, name)
) STRICT;

-- Events that wait to be matched and sent, in the order of their ids. sealed: the event.
CREATE TABLE events_outbox (
    id TEXT NOT NULL PRIMARY KEY,
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    bus TEXT NOT NULL,
    sealed BLOB NOT NULL
) STRICT;

-- What could not be sent to a target yet. sealed: what is to be sent, where, and why it could not.
CREATE TABLE events_retries (
    id TEXT NOT NULL PRIMARY KEY,
    account TEXT NOT NULL,
    due REAL NOT NULL,
    sealed BLOB NOT NULL
) STRICT;

CREATE INDEX events_retries_due ON events_retries (due);

-- Archived events by time. bytes: of the event.
CREATE TABLE events_archived (
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    archive TEXT NOT NULL,
    time REAL NOT NULL,
    id TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    sealed BLOB NOT NULL,
    PRIMARY KEY (account, region, archive, time, id)
) STRICT;
