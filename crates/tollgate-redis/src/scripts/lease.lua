-- Behind decide.lua: charges units in advance, as if at the end of a lease, at most a quarter of what remains.
-- ARGV, behind the cells, for each check: units wanted, and for how many microseconds.
if allowed == 1 then
  for i = 1, checks do
    local c, o = cells[i], 2 * #KEYS + 2 * i
    local wanted, micros = tonumber(ARGV[o]), tonumber(ARGV[o + 1])
    if wanted > 0 and match(c.head, '^[^|]*') == match(ARGV[2 * i], '^[^|]*') then
      c.al.more()
      local cost = math.min(wanted, (divide(c.al.remaining(c, now), 4)))
      if cost > 0 then
        c.al.charge_ahead(c, now + micros, cost)
        c.changed = true
      end
    end
  end
end

