-- Makes charges that were estimates into what their checks cost: gives the difference back, or charges it, up to a debt
-- of one capacity. Answers: the instant; 1, or below 0 what is lacking.
-- ARGV, behind the cells, for each of them: units charged, and the two marks of the charge.
local cells = {}
for i = 1, #KEYS do
  local o = 2 * #KEYS + 3 * i - 1
  local charged = tonumber(ARGV[o])
  local _, cost = numbers_of(NUMBERS, ARGV[2 * i + 1])
  if charged > 0 and cost > charged then
    local c = read(i)
    cells[#cells + 1] = c
    if c.al then
      c.al.more()
      local owed = math.min(cost - charged, 2 * c.n1 - c.al.used(c, now))
      if owed > 0 then
        c.al.charge(c, now, owed)
        c.changed = true
      end
    end
  end
end
local lacking = write_all(cells)
if lacking then return { now, lacking } end
for i = 1, #KEYS do
  local o = 2 * #KEYS + 3 * i - 1
  local charged = tonumber(ARGV[o])
  local _, cost = numbers_of(NUMBERS, ARGV[2 * i + 1])
  if charged > 0 and cost < charged then
    give_back(i, charged - cost, tonumber(ARGV[o + 1]), tonumber(ARGV[o + 2]))
  end
end
return { now, 1 }
