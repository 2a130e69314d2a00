-- `sliding-window`. Numbers: limit, period. State: the log of admitted units.
local function cell_of(c)
  return divide_up(c.n2, 127)
end

-- Whether a charge at `at` is going to coalesce a log of so many live entries.
local function is_full(c, entries, at)
  return entries == 128 and c.a < at and divide(c.a, cell_of(c)) ~= divide(at, cell_of(c))
end

function take_s(found, from, head, cost, limit, period)
  local c = {
    n1 = limit, n2 = period, life = period, refill = period, found = found, a = nil, b = nil, used = 0, entries = 0,
    text = '', from = 1,
  }
  if found and not parse_log(c, found, from) then return end
  local used, entries = live(c, now)
  local seen = found and view(c, head, cost)
  if cost + used > limit then return false, 0, seen end
  if is_full(c, entries, now) then return end
  add(c, now, cost, cell_of(c))
  return head .. log_text(c), c.a + period, seen
end

-- more

local sliding = { text = log_text, fits = log_fits, view = view }
algorithms.s = sliding

function sliding.parse(c, text, from)
  c.life, c.refill = c.n2, c.n2
  return parse_log(c, text, from)
end

function sliding.charge(c, at, cost)
  c.life, c.refill = c.n2, c.n2
  add(c, at, cost, cell_of(c))
end

-- Coalesces first if a charge at `at` is going to, so that what is sent back is what the charge finds.
function sliding.make_room(c, at)
  local _, entries = live(c, now)
  if is_full(c, entries, at) then
    drop_dead(c)
    coalesce(c, cell_of(c))
  end
end

function sliding.void_at(c)
  return c.a + c.n2
end

function sliding.more()
  log_more(sliding)

  function sliding.charge_ahead(c, at, cost)
    sliding.charge(c, at, cost)
    return true
  end

  function sliding.fits_at(c, at, cost)
    local used, entries, from = live(c, at)
    local excess = used + cost - c.n1
    if excess <= 0 then return at end
    while entries > 1 do
      local oldest, units
      oldest, units, from = older_entry(c, from)
      entries, excess = entries - 1, excess - units
      if excess <= 0 then return oldest + c.n2 end
    end
    return c.a + c.n2
  end

  -- A charge in advance is taken out of its own instant; of others, the newest units go first.
  function sliding.give_back(c, cost, mark)
    local _, entries = live(c, now)
    if entries == 0 or mark + c.n2 <= now then return 0 end
    drop_dead(c)
    local list, left = sliding.list(c), cost
    if mark > now then
      for _, entry in ipairs(list) do
        if entry.at >= mark then
          if divide(entry.at, cell_of(c)) == divide(mark, cell_of(c)) then
            local taken = math.min(entry.units, left)
            entry.units, left = entry.units - taken, left - taken
          end
          break
        end
      end
    else
      for place = #list, 1, -1 do
        local entry = list[place]
        if entry.at <= now then
          local taken = math.min(entry.units, left)
          entry.units, left = entry.units - taken, left - taken
        end
      end
    end
    sliding.keep(c, list)
    return cost - left
  end

  -- The newest `used` units stay, at most N of them. Turns that were ahead by the old numbers are taken now.
  function sliding.adopt(c, old, used)
    local list = sliding.list(old)
    local surplus = old.used - math.min(used, c.n1)
    for _, entry in ipairs(list) do
      local taken = math.max(0, math.min(entry.units, surplus))
      entry.units, surplus = entry.units - taken, surplus - taken
      if entry.at + c.n2 <= now then entry.units = 0 end
      entry.at = math.min(entry.at, now)
    end
    c.life, c.refill = c.n2, c.n2
    sliding.keep(c, list)
  end
end
