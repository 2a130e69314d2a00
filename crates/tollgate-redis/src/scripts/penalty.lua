-- A penalty: the blocks that follow denials. Numbers: the first block, factor, the longest block, quiet time. State: a,
-- the end of the last block; b, blocks in a row.

-- more

local penalty = { parse = parse_pair, text = pair_text }
algorithms.p = penalty

local function remembered(c, at)
  return c.a and c.a + c.n4 > at and c.a - at <= 2 * c.n3
end

-- The end of the block that `now` is in.
local function blocked_until(c)
  if c and remembered(c, now) and c.a > now then return c.a end
end

-- Begins the next block.
local function block(c)
  local row, length = 1, c.n1
  if remembered(c, now) then row = math.min(c.b + 1, 64) end
  for _ = 2, row do
    length = length * c.n2
    if length >= c.n3 then
      length = c.n3
      break
    end
  end
  c.a, c.b, c.changed = now + length, row, true
end

function penalty.void_at(c)
  return c.a + c.n4
end

function penalty.more()
  function penalty.used(c, at)
    if remembered(c, at) then return 1 end
    return 0
  end

  -- The block keeps its end, but nobody waits longer than the longest block of these numbers.
  function penalty.adopt(c, old, used)
    local ends = math.min(old.a, now + c.n3)
    if used > 0 and ends + c.n4 > now then c.a, c.b = ends, old.b end
  end
end
