-- An account's name for sign-in, which nobody else has.
CREATE TABLE iam_account_aliases (
    alias TEXT NOT NULL PRIMARY KEY,
    account TEXT NOT NULL UNIQUE
) STRICT;

-- Deletions of service-linked roles that are done.
CREATE TABLE iam_deletions (
    account TEXT NOT NULL,
    task TEXT NOT NULL,
    ended REAL NOT NULL,
    PRIMARY KEY (account, task)
) STRICT;
