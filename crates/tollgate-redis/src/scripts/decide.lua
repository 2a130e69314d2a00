-- Decides: all checks are charged, or none. Answers: the instant, whether it passes (1, 0; below 0, what is lacking), how
-- many values were not ours, and what each cell held.
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
  if outcome < 1 and not string.find(c.flags, 's', 1, true) then allowed = 0 end
end

local answer = { now, allowed, spoilt }
for i = 1, checks do
  local c = cells[i]
  local outcome, cost = c.outcome, 0
  local counts = c.flags ~= '' and string.find(c.flags, 'c', 1, true) and not string.find(c.flags, 's', 1, true)
  if outcome == 1 then
    if allowed == 1 then cost = c.cost end
  elseif outcome == 0 and not c.is_held then
    if counts then
      c.al.more()
      cost = c.al.remaining(c, now)
    end
    if c.block and (allowed == 1 or not string.find(c.flags, 's', 1, true)) then block(c.block) end
  end
  local reply = c.found
  if cost > 0 and c.al then
    if c.al.make_room then c.al.make_room(c, now) end
    if reply and c.al.view and not c.is_moved then reply = c.al.view(c, c.head, c.cost, counts) end
    c.al.charge(c, now, cost)
    c.changed = true
  elseif reply and c.al and c.al.view and not c.is_moved then
    reply = c.al.view(c, c.head, c.cost, counts)
  end
  answer[3 + i] = reply
end
for i = checks + 1, #cells do answer[3 + i] = cells[i].found end
answer[2] = write_all(cells) or allowed
return answer
