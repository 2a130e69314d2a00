-- So that idle sessions are found without reading all of them.
CREATE INDEX sessions_by_use ON sessions (last_seen_at, created_at);
