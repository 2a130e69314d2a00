-- Collations are binary: names are compared and listed byte by byte, whatever the database was made with. They ignore
-- blanks at the end, so a text with such blanks must not be looked for.
CREATE TABLE users (
    id            VARCHAR(64)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    name          VARCHAR(64)  NOT NULL,
    name_folded   VARCHAR(192) NOT NULL UNIQUE,
    password_hash VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    created_at    BIGINT       NOT NULL,
    disabled_at   BIGINT
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE sessions (
    id         VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    token_hash VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL UNIQUE,
    user_id    VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    created_at BIGINT      NOT NULL,
    expires_at BIGINT      NOT NULL,
    INDEX sessions_by_user (user_id),
    INDEX sessions_by_expiry (expires_at),
    FOREIGN KEY (user_id) REFERENCES users (id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE api_keys (
    id           VARCHAR(64)   CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    user_id      VARCHAR(64)   CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    name         VARCHAR(64)   NOT NULL,
    hint         VARCHAR(64)   NOT NULL,
    secret_hash  VARCHAR(64)   CHARACTER SET ascii COLLATE ascii_bin NOT NULL UNIQUE,
    quota        VARCHAR(2048),
    created_at   BIGINT        NOT NULL,
    expires_at   BIGINT,
    revoked_at   BIGINT,
    rotated_from VARCHAR(64)   CHARACTER SET ascii COLLATE ascii_bin,
    last_used_at BIGINT,
    INDEX api_keys_by_user (user_id),
    FOREIGN KEY (user_id) REFERENCES users (id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- One row per minute; key_id is '' for requests that came by session or token.
CREATE TABLE "usage" (
    key_id       VARCHAR(64)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    user_id      VARCHAR(64)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    route        VARCHAR(512) NOT NULL,
    bucket_start BIGINT       NOT NULL,
    allowed      BIGINT       NOT NULL,
    denied       BIGINT       NOT NULL,
    failed       BIGINT       NOT NULL,
    PRIMARY KEY (key_id, user_id, route, bucket_start)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- What other processes must hear of; seq is never used twice, so a reader's place stays good after pruning.
CREATE TABLE changes (
    seq     BIGINT      NOT NULL AUTO_INCREMENT PRIMARY KEY,
    at      BIGINT      NOT NULL,
    kind    VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    subject VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    INDEX changes_by_time (at)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Whoever changes accounts holds its one row until the end, so rows of changes are committed in the order of seq.
CREATE TABLE changes_lock (id INT NOT NULL PRIMARY KEY) ENGINE = InnoDB;
INSERT INTO changes_lock (id) VALUES (1);
