-- Metrics that have data. id: a keyed hash of namespace, name and dimensions; latest: when data last came, seconds since
-- the epoch; data: namespace, name and dimensions, sealed under the account's key.
CREATE TABLE cloudwatch_metrics (
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    id TEXT NOT NULL,
    latest INTEGER NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (account, region, id)
) STRICT;

CREATE INDEX cloudwatch_metrics_by_latest ON cloudwatch_metrics (latest);

-- What calls brought that is not folded into cloudwatch_points yet (casemate/services/cloudwatch/folding.py). data: the
-- points, sealed under the account's key.
CREATE TABLE cloudwatch_arrivals (
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    id TEXT NOT NULL,
    received INTEGER NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (account, region, id)
) STRICT;

-- Sixty points of a metric, one after the other. resolution: seconds of a point (1, 60, 300, 3600); start: of the first
-- one, seconds since the epoch; data: the points, sealed under the account's key.
CREATE TABLE cloudwatch_points (
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    metric TEXT NOT NULL,
    resolution INTEGER NOT NULL,
    start INTEGER NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (account, region, metric, resolution, start)
) STRICT;

CREATE INDEX cloudwatch_points_by_age ON cloudwatch_points (resolution, start);
