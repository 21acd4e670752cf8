-- Export tasks. status: as AWS names it; created, finished: milliseconds since the epoch; data: what goes where, sealed under
-- the account's key; message: what went wrong.
CREATE TABLE logs_exports (
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    id TEXT NOT NULL,
    created INTEGER NOT NULL,
    status TEXT NOT NULL,
    finished INTEGER,
    message TEXT NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (account, region, id)
) STRICT;
