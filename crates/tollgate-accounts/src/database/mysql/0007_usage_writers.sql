-- How many batches of usage each process has written: one whose answer was lost is not counted twice.
CREATE TABLE usage_writers (
    id         VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    batches    BIGINT NOT NULL,
    written_at BIGINT NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
