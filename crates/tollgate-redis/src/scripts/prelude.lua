-- The beginning of every script: the instant to decide at, and exact division.
--
-- KEYS[i]: the cells: those of the checks in their order, then those of the checks' penalties.
-- ARGV[1]: the instant in microseconds since 1970; or '' for the server's own clock; or, below 0, the same, and the latest
-- instant at which anybody still waits for the answer: after it nothing is done.
-- ARGV[2i]: the head of cell i, "KIND NUMBERS|vVERSION|", as every value under these numbers begins.
-- ARGV[2i+1]: six integers of seven bytes: flags (1 only watches, 2 counts what it denies, 4 has a penalty, 8 is the
-- cell of one), what the cell is asked for in units, and its numbers as the head says them. Behind them, of a calendar,
-- the ends of windows to choose from.
local call, format, sub, match, fmod = redis.call, string.format, string.sub, string.match, math.fmod
local numbers_of, NUMBERS = struct.unpack, '>I7I7I7I7I7I7'

-- An instant that a test sets says nothing about how long the server shall keep a key: ten minutes more.
local now, keep_ms = tonumber(ARGV[1]), 600000
if not now or now < 0 then
  local time, latest = call('TIME'), now
  now, keep_ms = time[1] * 1000000 + time[2], 0
  if latest and now + latest > 0 then return { now, -3 } end
end

-- What stands under a key: its text; false for nothing; and a table for what is no text, or more of it than any state takes.
local function found_at(key)
  local found = redis.pcall('GETRANGE', key, '0', '524288')
  if found == '' then return false end
  if type(found) == 'string' and #found > 524288 then return { err = 'WRONGTYPE: too long' } end
  return found
end

-- By the letters of kinds: on the short way of a decision, `takes`; everywhere else, `algorithms`.
local takes, algorithms = {}, {}

-- What the caller cannot decide without, and says when it asks again: an algorithm that is not in this script, and the
-- end of a calendar's window. Nothing has been written then.
local lacks_kind, lacks_ends = false, false

-- Quotient and remainder of integers below 2^53. `math.floor(a / b)` would round up just below a whole number.
local function divide(a, b)
  local rest = fmod(a, b)
  return (a - rest) / b, rest
end

local function divide_up(a, b)
  local rest = fmod(a, b)
  if rest > 0 then return (a - rest) / b + 1 end
  return a / b
end

-- A state of two numbers, "A B". Whatever is not that is not ours.
local function pair_of(text, from)
  local a, b = match(text, '^(%d+) (%d+)$', from)
  a, b = tonumber(a), tonumber(b)
  if a and a <= 2^54 and b <= 2^54 then return a, b end
end

-- more

local function parse_pair(c, text, from)
  c.a, c.b = pair_of(text, from)
  return c.a ~= nil
end

local function pair_text(c)
  return format('%.0f %.0f', c.a, c.b)
end
