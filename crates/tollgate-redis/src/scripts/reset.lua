-- Forgets cells, and answers how many there were.
-- KEYS: the cells.
return redis.call('DEL', unpack(KEYS))
