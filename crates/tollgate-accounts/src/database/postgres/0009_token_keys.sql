-- The keys that sign tokens, of the one row, where gateways share them; else there is no row.
CREATE TABLE token_keys (id BIGINT NOT NULL PRIMARY KEY, ring TEXT COLLATE "C" NOT NULL);
