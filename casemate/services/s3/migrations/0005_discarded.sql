-- Parts that are no upload's and no object's any more, by what held them (s3_bodies.holder): too many to be removed in
-- one transaction, a job removes them.
CREATE TABLE s3_discarded (
    holder TEXT NOT NULL PRIMARY KEY
) STRICT;
