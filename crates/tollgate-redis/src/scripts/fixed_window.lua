-- `fixed-window`. Numbers: limit, period. State: a, the start of the window; b, the units used in it.

function take_f(found, from, head, cost, limit, period)
  local start, used = now, 0
  if found then
    start, used = pair_of(found, from)
    if not start then return end
    local ahead = start + period - now
    if ahead <= 0 or ahead > 2 * period then start, used = now, 0 end
  end
  if used + cost > limit then return false end
  return format('%s%d %d', head, start, used + cost), start + period
end

-- more

local window = { parse = parse_pair, text = pair_text }
algorithms.f = window

-- The window that is open at `at`: its start and the units used in it.
local function open_window(start, used, period, at)
  local ahead = start and start + period - at
  if ahead and ahead > 0 and ahead <= 2 * period then return start, used end
  return at, 0
end

local function used_in_window(c, at)
  local _, used = open_window(c.a, c.b, c.n2, at)
  return used
end

function window.fits(c, at, cost)
  return cost + used_in_window(c, at) <= c.n1
end

function window.charge(c, at, cost)
  local start, used = open_window(c.a, c.b, c.n2, at)
  c.a, c.b = start, used + cost
end

function window.void_at(c)
  return c.a + c.n2
end

function window.more()
  function window.full_refill(c)
    return c.n2
  end

  function window.used(c, at)
    return used_in_window(c, at)
  end

  function window.remaining(c, at)
    return math.max(0, c.n1 - window.used(c, at))
  end

  function window.give_back(c, cost, mark)
    local used = used_in_window(c, now)
    local given = math.min(cost, used)
    if given == 0 or c.a ~= mark then return 0 end
    c.b = used - given
    if c.b == 0 then c.a = nil end
    return given
  end

  -- The window keeps its start; if it would already be over, it starts anew.
  function window.adopt(c, old, used)
    if used == 0 then return end
    c.a = now
    if old.a + c.n2 > now then c.a = math.min(old.a, now) end
    c.b = math.min(used, c.n1)
  end
end
