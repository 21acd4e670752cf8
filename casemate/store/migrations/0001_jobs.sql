-- Work that is due at a time (casemate/store/jobs.py). Times are seconds since the epoch.
CREATE TABLE store_jobs (
    id TEXT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    due REAL NOT NULL,
    lease_until REAL NOT NULL,
    epoch INTEGER NOT NULL,
    every REAL,
    failures INTEGER NOT NULL,
    payload TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX store_jobs_due ON store_jobs (due);
CREATE INDEX store_jobs_lease ON store_jobs (lease_until) WHERE lease_until > 0;
