-- CRC64NVME of a body's sealed bytes, which tells whether they are as they were without any key.
ALTER TABLE s3_bodies ADD COLUMN digest BLOB;
