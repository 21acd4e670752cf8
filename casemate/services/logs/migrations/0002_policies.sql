-- Resource policies of an account in a Region. seal: binds all columns together under the account's key.
CREATE TABLE logs_policies (
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    name TEXT NOT NULL,
    document TEXT NOT NULL,
    updated INTEGER NOT NULL,
    seal BLOB NOT NULL,
    PRIMARY KEY (account, region, name)
) STRICT;
