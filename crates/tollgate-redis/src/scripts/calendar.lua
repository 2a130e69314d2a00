-- `fixed-window` on the calendar. Numbers: limit, unit, time zone; and the ends of the windows around the caller's clock,
-- since the caller knows the calendar. State: a, the end of the window; b, the units used in it.
--
-- The longest that a window can be stands for its unit as n2: with an hour more where clocks are put back.

-- more

local calendar = {
  parse = parse_pair, text = pair_text,
  longest = {
    minute = 60000000, hour = 3600000000, day = 90000000000, week = 608400000000, month = 2682000000000,
    year = 31626000000000,
  },
}
algorithms.c = calendar

local function used_until_end(c, at)
  local ahead = c.a and c.a - at
  if ahead and ahead > 0 and ahead <= 2 * c.n2 then return c.b end
end

-- The end of the window that contains `at`: the first that is later, if an earlier one is known to be past.
local function end_of_window(c, at)
  local past = false
  for text in string.gmatch(c.ends, '%d+') do
    local ends = tonumber(text)
    if ends > at then
      if past then return ends end
      break
    end
    past = true
  end
  lacks_ends = true
  return at + 1
end

function calendar.fits(c, at, cost)
  return cost + (used_until_end(c, at) or 0) <= c.n1
end

function calendar.charge(c, at, cost)
  local used = used_until_end(c, at)
  if not used then c.a, used = end_of_window(c, at), 0 end
  c.b = used + cost
end

function calendar.void_at(c)
  return c.a
end

-- Whether a state says anything. One that does not, of a calendar that is not the check's, is taken for absent: where
-- its next window would end nobody here knows.
function calendar.is_open(c)
  return used_until_end(c, now) ~= nil
end

function calendar.more()
  function calendar.full_refill(c)
    return c.n2
  end

  function calendar.used(c, at)
    return used_until_end(c, at) or 0
  end

  function calendar.remaining(c, at)
    return math.max(0, c.n1 - calendar.used(c, at))
  end

  function calendar.give_back(c, cost, mark)
    local used = used_until_end(c, now)
    if not used or c.a ~= mark then return 0 end
    local given = math.min(cost, used)
    c.b = used - given
    if c.b == 0 then c.a = nil end
    return given
  end

  function calendar.adopt(c, _, used)
    if used > 0 then c.a, c.b = end_of_window(c, now), math.min(used, c.n1) end
  end
end
