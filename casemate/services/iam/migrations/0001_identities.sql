CREATE TABLE accounts (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    created REAL NOT NULL
) STRICT;

-- seal binds the user and all its policies, attached and inline, under the account's key: whoever can write to
-- the database cannot give a user rights.
CREATE TABLE iam_users (
    account TEXT NOT NULL,
    name TEXT NOT NULL,
    path TEXT NOT NULL,
    id TEXT NOT NULL,
    created REAL NOT NULL,
    seal BLOB NOT NULL,
    PRIMARY KEY (account, name)
) STRICT;

-- user_name is '' for a key of the account's root user. secret is wrapped by the account's key, bound to the other
-- columns but created.
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
