-- Cells: reading them, moving what was written under other numbers, writing them.
--
-- A cell: key; head; found, the value as it was; kind and al, the algorithm that decides, nil for `deny` and
-- `unlimited`; n1 to n4, its numbers; watches, counts (denied requests, and does not only watch), is_punished and
-- is_penalty, its flags; the state, absent where a is nil; changed, whether it is to be written; is_moved,
-- whether it was found under another head.
local spoilt = 0

-- Whether version `a` is later than `b`: integers of up to 20 digits, compared as text.
local function is_later(a, b)
  if #a ~= #b then return #a > #b end
  return a > b
end

-- What is not ours is forgotten, and counted. It may be of any size, and is freed beside the server's work.
local function spoil(c)
  c.a, c.found, c.changed, c.is_spoilt, spoilt = nil, false, true, true, spoilt + 1
end

local function numbered(numbers)
  local kind, n1, n2, n3, n4 = match(numbers, '^(%a) ?(%S*) ?(%S*) ?(%S*) ?(%S*)$')
  local al = algorithms[kind]
  local c = { kind = kind, al = al, n1 = tonumber(n1), n2 = tonumber(n2), n3 = tonumber(n3), n4 = tonumber(n4) }
  if al and al.longest then c.n2 = al.longest[n2] end
  return c
end

-- A value under another head. A newer version decides under its own numbers; an older one moves to the check's. What was
-- used under another algorithm is as if it were used now. Where the check has no algorithm, the value stays as it is, so
-- that nodes with older rules, which still decide by it, do not find its units given back.
local function move(c)
  c.is_moved = true
  local numbers, version, from = match(c.found, '^(%a [^|]*)|v(%d+)|()')
  local own, own_version = match(c.head, '^([^|]*)|v(%d+)|$')
  if not numbers then return spoil(c) end
  local same, is_newer = numbers == own, is_later(version, own_version)
  if same then
    if is_newer then c.head = sub(c.found, 1, from - 1) else c.changed = is_later(own_version, version) end
    if not c.al.parse(c, c.found, from) then spoil(c) end
    return
  end
  local old = numbered(numbers)
  if is_newer then
    if not old.al then
      lacks_kind = true
      return
    end
    if not old.al.parse(old, c.found, from) then return spoil(c) end
    if old.kind == 'c' and not old.al.is_open(old) then
      c.found, c.changed = false, true
      return
    end
    old.key, old.cost, old.watches, old.counts = c.key, c.cost, c.watches, c.counts
    old.is_punished, old.is_penalty, old.is_moved = c.is_punished, c.is_penalty, true
    old.head, old.found = sub(c.found, 1, from - 1), c.found
    return old
  end
  if not c.al then return end
  if not old.al then
    lacks_kind = true
    return
  end
  c.changed = true
  if not old.al.parse(old, c.found, from) then return spoil(c) end
  old.al.more()
  local used = old.al.used(old, now)
  if old.kind == c.kind then
    c.al.more()
    c.al.adopt(c, old, used)
  elseif used > 0 then
    c.al.charge(c, now, math.min(used, c.n1))
  end
end

local function read(i)
  local head = ARGV[2 * i]
  local kind = sub(head, 1, 1)
  local flags, cost, n1, n2, n3, n4, behind = numbers_of(NUMBERS, ARGV[2 * i + 1])
  local c = {
    key = KEYS[i], head = head, kind = kind, al = algorithms[kind], cost = cost, n1 = n1, n2 = n2, n3 = n3, n4 = n4,
    watches = flags % 2 == 1, counts = flags % 4 == 2, is_punished = flags % 8 >= 4, is_penalty = flags == 8,
    found = found_at(KEYS[i]), a = nil, b = nil, changed = false,
  }
  if kind == 'c' then c.n2, c.ends = c.al.longest[match(head, '^c %d+ (%a+)')], sub(ARGV[2 * i + 1], behind) end
  local found = c.found
  if not found then return c end
  if type(found) == 'table' then
    if not string.find(found.err, 'WRONGTYPE', 1, true) then error(found.err, 0) end
    spoil(c)
  elseif sub(found, 1, #head) == head and c.al then
    if not c.al.parse(c, found, #head + 1) then spoil(c) end
  else
    return move(c) or c
  end
  return c
end

local function write(c)
  if c.is_spoilt then call('UNLINK', c.key) end
  if c.a then
    local ms = math.ceil((c.al.void_at(c) - now) / 1000)
    if ms < 1 then ms = 1 end
    call('SET', c.key, c.head .. c.al.text(c), 'PX', format('%.0f', ms + keep_ms))
  else
    call('DEL', c.key)
  end
end

-- Writes what has changed; or, where something is lacking, nothing, and tells what it is.
local function write_all(cells)
  if lacks_kind then return -1 end
  if lacks_ends then return -2 end
  for _, c in ipairs(cells) do
    if c.changed then write(c) end
  end
end
