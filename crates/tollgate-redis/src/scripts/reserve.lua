-- Charges all checks for the first instant at which they all fit and no block holds them off, if that is not too late.
-- Answers as decide.lua does. No block begins: who waits is not denied.
-- ARGV, behind the cells: the latest instant.
local cells, checks = read_all()
local latest = math.min(tonumber(ARGV[2 * #KEYS + 2]), 2^53)
local answer, at = { now, 0 }, now
for i, c in ipairs(cells) do
  answer[2 + i] = c.found
  if i <= checks then
    if c.al then c.al.more() end
    if c.found and c.al and c.al.view and not c.is_moved then answer[2 + i] = c.al.view(c, c.head, c.cost) end
    local outcome, fits_at = ask(c), now
    local until_at = c.block and blocked_until(c.block)
    if outcome >= 0 and (outcome == 0 or until_at and c.cost > 0) then
      -- Algorithms that take no charge in advance have no instant to wait for.
      outcome, fits_at = 0, math.huge
      if c.al.fits_at then fits_at = c.al.fits_at(c, until_at or now, c.cost) end
    end
    c.outcome = outcome
    if not c.watches then
      if outcome < 0 then fits_at = math.huge end
      at = math.max(at, fits_at)
    end
  end
end

local function charge(c)
  if at == now then
    if c.cost > c.n1 or not c.al.fits(c, now, c.cost) then return false end
    c.al.charge(c, now, c.cost)
    return true
  end
  if not c.al.charge_ahead or at - now > c.al.full_refill(c) then return false end
  if c.cost > 2 * c.n1 - c.al.used(c, now) then return false end
  return c.al.charge_ahead(c, at, c.cost)
end

local allowed = at <= latest
for i = 1, checks do
  local c = cells[i]
  if allowed and c.cost > 0 and c.al and not (c.watches and c.outcome < 1) then
    if charge(c) then c.changed = true elseif not c.watches then allowed = false end
  end
end
if lacks_kind or allowed then answer[2] = write_all(cells) or 1 + 2 * spoilt end
return answer
