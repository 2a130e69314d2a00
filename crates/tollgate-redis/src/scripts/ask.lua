-- What each policy makes of its check: 1 passes, 0 is denied for now, -1 never passes.
local function ask(c)
  if not c.al then return c.kind == 'u' and 1 or -1 end
  if c.cost == 0 then return 1 end
  if c.cost > c.n1 then return -1 end
  return c.al.fits(c, now, c.cost) and 1 or 0
end

-- The cells, and how many of them are checks. A check with a penalty has the cell of its block.
local function read_all()
  local cells, checks = {}, 0
  for i = 1, #KEYS do
    cells[i] = read(i)
    if not cells[i].is_penalty then checks = i end
  end
  local next = checks
  for i = 1, checks do
    if cells[i].is_punished then
      next = next + 1
      cells[i].block = cells[next]
    end
  end
  return cells, checks
end
