-- Event source mappings: which queue's messages a function is invoked with. sealed: what is configured, wrapped by the
-- account's key and bound to the row. holder, lease_until: the worker that polls the queue, until when; result: what
-- came of the last messages.
CREATE TABLE lambda_mappings (
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    id TEXT NOT NULL,
    sealed BLOB NOT NULL,
    holder TEXT NOT NULL,
    lease_until REAL NOT NULL,
    result TEXT NOT NULL,
    PRIMARY KEY (account, region, id)
) STRICT;
