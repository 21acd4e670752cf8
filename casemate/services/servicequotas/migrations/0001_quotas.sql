-- Values that apply in place of the defaults. service, code: Service Quotas'.
CREATE TABLE service_quotas_values (
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    service TEXT NOT NULL,
    code TEXT NOT NULL,
    value REAL NOT NULL,
    updated REAL NOT NULL,
    PRIMARY KEY (account, region, service, code)
) STRICT;

-- Requested increases, all that there ever were. id: later ones sort after earlier ones. requester: the caller's ARN.
CREATE TABLE service_quotas_requests (
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    id TEXT NOT NULL,
    service TEXT NOT NULL,
    code TEXT NOT NULL,
    desired REAL NOT NULL,
    status TEXT NOT NULL,
    requester TEXT NOT NULL,
    created REAL NOT NULL,
    updated REAL NOT NULL,
    PRIMARY KEY (account, region, id)
) STRICT;

-- One open request of a quota.
CREATE UNIQUE INDEX service_quotas_open ON service_quotas_requests (account, region, service, code)
    WHERE status IN ('PENDING', 'CASE_OPENED');

CREATE TABLE service_quotas_tags (
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    service TEXT NOT NULL,
    code TEXT NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (account, region, service, code, name)
) STRICT;
