CREATE TABLE users (
    id            TEXT   NOT NULL PRIMARY KEY,
    name          TEXT   NOT NULL,
    name_folded   TEXT   NOT NULL UNIQUE,
    password_hash TEXT   NOT NULL,
    created_at    BIGINT NOT NULL,
    disabled_at   BIGINT
);

CREATE TABLE sessions (
    id         TEXT   NOT NULL PRIMARY KEY,
    token_hash TEXT   NOT NULL UNIQUE,
    user_id    TEXT   NOT NULL REFERENCES users (id),
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX sessions_by_user ON sessions (user_id);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

CREATE TABLE api_keys (
    id           TEXT   NOT NULL PRIMARY KEY,
    user_id      TEXT   NOT NULL REFERENCES users (id),
    name         TEXT   NOT NULL,
    hint         TEXT   NOT NULL,
    secret_hash  TEXT   NOT NULL UNIQUE,
    quota        TEXT,
    created_at   BIGINT NOT NULL,
    expires_at   BIGINT,
    revoked_at   BIGINT,
    rotated_from TEXT,
    last_used_at BIGINT
);
CREATE INDEX api_keys_by_user ON api_keys (user_id);

-- One row per minute; key_id is '' for requests that came by session or token.
CREATE TABLE "usage" (
    key_id       TEXT   NOT NULL,
    user_id      TEXT   NOT NULL,
    route        TEXT   NOT NULL,
    bucket_start BIGINT NOT NULL,
    allowed      BIGINT NOT NULL,
    denied       BIGINT NOT NULL,
    failed       BIGINT NOT NULL,
    PRIMARY KEY (key_id, user_id, route, bucket_start)
);

-- What other processes must hear of; seq is never used twice, so a reader's place stays good after pruning.
CREATE TABLE changes (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    at      BIGINT NOT NULL,
    kind    TEXT   NOT NULL,
    subject TEXT   NOT NULL
);
CREATE INDEX changes_by_time ON changes (at);
