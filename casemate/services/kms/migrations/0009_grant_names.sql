-- The ARNs of the users and roles that a grant means by their unique ids, a JSON object by id; '' where there are none.
ALTER TABLE kms_grants ADD COLUMN named TEXT NOT NULL DEFAULT '';
