-- Decides: all checks are charged, or none. Answers: the instant; the result, 1 if it passes and 0 if not, and 2 more for
-- each value that was not ours, or below 0 what is lacking; and what each cell held.
local cells, checks = read_all()
local allowed = 1
for i = 1, checks do
  local c = cells[i]
  local outcome = ask(c)
  if c.block then
    c.is_held = blocked_until(c.block)
    if c.is_held and c.cost > 0 and outcome >= 0 then outcome = 0 end
  end
  c.outcome = outcome
  if outcome < 1 and not c.watches then allowed = 0 end
end

local answer = { now, 0 }
for i, c in ipairs(cells) do
  local cost = 0
  if c.outcome == 1 then
    cost = c.cost * allowed
  elseif c.outcome == 0 and not c.is_held then
    if c.counts then
      c.al.more()
      cost = c.al.remaining(c, now)
    end
    if c.block and (allowed == 1 or not c.watches) then block(c.block) end
  end
  local reply = c.found
  if c.al and i <= checks then
    if cost > 0 and c.al.make_room then c.al.make_room(c, now) end
    if reply and c.al.view and not c.is_moved then reply = c.al.view(c, c.head, c.cost, c.counts) end
    if cost > 0 then
      c.al.charge(c, now, cost)
      c.changed = true
    end
  end
  answer[2 + i] = reply
end
