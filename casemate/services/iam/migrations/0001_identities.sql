CREATE TABLE accounts (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    created REAL NOT NULL
) STRICT;

CREATE TABLE iam_users (
    account TEXT NOT NULL,
    name TEXT NOT NULL,
    path TEXT NOT NULL,
    id TEXT NOT NULL,
    created REAL NOT NULL,
    PRIMARY KEY (account, name)
) STRICT;

-- user_name is '' for a key of the account's root user. secret is wrapped by the account's key.
CREATE TABLE iam_access_keys (
    id TEXT NOT NULL PRIMARY KEY,
    account TEXT NOT NULL,
    user_name TEXT NOT NULL,
    secret BLOB NOT NULL,
    status TEXT NOT NULL,
    created REAL NOT NULL
) STRICT;

-- Managed policies attached to a user, by ARN.
CREATE TABLE iam_attached_policies (
    account TEXT NOT NULL,
    user_name TEXT NOT NULL,
    policy_arn TEXT NOT NULL,
    PRIMARY KEY (account, user_name, policy_arn)
) STRICT;

CREATE TABLE iam_inline_policies (
    account TEXT NOT NULL,
    user_name TEXT NOT NULL,
    name TEXT NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (account, user_name, name)
) STRICT;
