-- What is yet to be sent by HTTP: events for API destinations, and authorizations of connections. due: seconds since the
-- epoch; sealed: what, and how it went so far (casemate/services/events/calling.py).
CREATE TABLE events_calls (
    id TEXT NOT NULL PRIMARY KEY,
    account TEXT NOT NULL,
    due REAL NOT NULL,
    sealed BLOB NOT NULL
) STRICT;

CREATE INDEX events_calls_by_account ON events_calls (account, due, id);

-- Until when the invocations of API destinations are arranged, of which so many a second are made at most. owner, name:
-- the account and the ARN; upto: seconds since the epoch.
CREATE TABLE events_paces (
    owner TEXT NOT NULL,
    name TEXT NOT NULL,
    upto REAL NOT NULL,
    PRIMARY KEY (owner, name)
) STRICT;

-- Accounts take turns.
CREATE INDEX events_outbox_by_account ON events_outbox (account, id);
CREATE INDEX events_retries_by_account ON events_retries (account, due);
