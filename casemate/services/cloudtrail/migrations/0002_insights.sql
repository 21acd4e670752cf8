-- How often an API was called, and with which error it was refused ('' for all calls), in a minute, of what a trail with
-- Insights looks at. minute: minutes since the epoch; unusual: 1 where it belongs to an Insights event, so that it is no
-- part of what is usual; callers: who called, as JSON.
CREATE TABLE cloudtrail_minutes (
    trail TEXT NOT NULL,
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    source TEXT NOT NULL,
    name TEXT NOT NULL,
    error TEXT NOT NULL,
    minute INTEGER NOT NULL,
    calls INTEGER NOT NULL,
    unusual INTEGER NOT NULL,
    callers TEXT NOT NULL,
    PRIMARY KEY (trail, account, region, source, name, error, minute)
) STRICT;
CREATE INDEX cloudtrail_minutes_by_time ON cloudtrail_minutes (trail, minute);

-- Unusual activity that goes on. started, latest: its first and its last unusual minute so far; least: how many calls
-- make a minute unusual; shared: the id that its two events share; baseline: what was usual before, as JSON.
CREATE TABLE cloudtrail_unusual (
    trail TEXT NOT NULL,
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    source TEXT NOT NULL,
    name TEXT NOT NULL,
    error TEXT NOT NULL,
    started INTEGER NOT NULL,
    latest INTEGER NOT NULL,
    least REAL NOT NULL,
    shared TEXT NOT NULL,
    baseline TEXT NOT NULL,
    PRIMARY KEY (trail, account, region, source, name, error)
) STRICT;

-- How far the minutes of a trail were looked at.
CREATE TABLE cloudtrail_looked (
    trail TEXT NOT NULL PRIMARY KEY,
    minute INTEGER NOT NULL
) STRICT;

-- Insights events of the last 90 days, for LookupEvents. time: seconds since the epoch; sealed: the event.
CREATE TABLE cloudtrail_insight_events (
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    id TEXT NOT NULL,
    time INTEGER NOT NULL,
    source TEXT NOT NULL,
    name TEXT NOT NULL,
    sealed BLOB NOT NULL,
    PRIMARY KEY (account, id)
) STRICT;
CREATE INDEX cloudtrail_insight_events_by_time ON cloudtrail_insight_events (account, region, time);
