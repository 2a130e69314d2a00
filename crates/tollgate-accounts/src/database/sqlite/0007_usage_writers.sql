-- How many batches of usage each process has written: one whose answer was lost is not counted twice.
CREATE TABLE usage_writers (
    id         TEXT NOT NULL PRIMARY KEY,
    batches    INTEGER NOT NULL,
    written_at INTEGER NOT NULL
);
