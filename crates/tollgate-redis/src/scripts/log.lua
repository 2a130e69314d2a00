-- Logs: units with their times. The value says "USED ENTRIES AT UNITS|", the sum, the count, and the newest entry, and
-- then the older entries, oldest first, each "AT UNITS;". So a decision reads the few at its beginning, however many
-- there are.
--
-- State: a, b, the newest entry, of which a is nil in an empty log; used; entries; text and from, the place in it where
-- the older entries begin. An entry counts until its instant plus c.life; c.refill is the time of a full refill.
local function parse_log(c, text, from)
  local used, entries, a, b, older = match(text, '^(%d+) (%d+) (%d+) (%d+)|()', from)
  used, entries, a, b = tonumber(used), tonumber(entries), tonumber(a), tonumber(b)
  if not used or used > 2^54 or a > 2^53 or b > used then return false end
  if entries > 1 and sub(text, -1) ~= ';' then return false end
  c.used, c.entries, c.a, c.b, c.text, c.from = used, entries, a, b, text, older
  return true
end

local function log_text(c)
  return format('%.0f %d %.0f %.0f|', c.used, c.entries, c.a, c.b) .. sub(c.text, c.from)
end

-- The oldest of the entries from `from` on: its instant, its units, and where the next begins.
local function older_entry(c, from)
  local at, units, next = match(c.text, '^(%d+) (%d+);()', from)
  return tonumber(at), tonumber(units), next
end

-- What has not expired at `at`: units, entries, and where they begin.
local function unexpired(c, at)
  if not c.a or c.a + c.life <= at then return 0, 0 end
  local used, entries, from = c.used, c.entries, c.from
  while entries > 1 do
    local oldest, units, next = older_entry(c, from)
    if not oldest or oldest + c.life > at then break end
    used, entries, from = used - units, entries - 1, next
  end
  return used, entries, from
end

-- What counts at `at`: nothing of a log that is more than two full refills ahead.
local function live(c, at)
  if c.a and c.a + c.life - at > 2 * c.refill then return 0, 0 end
  return unexpired(c, at)
end

-- Drops what does not count at `now`.
local function drop_dead(c)
  c.used, c.entries, c.from = live(c, now)
  if c.entries == 0 then c.a, c.b, c.text, c.from = nil, nil, '', 1 end
end

-- A value in which entries that no question tells apart are one: all questions about these costs and about one unit
-- have the answers that they have of the whole. So what is sent back is short however long the log is.
local function view(c, head, cost, counts_denied)
  local used, entries, from = unexpired(c, now)
  if entries < 6 then return c.found end
  local marks = { math.max(1, used + 1 - c.n1), used + cost - c.n1 }
  if counts_denied then marks[3] = cost end
  table.sort(marks)
  local out, sum, part = {}, 0, 0
  for _, mark in ipairs(marks) do
    while sum < mark and entries > 1 do
      local at, units
      at, units, from = older_entry(c, from)
      entries, sum, part = entries - 1, sum + units, part + units
      if sum >= mark then
        out[#out + 1] = format('%.0f %.0f;', at, part)
        part = 0
      end
    end
  end
  local newest = used - sum + part
  return head .. format('%.0f %d %.0f %.0f|', used, #out + 1, c.a, newest) .. table.concat(out)
end

-- Entries of one cell become one, with the latest of their times.
local coalesce

-- Adds units at `at`, or at the newest entry's instant if that is later. A log of `cell`s that is full takes them into
-- its newest entry where that is of the same cell, else it is coalesced.
local function add(c, at, units, cell)
  drop_dead(c)
  if not c.a then
    c.a, c.b, c.entries = at, units, 1
  elseif c.a >= at then
    c.b = c.b + units
  elseif cell and c.entries == 128 and divide(c.a, cell) == divide(at, cell) then
    c.a, c.b = at, c.b + units
  else
    c.text, c.from = sub(c.text, c.from) .. format('%.0f %.0f;', c.a, c.b), 1
    c.a, c.b, c.entries = at, units, c.entries + 1
    if cell and c.entries > 128 then coalesce(c, cell) end
  end
  c.used = c.used + units
end

-- more

local function log_fits(c, at, cost)
  return cost + (live(c, at)) <= c.n1
end

function coalesce(c, cell)
  local out, from = {}, c.from
  local at, units, index
  for _ = 2, c.entries do
    local later, more
    later, more, from = older_entry(c, from)
    local later_index = divide(later, cell)
    if later_index == index then
      at, units = later, units + more
    else
      if at then out[#out + 1] = format('%.0f %.0f;', at, units) end
      at, units, index = later, more, later_index
    end
  end
  if at then
    if index == divide(c.a, cell) then
      c.b = c.b + units
    else
      out[#out + 1] = format('%.0f %.0f;', at, units)
    end
  end
  c.entries, c.text, c.from = #out + 1, table.concat(out), 1
end

-- Functions that few scripts need: on the entries as a list, newest last.
local function log_more(algorithm)
  function algorithm.full_refill(c)
    return c.n2
  end

  function algorithm.used(c, at)
    return (live(c, at))
  end

  function algorithm.remaining(c, at)
    return math.max(0, c.n1 - (live(c, at)))
  end

  function algorithm.list(c)
    local list, from = {}, c.from
    for place = 1, (c.entries or 0) - 1 do
      local at, units
      at, units, from = older_entry(c, from)
      list[place] = { at = at, units = units }
    end
    if c.a then list[#list + 1] = { at = c.a, units = c.b } end
    return list
  end

  -- The newest units, whoever took them.
  function algorithm.release(c, cost)
    drop_dead(c)
    local list, left = algorithm.list(c), cost
    for place = #list, 1, -1 do
      local entry = list[place]
      local taken = math.min(entry.units, left)
      entry.units, left = entry.units - taken, left - taken
    end
    algorithm.keep(c, list)
    return cost - left
  end

  -- The entries that have units; a log without any is absent.
  function algorithm.keep(c, list)
    local out, used, newest = {}, 0, nil
    for _, entry in ipairs(list) do
      if entry.units > 0 then
        if newest then out[#out + 1] = format('%.0f %.0f;', newest.at, newest.units) end
        newest, used = entry, used + entry.units
      end
    end
    c.a, c.text, c.from, c.used, c.entries = nil, table.concat(out), 1, used, #out + 1
    if newest then c.a, c.b = newest.at, newest.units end
  end
end
