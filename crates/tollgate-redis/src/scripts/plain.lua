-- The short way of a decision, where every check is of a policy without letters and no state is of other numbers: each
-- is taken or not by one function. For anything else the long way begins, below; nothing has been written by then.
local function decide_plainly()
  local checks = #KEYS
  if ARGV[2] + 0 ~= checks then return end
  local answer, states, void_at = { now, 1, 0, false }, {}, {}
  for i = 1, checks do
    local o = 7 * i - 4
    local head, cost = ARGV[o], ARGV[o + 2] + 0
    local take = takes[sub(head, 1, 1)]
    if not take or cost == 0 or ARGV[o + 1] ~= '' then return end
    local found, from = redis.pcall('GET', KEYS[i]), #head + 1
    if found and (type(found) == 'table' or sub(found, 1, from - 1) ~= head) then return end
    local state, until_at, seen = take(found, from, o, cost, head)
    if state == nil then return end
    if not state then answer[2] = 0 end
    states[i], void_at[i], answer[3 + i] = state, until_at, seen or found
  end
  if answer[2] == 1 then
    for i = 1, checks do
      local ms = math.ceil((void_at[i] - now) / 1000)
      call('SET', KEYS[i], states[i], 'PX', (ms > 1 and ms or 1) + keep_ms)
    end
  end
  return answer
end

local answer = decide_plainly()
if answer then return answer end

