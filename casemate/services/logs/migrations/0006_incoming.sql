-- Up to which batch (id) what came is counted in AWS/Logs' metrics; one row.
CREATE TABLE logs_counted (
    name TEXT NOT NULL PRIMARY KEY,
    batch TEXT NOT NULL
) STRICT;
