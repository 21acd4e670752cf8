-- Queries of Logs Insights, and what they found. status: as AWS names it; created, finished: milliseconds since the epoch;
-- data: what is asked; result: rows and statistics; both sealed under the account's key, result NULL before the first look.
CREATE TABLE logs_queries (
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    id TEXT NOT NULL,
    created INTEGER NOT NULL,
    status TEXT NOT NULL,
    finished INTEGER,
    data BLOB NOT NULL,
    result BLOB,
    PRIMARY KEY (account, region, id)
) STRICT;

CREATE INDEX logs_queries_by_time ON logs_queries (created);

-- Saved queries. data: name, text and groups, sealed under the account's key.
CREATE TABLE logs_query_definitions (
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    id TEXT NOT NULL,
    modified INTEGER NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (account, region, id)
) STRICT;
