-- What casemate/store/postgresql.py needs for itself.

-- A mark per committed write, deleted after a while: tells whether a commit whose answer was lost took place,
-- and which attempt's.
CREATE TABLE store_requests (
    request_id TEXT NOT NULL PRIMARY KEY,
    attempt INTEGER NOT NULL
);

-- A row per writing connection, so that no two transactions change the same: how often it bumped each domain,
-- as a JSON object. at: seconds since the epoch.
CREATE TABLE store_generations (
    writer TEXT NOT NULL PRIMARY KEY,
    at INTEGER NOT NULL,
    domains TEXT NOT NULL
);
