-- The first of the keys that took each other's place, which all of them count as; NULL for a key that is the first.
ALTER TABLE api_keys ADD COLUMN counts_as VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin;
