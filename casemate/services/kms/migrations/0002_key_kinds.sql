-- What only some keys have; each has its ordinary value where a key has none of it, and is sealed with the row when
-- it has another (casemate/services/kms/rows.py). primary_region: of a multi-Region key, the Region of its primary key.
-- rotation_period: in days, 0 while there is no automatic rotation. deletion_window: days that a primary key's
-- deletion takes once its replicas are gone. custom_key_store, external_id: where the material is, if not here.
ALTER TABLE kms_keys ADD COLUMN manager TEXT NOT NULL DEFAULT 'CUSTOMER';
ALTER TABLE kms_keys ADD COLUMN primary_region TEXT NOT NULL DEFAULT '';
ALTER TABLE kms_keys ADD COLUMN rotation_period INTEGER NOT NULL DEFAULT 0;
ALTER TABLE kms_keys ADD COLUMN next_rotation REAL;
ALTER TABLE kms_keys ADD COLUMN deletion_window INTEGER NOT NULL DEFAULT 0;
ALTER TABLE kms_keys ADD COLUMN custom_key_store TEXT NOT NULL DEFAULT '';
ALTER TABLE kms_keys ADD COLUMN external_id TEXT NOT NULL DEFAULT '';

-- The related keys of a multi-Region key; and what is in a custom key store.
CREATE INDEX kms_keys_related ON kms_keys (account, id) WHERE primary_region <> '';
CREATE INDEX kms_keys_in_store ON kms_keys (account, region, custom_key_store) WHERE custom_key_store <> '';

-- Of material that came by a rotation: by which kind of rotation, and when. state: '' once it was the current material,
-- else what it waits for. valid_to: when imported material expires. What was imported and is gone has nothing wrapped.
ALTER TABLE kms_backing_keys ADD COLUMN rotation TEXT NOT NULL DEFAULT '';
ALTER TABLE kms_backing_keys ADD COLUMN rotated REAL;
ALTER TABLE kms_backing_keys ADD COLUMN state TEXT NOT NULL DEFAULT '';
ALTER TABLE kms_backing_keys ADD COLUMN description TEXT NOT NULL DEFAULT '';
ALTER TABLE kms_backing_keys ADD COLUMN valid_to REAL;
