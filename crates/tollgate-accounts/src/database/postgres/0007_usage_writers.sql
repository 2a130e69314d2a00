-- How many batches of usage each process has written: one whose answer was lost is not counted twice.
CREATE TABLE usage_writers (
    id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    batches    BIGINT NOT NULL,
    written_at BIGINT NOT NULL
);
