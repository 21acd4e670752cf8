-- Parameters and their versions. path: the name with a leading slash, by which a parameter is found and hierarchies are
-- listed; parent: the hierarchy that it stands in. version: the current one. What is said of a parameter, values and
-- descriptions above all, is in sealed, wrapped by the account's key and bound to the row (casemate/services/ssm/rows.py).
CREATE TABLE ssm_parameters (
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    path TEXT NOT NULL,
    parent TEXT NOT NULL,
    version INTEGER NOT NULL,
    sealed BLOB NOT NULL,
    PRIMARY KEY (account, region, path)
) STRICT;

CREATE INDEX ssm_parameters_children ON ssm_parameters (account, region, parent, path);

CREATE TABLE ssm_versions (
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    path TEXT NOT NULL,
    version INTEGER NOT NULL,
    sealed BLOB NOT NULL,
    PRIMARY KEY (account, region, path, version)
) STRICT;

-- How many parameters of each tier there are.
CREATE TABLE ssm_counts (
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    tier TEXT NOT NULL,
    parameters INTEGER NOT NULL,
    PRIMARY KEY (account, region, tier)
) STRICT;

-- Service settings that have another value than the default. sealed: value, when and by whom it was changed.
CREATE TABLE ssm_settings (
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    id TEXT NOT NULL,
    sealed BLOB NOT NULL,
    PRIMARY KEY (account, region, id)
) STRICT;
