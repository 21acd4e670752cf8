-- The columns that all tables of paces have. owner: the topic's ARN; name: the subscription's.
DROP TABLE sns_paces;
CREATE TABLE sns_paces (
    owner TEXT NOT NULL,
    name TEXT NOT NULL,
    upto REAL NOT NULL,
    PRIMARY KEY (owner, name)
) STRICT;
