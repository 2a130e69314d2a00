-- When a session was last used, to the minute or so; NULL for sessions from before that was noted.
ALTER TABLE sessions ADD COLUMN last_seen_at BIGINT;

-- Words with blanks between them; NULL for a key that may do everything.
ALTER TABLE api_keys ADD COLUMN scopes TEXT COLLATE "C";

-- Tokens that are good by their signature and must not be; jti is 32 hexadecimal digits.
CREATE TABLE revoked_tokens (
    jti        TEXT   COLLATE "C" NOT NULL PRIMARY KEY,
    expires_at BIGINT NOT NULL
);
CREATE INDEX revoked_tokens_by_expiry ON revoked_tokens (expires_at);
