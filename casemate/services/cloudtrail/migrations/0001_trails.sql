-- A trail. deleted: when, in seconds since the epoch, 0 while it is there: what it has seen until then is delivered
-- still; organization: of an organisation's trail, '' of others; sealed: its settings, under the account's key.
CREATE TABLE cloudtrail_trails (
    id TEXT NOT NULL PRIMARY KEY,
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    name TEXT NOT NULL,
    created REAL NOT NULL,
    deleted REAL NOT NULL,
    organization TEXT NOT NULL,
    sealed BLOB NOT NULL,
    UNIQUE (account, region, name, deleted)
) STRICT;
CREATE INDEX cloudtrail_trails_of_organizations ON cloudtrail_trails (organization);

-- How deliveries of a trail went in a Region. status: GetTrailStatus's members, as JSON; times in seconds.
CREATE TABLE cloudtrail_status (
    trail TEXT NOT NULL,
    region TEXT NOT NULL,
    status TEXT NOT NULL,
    PRIMARY KEY (trail, region)
) STRICT;

-- Events that wait for their delivery, many in a row. kind: "CloudTrail", "CloudTrail-Insight", or "logs" for those on
-- their way to CloudWatch Logs; own: 1 where all of them are of CloudTrail's own deliveries; sealed: deflated JSON.
CREATE TABLE cloudtrail_pending (
    id TEXT NOT NULL PRIMARY KEY,
    trail TEXT NOT NULL,
    kind TEXT NOT NULL,
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    created REAL NOT NULL,
    size INTEGER NOT NULL,
    own INTEGER NOT NULL,
    sealed BLOB NOT NULL
) STRICT;
CREATE INDEX cloudtrail_pending_of_trails ON cloudtrail_pending (trail, kind, account, region, id);

-- Log files that were delivered and are in no digest yet.
CREATE TABLE cloudtrail_files (
    id TEXT NOT NULL PRIMARY KEY,
    trail TEXT NOT NULL,
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    sealed BLOB NOT NULL
) STRICT;
CREATE INDEX cloudtrail_files_of_trails ON cloudtrail_files (trail, account, region, id);

-- Chains of digests. ended: until when the last one is, or when the chain begins; sealed: the last one, or null.
CREATE TABLE cloudtrail_chains (
    trail TEXT NOT NULL,
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    ended REAL NOT NULL,
    sealed BLOB NOT NULL,
    PRIMARY KEY (trail, account, region)
) STRICT;

-- What digests are signed with: the keys of a Region, one after the other. public: PKCS #1, DER.
CREATE TABLE cloudtrail_keys (
    region TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    starts REAL NOT NULL,
    ends REAL NOT NULL,
    public BLOB NOT NULL,
    sealed BLOB NOT NULL,
    PRIMARY KEY (region, fingerprint)
) STRICT;
