-- When a user or role (by its id) or an account's root user (by the account's) last tried an operation, out of the
-- audit. service: the prefix of its actions.
CREATE TABLE iam_accesses (
    account TEXT NOT NULL,
    entity TEXT NOT NULL,
    service TEXT NOT NULL,
    action TEXT NOT NULL,
    last REAL NOT NULL,
    region TEXT NOT NULL,
    PRIMARY KEY (account, entity, service, action)
) STRICT;

-- Reports of it. owner: the principal's id who asked for it; content: JSON.
CREATE TABLE iam_access_reports (
    account TEXT NOT NULL,
    job TEXT NOT NULL,
    owner TEXT NOT NULL,
    granularity TEXT NOT NULL,
    made REAL NOT NULL,
    content TEXT NOT NULL,
    PRIMARY KEY (account, job)
) STRICT;

CREATE INDEX iam_access_reports_by_age ON iam_access_reports (account, made);
