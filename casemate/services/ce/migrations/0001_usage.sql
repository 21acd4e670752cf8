-- Calls that were answered, by day (UTC, as 2026-11-25). account: whose call it was; resource: its ARN, '' for none.
CREATE TABLE ce_requests (
    account TEXT NOT NULL,
    day TEXT NOT NULL,
    service TEXT NOT NULL,
    region TEXT NOT NULL,
    operation TEXT NOT NULL,
    usage_type TEXT NOT NULL,
    resource TEXT NOT NULL,
    calls INTEGER NOT NULL,
    PRIMARY KEY (account, day, service, region, operation, usage_type, resource)
) STRICT;

-- How far each run of an audit journal was counted: the last record's position. run: '' holds a time before which
-- nothing counts.
CREATE TABLE ce_positions (
    run TEXT NOT NULL,
    time_ns INTEGER NOT NULL,
    segment INTEGER NOT NULL,
    frame INTEGER NOT NULL,
    record INTEGER NOT NULL,
    place INTEGER NOT NULL,
    PRIMARY KEY (run)
) STRICT;
