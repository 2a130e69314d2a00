-- What each policy makes of its check: 1 passes, 0 is denied for now, -1 never passes.
local function ask(c)
  if not c.al then return c.kind == 'u' and 1 or -1 end
  if c.cost == 0 then return 1 end
  if c.cost > c.n1 then return -1 end
  return c.al.fits(c, now, c.cost) and 1 or 0
end

-- The cells of all checks, each with the block of its penalty.
local function read_all()
  local checks, cells = tonumber(ARGV[2]), {}
  for i = 1, #KEYS do cells[i] = read(i) end
  local next = checks
  for i = 1, checks do
    local c = cells[i]
    if string.find(c.flags, 'p', 1, true) then
      next = next + 1
      c.block = cells[next]
    end
  end
  return cells, checks
end
