-- The unique ids of the users and roles that a key policy names by their ARNs, a JSON object, '' where it names nobody:
-- one who is made anew under the name of one who was deleted is somebody else.
ALTER TABLE kms_keys ADD COLUMN principals TEXT NOT NULL DEFAULT '';
