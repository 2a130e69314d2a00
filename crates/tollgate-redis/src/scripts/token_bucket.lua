-- `token-bucket`. Numbers: burst, refill, price, tick. State: a, the first tick at which the bucket is full; b, the
-- credits by which the refill then overshoots.
--
-- A deficit is kept as (ticks until the bucket is full, overshoot): ticks * refill - overshoot credits. So it is added
-- to and compared without a product that could pass 2^53.
local bucket = { parse = parse_pair, text = pair_text }
algorithms.t = bucket

local function ticks_of(c, at)
  if c.n4 == 1 then return at end
  return (divide(at, c.n4))
end

-- The deficit of an empty bucket.
local function empty_bucket(c)
  local full, refill = c.n1 * c.n3, c.n2
  if refill == 1 then return full, 0 end
  local ticks, rest = divide(full, refill)
  if rest > 0 then return ticks + 1, refill - rest end
  return ticks, 0
end

local function deficit(c, tick, full_at, over, full_ticks)
  if full_at and full_at > tick and full_at - tick <= 2 * full_ticks then return full_at - tick, over end
  return 0, 0
end

local function add_credits(ticks, over, refill, credits)
  if refill == 1 then return ticks + credits, 0 end
  local more, rest = divide(credits, refill)
  over = over - rest
  if over < 0 then return ticks + more + 1, over + refill end
  return ticks + more, over
end

-- The deficit at `tick` after `cost` more.
local function charged(c, tick, cost, full_ticks)
  local ticks, over = deficit(c, tick, c.a, c.b, full_ticks)
  return add_credits(ticks, over, c.n2, cost * c.n3)
end

function bucket.fits(c, at, cost)
  local full_ticks, full_over = empty_bucket(c)
  local ticks, over = charged(c, ticks_of(c, at), cost, full_ticks)
  return ticks < full_ticks or ticks == full_ticks and over >= full_over
end

function bucket.charge(c, at, cost)
  local tick = ticks_of(c, at)
  local ticks, over = charged(c, tick, cost, (empty_bucket(c)))
  c.a, c.b = tick + ticks, over
end

function bucket.void_at(c)
  return c.a * c.n4
end

function bucket.more()
  local function credits_of(c, ticks, over)
    return ticks * c.n2 - over
  end

  function bucket.full_refill(c)
    return (empty_bucket(c)) * c.n4
  end

  function bucket.used(c, at)
    local ticks, over = deficit(c, ticks_of(c, at), c.a, c.b, (empty_bucket(c)))
    return divide_up(credits_of(c, ticks, over), c.n3)
  end

  function bucket.remaining(c, at)
    local full_ticks, full_over = empty_bucket(c)
    local ticks, over = deficit(c, ticks_of(c, at), c.a, c.b, full_ticks)
    local left = credits_of(c, full_ticks - ticks, full_over - over)
    if left <= 0 then return 0 end
    return (divide(left, c.n3))
  end

  function bucket.fits_at(c, at, cost)
    local full_ticks, full_over = empty_bucket(c)
    local tick = ticks_of(c, at)
    local ticks, over = charged(c, tick, cost, full_ticks)
    ticks = ticks - full_ticks
    if over < full_over then ticks = ticks + 1 end
    if ticks <= 0 then return at end
    return (tick + ticks) * c.n4
  end

  function bucket.charge_ahead(c, at, cost)
    bucket.charge(c, at, cost)
    return true
  end

  -- What of the charge's own credits has not been refilled since; older deficits refill first.
  function bucket.give_back(c, cost, mark_a, mark_b)
    local full_ticks, tick = (empty_bucket(c)), ticks_of(c, now)
    local ticks, over = deficit(c, tick, c.a, c.b, full_ticks)
    local own_ticks, own_over = add_credits(0, 0, c.n2, cost * c.n3)
    local held_ticks, held_over = deficit(c, tick, mark_a, mark_b, full_ticks)
    for _, other in ipairs({ { own_ticks, own_over }, { ticks, over } }) do
      if other[1] < held_ticks or other[1] == held_ticks and other[2] > held_over then
        held_ticks, held_over = other[1], other[2]
      end
    end
    local left_ticks, left_over = ticks - held_ticks, over - held_over
    if left_over < 0 then left_ticks, left_over = left_ticks + 1, left_over + c.n2 end
    c.a, c.b = nil, nil
    if left_ticks > 0 then c.a, c.b = tick + left_ticks, left_over end
    return divide_up(credits_of(c, held_ticks, held_over), c.n3)
  end

  function bucket.adopt(c, _, used)
    if used > 0 then bucket.charge(c, now, math.min(used, c.n1)) end
  end
end
