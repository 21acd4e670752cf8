-- When a message that is sealed under the data key was last moved to another queue, where it may be retained anew; 0 for
-- never. Of what is there already it is not known: its messages may have been moved as late as they were retained.
ALTER TABLE sqs_data_keys ADD COLUMN moved REAL NOT NULL DEFAULT 0;

UPDATE sqs_data_keys SET moved = created + 1296000.0;
