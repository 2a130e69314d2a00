ALTER TABLE users ADD COLUMN plan TEXT;
ALTER TABLE users ADD COLUMN role TEXT NOT NULL DEFAULT 'user';
CREATE INDEX users_by_plan ON users (plan);

CREATE TABLE plans (
    name       TEXT   NOT NULL PRIMARY KEY,
    created_at BIGINT NOT NULL
);

-- Quotas in the place of those that the rules give to a limit. The scope is everybody, plan, user or key; the subject is
-- '', a plan's name, or an id.
CREATE TABLE overrides (
    scope       TEXT   NOT NULL,
    subject     TEXT   NOT NULL,
    limit_name  TEXT   NOT NULL,
    quotas      TEXT   NOT NULL,
    quota_count BIGINT NOT NULL,
    PRIMARY KEY (scope, subject, limit_name)
);
CREATE INDEX overrides_by_limit ON overrides (limit_name, quota_count);

CREATE TABLE audit (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    at      BIGINT NOT NULL,
    actor   TEXT   NOT NULL,
    action  TEXT   NOT NULL,
    subject TEXT   NOT NULL,
    detail  TEXT   NOT NULL
);
CREATE INDEX audit_by_time ON audit (at);
