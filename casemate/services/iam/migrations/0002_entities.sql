-- One row for each user, group, role, customer managed policy and instance profile. handle: the name in lower case,
-- since names differ by more than case; content: all that the other columns do not say, JSON; seal binds the row as a
-- whole under the account's key: whoever can write to the database cannot give anybody rights.
CREATE TABLE iam_entities (
    account TEXT NOT NULL,
    kind TEXT NOT NULL,
    handle TEXT NOT NULL,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    path TEXT NOT NULL,
    created REAL NOT NULL,
    content TEXT NOT NULL,
    seal BLOB NOT NULL,
    PRIMARY KEY (account, kind, handle)
) STRICT;

CREATE UNIQUE INDEX iam_entities_by_id ON iam_entities (account, id);

-- What entities refer to, to be found from the other end: relation is 'policy' or 'boundary' with a policy's ARN,
-- 'group' or 'role' with an id. Rights follow from the rows' contents, never from here.
CREATE TABLE iam_links (
    account TEXT NOT NULL,
    relation TEXT NOT NULL,
    target TEXT NOT NULL,
    source TEXT NOT NULL,
    PRIMARY KEY (account, relation, target, source)
) STRICT;

CREATE INDEX iam_links_by_source ON iam_links (account, source);

CREATE INDEX iam_access_keys_of_user ON iam_access_keys (account, user_name);

-- When an access key or a role (by its id) was last used, written some time afterwards.
CREATE TABLE iam_uses (
    id TEXT NOT NULL PRIMARY KEY,
    account TEXT NOT NULL,
    last REAL NOT NULL,
    service TEXT NOT NULL,
    region TEXT NOT NULL
) STRICT;
