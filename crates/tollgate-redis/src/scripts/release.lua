-- Gives back as many units as the checks cost, of what their keys hold, whoever took them. Answers: the instant, and how
-- many units that were, or below 0 what is lacking. What stands under numbers of a newer version is left alone, but slots.
local cells, given = {}, 0
for i = 1, #KEYS do
  local c = read(i)
  cells[i] = c
  local numbers, own = match(c.head, '^[^|]*'), match(ARGV[2 * i], '^[^|]*')
  if c.al and c.a and c.cost > 0 and (numbers == own or c.kind == 'n' and sub(own, 1, 2) == 'n ') then
    c.al.more()
    -- A bucket holds no more than a debt of one capacity leaves, and reckons in credits, which are many more. What no
    -- number tells exactly is as much as everything.
    local cost = math.min(c.cost, c.kind == 't' and 2 * c.n1 or 2^53)
    given = given + (c.al.release and c.al.release(c, cost) or c.al.give_back(c, cost, c.a, c.b))
    c.changed = true
  end
end
return { now, write_all(cells) or given }
