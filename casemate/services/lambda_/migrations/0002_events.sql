-- Asynchronous invocations that wait, for the first time or for another. due, lease_until: seconds since the epoch; whoever
-- runs one has it until lease_until, and under an epoch of its own. sealed: the event, wrapped by the account's key and
-- bound to its id.
CREATE TABLE lambda_events (
    id TEXT NOT NULL PRIMARY KEY,
    account TEXT NOT NULL,
    due REAL NOT NULL,
    lease_until REAL NOT NULL,
    epoch INTEGER NOT NULL,
    sealed BLOB NOT NULL
) STRICT;

CREATE INDEX lambda_events_due ON lambda_events (due);
