-- The short way of a decision, where every check is of a policy without flags and no state is of other numbers: each is
-- taken or not by one function. For anything else the long way begins, below; nothing has been written by then.
local function decide_plainly()
  local answer, states, void_at = { now, 1, false }, { false }, { false }
  for i = 1, #KEYS do
    local key, head = KEYS[i], ARGV[2 * i]
    local flags, cost, n1, n2, n3, n4 = numbers_of(NUMBERS, ARGV[2 * i + 1])
    local take = takes[sub(head, 1, 1)]
    if not take or cost == 0 or flags ~= 0 then return end
    local found, from = found_at(key), #head + 1
    if found and (type(found) == 'table' or sub(found, 1, from - 1) ~= head) then return end
    local state, until_at, seen = take(found, from, head, cost, n1, n2, n3, n4)
    if state == nil then return end
    if not state then answer[2] = 0 end
    states[i], void_at[i], answer[2 + i] = state, until_at, seen or found
  end
  if answer[2] == 1 then
    for i, state in ipairs(states) do
      local ms = math.ceil((void_at[i] - now) / 1000)
      call('SET', KEYS[i], state, 'PX', (ms > 1 and ms or 1) + keep_ms)
    end
  end
  return answer
end

local answer = decide_plainly()
if answer then return answer end

