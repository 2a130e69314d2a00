-- Forgets cells, and answers how many there were.
-- KEYS: the cells.
return redis.call('UNLINK', unpack(KEYS))
