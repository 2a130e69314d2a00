-- The short way of a decision, where every check is of a policy without flags and no state is of other numbers: each is
-- taken or not by one function. For anything else the long way begins, below; nothing has been written by then.
--
-- `writes`, of each check that passes: its key, how long it is kept, in text, and its value.
local answer, writes, is_older = { now, 1, false }, nil, false
for i = 1, #KEYS do
  local key, head = KEYS[i], ARGV[2 * i]
  local kind = sub(head, 1, 1)
  local take = kind == 't' and take_t or kind == 'f' and take_f or kind == 's' and take_s or kind == 'n' and take_n
  local flags, cost, n1, n2, n3, n4 = numbers_of(NUMBERS, ARGV[2 * i + 1])
  local found, from = false, #head + 1
  if take then found = found_at(key) end
  -- Of a value that is no text there is an error.
  if not take or cost == 0 or flags ~= 0 or found and found.err then
    answer = nil
    break
  end
  if found and sub(found, 1, from - 1) ~= head then
    -- Of another version, and of the same numbers or not: the later version stays, as text like `is_later`.
    local own, version = match(head, '^([^|]*)|v(%d+)|$')
    local numbers, others, behind = match(found, '^(%a[^|]*)|v(%d+)|()')
    if numbers ~= own then
      answer = nil
      break
    end
    if #others > #version or #others == #version and others > version then
      head = sub(found, 1, behind - 1)
    else
      is_older = true
    end
    from = behind
  end
  local state, void_at, seen = take(found, from, head, cost, n1, n2, n3, n4)
  if state == nil then
    answer = nil
    break
  end
  answer[2 + i] = seen or found
  if state then
    -- Rounded up: of a number, `%d` writes the whole part.
    local ms = format('%d', (void_at - now + 999) / 1000 + keep_ms)
    writes = writes or { false, false, false }
    writes[3 * i - 2], writes[3 * i - 1], writes[3 * i] = key, ms, state
  else
    answer[2] = 0
  end
end
-- A denial writes nothing here; that of an older version is to say so all the same.
if answer and answer[2] == 0 and is_older then answer = nil end
if answer then
  if answer[2] == 1 then
    for i = 1, 3 * #KEYS, 3 do
      call('PSETEX', writes[i], writes[i + 1], writes[i + 2])
    end
  end
  return answer
end

