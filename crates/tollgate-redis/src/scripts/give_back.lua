-- Gives back `cost` units of the charge that left the marks `a` and `b` in cell `i`, under the numbers that are stored,
-- if the charge was made under the same; and tells how many units that were.
local function give_back(i, cost, a, b)
  local found = found_at(KEYS[i])
  if type(found) ~= 'string' then return 0 end
  local numbers, from = match(found, '^(%a [^|]*)|v%d+|()')
  local own = match(ARGV[2 * i], '^([^|]*)|')
  if not numbers or numbers ~= own and not (sub(numbers, 1, 2) == 'n ' and sub(own, 1, 2) == 'n ') then return 0 end
  local c = numbered(numbers)
  if not c.al or not c.al.parse(c, found, from) then return 0 end
  c.al.more()
  c.key, c.head = KEYS[i], sub(found, 1, from - 1)
  local given = c.al.give_back(c, cost, a, b)
  write(c)
  return given
end
