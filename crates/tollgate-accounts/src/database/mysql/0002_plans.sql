ALTER TABLE users
    ADD COLUMN plan VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin,
    ADD COLUMN role VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT 'user',
    ADD INDEX users_by_plan (plan);

CREATE TABLE plans (
    name       VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    created_at BIGINT      NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Quotas in the place of those that the rules give to a limit. The scope is everybody, plan, user or key; the subject is
-- '', a plan's name, or an id.
CREATE TABLE overrides (
    scope       VARCHAR(16)   CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    subject     VARCHAR(64)   CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    limit_name  VARCHAR(128)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    quotas      VARCHAR(1024) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    quota_count BIGINT        NOT NULL,
    PRIMARY KEY (scope, subject, limit_name),
    INDEX overrides_by_limit (limit_name, quota_count)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE audit (
    seq     BIGINT        NOT NULL AUTO_INCREMENT PRIMARY KEY,
    at      BIGINT        NOT NULL,
    actor   VARCHAR(64)   CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    action  VARCHAR(32)   CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    subject VARCHAR(160)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    detail  VARCHAR(4096) NOT NULL,
    INDEX audit_by_time (at)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
