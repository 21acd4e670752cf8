-- Rows with a seal decide rights. A seal binds all columns of its row, under the key of the management account (of
-- org_accounts: under the account's own), so that a row that was altered or moved is not used.

-- policy_types: JSON, the types that are enabled in the root. delegation: the resource-based delegation policy, ''
-- where there is none; delegation_id: its id; delegation_tags: a JSON object.
CREATE TABLE org_organizations (
    id TEXT NOT NULL PRIMARY KEY,
    management TEXT NOT NULL UNIQUE,
    feature_set TEXT NOT NULL,
    root TEXT NOT NULL,
    created REAL NOT NULL,
    policy_types TEXT NOT NULL,
    delegation_id TEXT NOT NULL,
    delegation TEXT NOT NULL,
    delegation_tags TEXT NOT NULL,
    seal BLOB NOT NULL
) STRICT;

-- The root, its units and accounts. parent: '' of the root; policies: JSON, the ids of what is attached, in the order
-- of attachment; tags: a JSON object; method: how an account joined, '' of other nodes; joined: when it did, or when
-- the node was made.
CREATE TABLE org_nodes (
    organization TEXT NOT NULL,
    id TEXT NOT NULL,
    kind TEXT NOT NULL,
    parent TEXT NOT NULL,
    name TEXT NOT NULL,
    policies TEXT NOT NULL,
    tags TEXT NOT NULL,
    method TEXT NOT NULL,
    joined REAL NOT NULL,
    seal BLOB NOT NULL,
    PRIMARY KEY (organization, id)
) STRICT;

CREATE UNIQUE INDEX org_nodes_account ON org_nodes (id) WHERE kind = 'ACCOUNT';

CREATE INDEX org_nodes_parent ON org_nodes (organization, parent, id);

-- What is known of an account wherever it belongs. handle: the email in lower case; created: when Organizations made
-- it, NULL of other accounts; closed: since when it is, NULL while it is open.
CREATE TABLE org_accounts (
    account TEXT NOT NULL PRIMARY KEY,
    email TEXT NOT NULL,
    handle TEXT NOT NULL UNIQUE,
    created REAL,
    closed REAL,
    seal BLOB NOT NULL
) STRICT;

CREATE TABLE org_policies (
    organization TEXT NOT NULL,
    id TEXT NOT NULL,
    type TEXT NOT NULL,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    content TEXT NOT NULL,
    tags TEXT NOT NULL,
    updated REAL NOT NULL,
    seal BLOB NOT NULL,
    PRIMARY KEY (organization, id),
    UNIQUE (organization, type, name)
) STRICT;

-- Accounts that administer a service for the organisation.
CREATE TABLE org_delegates (
    organization TEXT NOT NULL,
    account TEXT NOT NULL,
    service TEXT NOT NULL,
    enabled REAL NOT NULL,
    seal BLOB NOT NULL,
    PRIMARY KEY (organization, account, service)
) STRICT;

-- Services with trusted access.
CREATE TABLE org_services (
    organization TEXT NOT NULL,
    service TEXT NOT NULL,
    enabled REAL NOT NULL,
    PRIMARY KEY (organization, service)
) STRICT;

-- account: whom it was sent to, '' where only an email is known and no account has it yet, and of what goes to the
-- organisation itself; state: as it was left, an open one past its end is expired; resolved: when it was answered,
-- NULL while it is open.
CREATE TABLE org_handshakes (
    id TEXT NOT NULL PRIMARY KEY,
    organization TEXT NOT NULL,
    management TEXT NOT NULL,
    action TEXT NOT NULL,
    account TEXT NOT NULL,
    email TEXT NOT NULL,
    state TEXT NOT NULL,
    requested REAL NOT NULL,
    expires REAL NOT NULL,
    resolved REAL,
    notes TEXT NOT NULL,
    tags TEXT NOT NULL,
    parent TEXT NOT NULL
) STRICT;

CREATE INDEX org_handshakes_sent ON org_handshakes (organization, id);

CREATE INDEX org_handshakes_received ON org_handshakes (account, id);

-- Requests to make an account. account: '' and reason: why, when it was not made.
CREATE TABLE org_creations (
    organization TEXT NOT NULL,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    requested REAL NOT NULL,
    completed REAL NOT NULL,
    account TEXT NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (organization, id)
) STRICT;
