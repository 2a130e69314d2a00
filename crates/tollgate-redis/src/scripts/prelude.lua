-- The beginning of every script: the instant to decide at.
--
-- Of what a decision costs the server, making functions and tables is much: above `-- more` stand as few as can be.
--
-- KEYS[i]: the cells: those of the checks in their order, then those of the checks' penalties.
-- ARGV[1]: the instant in microseconds since 1970; or '' for the server's own clock; or, below 0, the same, and the latest
-- instant at which anybody still waits for the answer: after it nothing is done.
-- ARGV[2i]: the head of cell i, "KIND NUMBERS|vVERSION|", as every value under these numbers begins.
-- ARGV[2i+1]: six integers of seven bytes: flags (1 only watches, 2 counts what it denies, 4 has a penalty, 8 is the
-- cell of one), what the cell is asked for in units, and its numbers as the head says them. Behind them, of a calendar,
-- the ends of windows to choose from.
local call, pcall, fmod = redis.call, redis.pcall, math.fmod
local format, sub, match = string.format, string.sub, string.match
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
  local found = pcall('GETRANGE', key, '0', '524288')
  if found == '' then return false end
  if type(found) == 'string' and #found > 524288 then return { err = 'WRONGTYPE: too long' } end
  return found
end

-- What takes a check on the short way of a decision, by the letters of kinds: made where a script has them. Each is given
-- what was found, and where behind its head the state begins, the head, units and numbers. It answers the value to
-- write, or false where it denies; the instant from which on that is void; and what is sent back, where that is not what
-- was found. Where it answers nothing, the long way begins.
local take_t, take_f, take_s, take_n

-- A state of two numbers, "A B". Whatever is not that is not ours.
local function pair_of(text, from)
  local a, b = match(text, '^(%d+) (%d+)$', from)
  a, b = tonumber(a), tonumber(b)
  if a and a <= 2^54 and b <= 2^54 then return a, b end
end

-- more

-- By the letters of kinds.
local algorithms = {}

-- What the caller cannot decide without, and says when it asks again: an algorithm that is not in this script, and the
-- end of a calendar's window. Nothing has been written then.
local lacks_kind, lacks_ends = false, false

local function parse_pair(c, text, from)
  c.a, c.b = pair_of(text, from)
  return c.a ~= nil
end

local function pair_text(c)
  return format('%.0f %.0f', c.a, c.b)
end
