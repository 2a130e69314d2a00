-- `sliding-counter`. Numbers: limit, period. State: a, the index of the window since 1970; b, the units of the window
-- before it; c2, its own.

-- more

local counter = {}
algorithms.k = counter

function counter.parse(c, text, from)
  local index, previous, current = match(text, '^(%d+) (%d+) (%d+)$', from)
  index, previous, current = tonumber(index), tonumber(previous), tonumber(current)
  if not index or index > 2^53 or previous >= 2^32 or current >= 2^32 then return false end
  c.a, c.b, c.c2 = index, previous, current
  return true
end

function counter.text(c)
  return format('%.0f %.0f %.0f', c.a, c.b, c.c2)
end

-- The windows at `at`, index, previous and current, and the instant to decide at: never before the state's own window.
local function windows(c, at)
  local period, index = c.n2, c.a
  if index then
    local start = index * period
    local past = at - start
    if past >= 0 and past < period then return index, c.b, c.c2, at end
    local ends = start + period
    if c.c2 > 0 then ends = ends + period end
    local ahead = start + 2 * period - at
    if ends > at and ahead > 0 and ahead <= 4 * period then
      if past < 0 then return index, c.b, c.c2, start end
      return index + 1, c.c2, 0, at
    end
  end
  return (divide(at, period)), 0, 0, at
end

local function weighed_used(c, index, previous, current, at)
  if previous == 0 then return current end
  local step = divide_up(c.n2, 1024)
  local left = divide_up((index + 1) * c.n2 - at, step)
  return current + divide_up(previous * left, divide_up(c.n2, step))
end

function counter.fits(c, at, cost)
  return cost + weighed_used(c, windows(c, at)) <= c.n1
end

function counter.charge(c, at, cost)
  local index, previous, current = windows(c, at)
  c.a, c.b, c.c2 = index, previous, current + cost
end

function counter.void_at(c)
  local index, previous, current = windows(c, now)
  if current > 0 then return (index + 2) * c.n2 end
  if previous > 0 then return (index + 1) * c.n2 end
  return now
end

function counter.more()
  function counter.full_refill(c)
    return 2 * c.n2
  end

  function counter.used(c, at)
    return weighed_used(c, windows(c, at))
  end

  function counter.remaining(c, at)
    return math.max(0, c.n1 - counter.used(c, at))
  end

  -- A charge is taken out of its own window, whichever of the two that is by now.
  function counter.give_back(c, cost, mark)
    local index, previous, current, at = windows(c, now)
    local before = weighed_used(c, index, previous, current, at)
    if index == mark then
      current = math.max(0, current - cost)
    elseif index == mark + 1 then
      previous = math.max(0, previous - cost)
    end
    c.a, c.b, c.c2 = index, previous, current
    if previous == 0 and current == 0 then c.a = nil end
    return before - weighed_used(c, index, previous, current, at)
  end

  function counter.adopt(c, _, used)
    if used > 0 then c.a, c.b, c.c2 = (divide(now, c.n2)), 0, math.min(used, c.n1) end
  end
end
