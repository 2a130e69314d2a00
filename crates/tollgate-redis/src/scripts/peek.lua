-- What a decision would find, changing nothing. Answers as decide.lua does.
local answer = { now, 0 }
for i, key in ipairs(KEYS) do
  local head, found = ARGV[2 * i], found_at(key)
  local al = algorithms[sub(head, 1, 1)]
  if type(found) == 'table' then
    if not string.find(found.err, 'WRONGTYPE', 1, true) then error(found.err, 0) end
    found = false
  elseif found and al and sub(found, 1, #head) == head then
    local _, cost, n1, n2 = numbers_of(NUMBERS, ARGV[2 * i + 1])
    local c = { found = found, n1 = n1, n2 = n2 }
    if al.parse(c, found, #head + 1) then found = al.view(c, head, cost) end
  end
  answer[2 + i] = found
end
return answer
