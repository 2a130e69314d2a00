-- When a session was last used, to the minute or so; NULL for sessions from before that was noted.
ALTER TABLE sessions ADD COLUMN last_seen_at BIGINT;

-- Words with blanks between them; NULL for a key that may do everything.
ALTER TABLE api_keys ADD COLUMN scopes VARCHAR(2048) CHARACTER SET ascii COLLATE ascii_bin;

-- Tokens that are good by their signature and must not be; jti is 32 hexadecimal digits.
CREATE TABLE revoked_tokens (
    jti        VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    expires_at BIGINT      NOT NULL,
    INDEX revoked_tokens_by_expiry (expires_at)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
