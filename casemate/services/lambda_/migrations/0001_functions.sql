-- Functions, by name. sealed: what is true of a function whatever its version: tags, reserved concurrency, aliases, resource
-- policies, what becomes of asynchronous invocations; wrapped by the account's key and bound to the row.
CREATE TABLE lambda_functions (
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    name TEXT NOT NULL,
    sealed BLOB NOT NULL,
    PRIMARY KEY (account, region, name)
) STRICT;

-- Versions; 0 is $LATEST. code: which lambda_code row is its deployment package; several versions may share one. sealed: the
-- configuration, wrapped as above; environment variables are ciphertexts of KMS's in it.
CREATE TABLE lambda_versions (
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    code TEXT NOT NULL,
    sealed BLOB NOT NULL,
    PRIMARY KEY (account, region, name, version)
) STRICT;

CREATE INDEX lambda_versions_code ON lambda_versions (code);

-- Deployment packages, in frames that are sealed under a data key of the package's own, which stands in its versions' rows.
CREATE TABLE lambda_code (
    code TEXT NOT NULL,
    frame INTEGER NOT NULL,
    sealed BLOB NOT NULL,
    PRIMARY KEY (code, frame)
) STRICT;
