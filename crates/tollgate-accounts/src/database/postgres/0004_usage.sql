-- Answers by class, time and bytes; and hours and days beside minutes, which the writer keeps alike.
ALTER TABLE "usage"
    ADD COLUMN unauthenticated BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN answers_2xx BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN answers_3xx BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN answers_4xx BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN answers_5xx BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN latency_us BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN latency_us_max BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN bytes_in BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN bytes_out BIGINT NOT NULL DEFAULT 0;
CREATE INDEX usage_by_time ON "usage" (bucket_start);

CREATE TABLE usage_hours (
    key_id          TEXT   COLLATE "C" NOT NULL,
    user_id         TEXT   COLLATE "C" NOT NULL,
    route           TEXT   COLLATE "C" NOT NULL,
    bucket_start    BIGINT NOT NULL,
    allowed         BIGINT NOT NULL,
    denied          BIGINT NOT NULL,
    failed          BIGINT NOT NULL,
    unauthenticated BIGINT NOT NULL,
    answers_2xx     BIGINT NOT NULL,
    answers_3xx     BIGINT NOT NULL,
    answers_4xx     BIGINT NOT NULL,
    answers_5xx     BIGINT NOT NULL,
    latency_us      BIGINT NOT NULL,
    latency_us_max  BIGINT NOT NULL,
    bytes_in        BIGINT NOT NULL,
    bytes_out       BIGINT NOT NULL,
    PRIMARY KEY (key_id, user_id, route, bucket_start)
);
CREATE INDEX usage_hours_by_time ON usage_hours (bucket_start);
INSERT INTO usage_hours (key_id, user_id, route, bucket_start, allowed, denied, failed, unauthenticated, answers_2xx, answers_3xx, answers_4xx, answers_5xx, latency_us, latency_us_max, bytes_in, bytes_out)
SELECT key_id, user_id, route, bucket_start - bucket_start % 3600000000, SUM(allowed), SUM(denied), SUM(failed), 0, 0, 0, 0, 0, 0, 0, 0, 0
FROM "usage" GROUP BY key_id, user_id, route, bucket_start - bucket_start % 3600000000;

CREATE TABLE usage_days (
    key_id          TEXT   COLLATE "C" NOT NULL,
    user_id         TEXT   COLLATE "C" NOT NULL,
    route           TEXT   COLLATE "C" NOT NULL,
    bucket_start    BIGINT NOT NULL,
    allowed         BIGINT NOT NULL,
    denied          BIGINT NOT NULL,
    failed          BIGINT NOT NULL,
    unauthenticated BIGINT NOT NULL,
    answers_2xx     BIGINT NOT NULL,
    answers_3xx     BIGINT NOT NULL,
    answers_4xx     BIGINT NOT NULL,
    answers_5xx     BIGINT NOT NULL,
    latency_us      BIGINT NOT NULL,
    latency_us_max  BIGINT NOT NULL,
    bytes_in        BIGINT NOT NULL,
    bytes_out       BIGINT NOT NULL,
    PRIMARY KEY (key_id, user_id, route, bucket_start)
);
CREATE INDEX usage_days_by_time ON usage_days (bucket_start);
INSERT INTO usage_days (key_id, user_id, route, bucket_start, allowed, denied, failed, unauthenticated, answers_2xx, answers_3xx, answers_4xx, answers_5xx, latency_us, latency_us_max, bytes_in, bytes_out)
SELECT key_id, user_id, route, bucket_start - bucket_start % 86400000000, SUM(allowed), SUM(denied), SUM(failed), 0, 0, 0, 0, 0, 0, 0, 0, 0
FROM "usage" GROUP BY key_id, user_id, route, bucket_start - bucket_start % 86400000000;

-- Denials by policy; step_s is 60, 3600 or 86400: minutes, hours and days stand beside each other.
CREATE TABLE usage_denials (
    key_id       TEXT   COLLATE "C" NOT NULL,
    user_id      TEXT   COLLATE "C" NOT NULL,
    route        TEXT   COLLATE "C" NOT NULL,
    policy       TEXT   COLLATE "C" NOT NULL,
    step_s       BIGINT NOT NULL,
    bucket_start BIGINT NOT NULL,
    denied       BIGINT NOT NULL,
    PRIMARY KEY (key_id, user_id, route, policy, step_s, bucket_start)
);
CREATE INDEX usage_denials_by_time ON usage_denials (step_s, bucket_start);
