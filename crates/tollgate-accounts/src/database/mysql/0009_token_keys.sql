-- The keys that sign tokens, of the one row, where gateways share them; else there is no row.
CREATE TABLE token_keys (
    id   BIGINT        NOT NULL PRIMARY KEY,
    ring VARCHAR(8192) CHARACTER SET ascii COLLATE ascii_bin NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
