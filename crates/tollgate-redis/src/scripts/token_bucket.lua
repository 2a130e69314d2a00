-- `token-bucket`. Numbers: burst, refill, price, tick. State: a, the first tick at which the bucket is full; b, the
-- credits by which the refill then overshoots.
--
-- A deficit is kept as (ticks until the bucket is full, overshoot): ticks * refill - overshoot credits. So it is added
-- to and compared without a product that could pass 2^53.
local function add_credits(ticks, over, refill, credits)
  if refill == 1 then return ticks + credits, 0 end
  local rest = fmod(credits, refill)
  ticks, over = ticks + (credits - rest) / refill, over - rest
  if over < 0 then return ticks + 1, over + refill end
  return ticks, over
end

function take_t(found, from, head, cost, burst, refill, price, length)
  if cost > burst then return false end
  local tick = now
  if length ~= 1 then tick = (now - fmod(now, length)) / length end
  -- Most quotas are refilled by one credit a tick: then nothing ever overshoots.
  local full_ticks, full_over, more, more_over = burst * price, 0, cost * price, 0
  if refill ~= 1 then
    full_ticks, full_over = add_credits(0, 0, refill, full_ticks)
    more, more_over = add_credits(0, 0, refill, more)
  end
  local ticks, over = 0, 0
  if found then
    ticks, over = pair_of(found, from)
    if not ticks then return end
    ticks = ticks - tick
    if ticks <= 0 or ticks > 2 * full_ticks then ticks, over = 0, 0 end
  end
  ticks, over = ticks + more, over + more_over
  if over >= refill then ticks, over = ticks - 1, over - refill end
  if ticks > full_ticks or ticks == full_ticks and over < full_over then return false end
  local full_at = tick + ticks
  if over == 0 then return format('%s%d 0', head, full_at), full_at * length end
  return format('%s%d %d', head, full_at, over), full_at * length
end

-- more

local bucket = { parse = parse_pair, text = pair_text }
algorithms.t = bucket

-- The deficit that a state is at `tick`.
local function deficit(tick, full_at, over, full_ticks)
  if full_at and full_at > tick and full_at - tick <= 2 * full_ticks then return full_at - tick, over end
  return 0, 0
end

-- Whether a deficit is at most that of an empty bucket.
local function is_within(ticks, over, full_ticks, full_over)
  return ticks < full_ticks or ticks == full_ticks and over >= full_over
end

local function ticks_of(c, at)
  if c.n4 == 1 then return at end
  return (divide(at, c.n4))
end

-- The deficit of an empty bucket.
local function empty_bucket(c)
  return add_credits(0, 0, c.n2, c.n1 * c.n3)
end

-- The deficit at `tick` after `cost` more.
local function charged(c, tick, cost, full_ticks)
  local ticks, over = deficit(tick, c.a, c.b, full_ticks)
  return add_credits(ticks, over, c.n2, cost * c.n3)
end

function bucket.fits(c, at, cost)
  local full_ticks, full_over = empty_bucket(c)
  local ticks, over = charged(c, ticks_of(c, at), cost, full_ticks)
  return is_within(ticks, over, full_ticks, full_over)
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
    local ticks, over = deficit(ticks_of(c, at), c.a, c.b, (empty_bucket(c)))
    return divide_up(credits_of(c, ticks, over), c.n3)
  end

  function bucket.remaining(c, at)
    local full_ticks, full_over = empty_bucket(c)
    local ticks, over = deficit(ticks_of(c, at), c.a, c.b, full_ticks)
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
    local ticks, over = deficit(tick, c.a, c.b, full_ticks)
    local own_ticks, own_over = add_credits(0, 0, c.n2, cost * c.n3)
    local held_ticks, held_over = deficit(tick, mark_a, mark_b, full_ticks)
    -- The mark of a charge under other numbers may overshoot by more than a tick of these.
    if held_over >= c.n2 then
      local more, rest = divide(held_over, c.n2)
      held_ticks, held_over = held_ticks - more, rest
      if held_ticks <= 0 then held_ticks, held_over = 0, 0 end
    end
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
