-- Forgets values that are none of ours, and nothing that has come in their place since. Answers how many it forgot.
-- KEYS: their cells. ARGV[i]: what was found under KEYS[i].
local forgotten = 0
for i, key in ipairs(KEYS) do
  if redis.pcall('GET', key) == ARGV[i] then forgotten = forgotten + redis.call('UNLINK', key) end
end
return forgotten
