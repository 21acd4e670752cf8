-- When what is held is discarded: seconds since the epoch. Parts of a replica that is being made are laid out under a
-- holder of their own, which is discarded unless the replica takes it over before.
ALTER TABLE s3_discarded ADD COLUMN due REAL NOT NULL DEFAULT 0;
