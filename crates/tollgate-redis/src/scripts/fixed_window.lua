-- `fixed-window`. Numbers: limit, period. State: a, the start of the window; b, the units used in it.
local window = { parse = parse_pair, text = pair_text }
algorithms.f = window

local function used_in_window(c, at)
  local ahead = c.a and c.a + c.n2 - at
  if ahead and ahead > 0 and ahead <= 2 * c.n2 then return c.b end
end

function window.fits(c, at, cost)
  return cost + (used_in_window(c, at) or 0) <= c.n1
end

function window.charge(c, at, cost)
  local used = used_in_window(c, at)
  if not used then c.a, used = at, 0 end
  c.b = used + cost
end

function window.void_at(c)
  return c.a + c.n2
end

function window.more()
  function window.full_refill(c)
    return c.n2
  end

  function window.used(c, at)
    return used_in_window(c, at) or 0
  end

  function window.remaining(c, at)
    return math.max(0, c.n1 - window.used(c, at))
  end

  function window.give_back(c, cost, mark)
    local used = used_in_window(c, now)
    if not used or c.a ~= mark then return 0 end
    local given = math.min(cost, used)
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
