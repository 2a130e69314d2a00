-- `concurrency`. Numbers: limit, lease. State: the log of leases, each with the instant at which it ends.
function take_n(found, from, head, cost, limit, lease)
  local c = {
    n1 = limit, n2 = lease, life = 0, refill = lease, found = found, a = nil, b = nil, used = 0, entries = 0, text = '',
    from = 1,
  }
  if found and not parse_log(c, found, from) then return end
  local seen = found and view(c, head, cost)
  if cost + (live(c, now)) > limit then return false, 0, seen end
  add(c, now + lease, cost)
  return head .. log_text(c), c.a, seen
end

-- more

local concurrency = { text = log_text, fits = log_fits, view = view }
algorithms.n = concurrency

function concurrency.parse(c, text, from)
  c.life, c.refill = 0, c.n2
  return parse_log(c, text, from)
end

function concurrency.charge(c, at, cost)
  c.life, c.refill = 0, c.n2
  add(c, at + c.n2, cost)
end

function concurrency.void_at(c)
  return c.a
end

function concurrency.more()
  log_more(concurrency)

  -- A lease is known by its end, whatever the numbers. One that has ended holds nothing any more.
  function concurrency.give_back(c, cost, mark)
    local _, entries = live(c, now)
    if entries == 0 then return 0 end
    local before = { c.used, c.entries, c.a, c.b, c.text, c.from }
    drop_dead(c)
    local list = concurrency.list(c)
    for _, entry in ipairs(list) do
      if entry.at == mark then
        local given = math.min(cost, entry.units)
        entry.units = entry.units - given
        concurrency.keep(c, list)
        return given
      end
    end
    c.used, c.entries, c.a, c.b, c.text, c.from = unpack(before)
    return 0
  end

  -- Every lease stays, for its holder is at work, but none for longer than a new one would.
  function concurrency.adopt(c, old)
    local list, latest, cut = {}, now + c.n2, 0
    for _, entry in ipairs(concurrency.list(old)) do
      if entry.at > now then
        if entry.at < latest then list[#list + 1] = entry else cut = cut + entry.units end
      end
    end
    list[#list + 1] = { at = latest, units = cut }
    c.life, c.refill = 0, c.n2
    concurrency.keep(c, list)
  end
end
