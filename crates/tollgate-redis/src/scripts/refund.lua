-- Gives back what charges still hold, and answers: the instant, and how many units that were.
-- ARGV, behind the cells, for each of them: units charged, and the two marks of the charge.
local given = 0
for i = 1, #KEYS do
  local o = 2 * #KEYS + 3 * i - 1
  local cost = tonumber(ARGV[o])
  if cost > 0 then given = given + give_back(i, cost, tonumber(ARGV[o + 1]), tonumber(ARGV[o + 2])) end
end
return { now, given }
