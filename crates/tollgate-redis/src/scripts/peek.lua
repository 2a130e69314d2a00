-- What a decision would find, changing nothing. Answers as decide.lua does.
local answer = { now, 0, 0 }
for i = 1, #KEYS do
  local o = 7 * i - 4
  local head, found = ARGV[o], redis.pcall('GET', KEYS[i])
  local al = algorithms[sub(head, 1, 1)]
  if type(found) == 'table' then
    if not string.find(found.err, 'WRONGTYPE', 1, true) then error(found.err) end
    found = false
  elseif found and al and sub(found, 1, #head) == head then
    local c = { found = found, n1 = tonumber(ARGV[o + 3]), n2 = tonumber(ARGV[o + 4]) }
    if al.parse(c, found, #head + 1) then found = al.view(c, head, tonumber(ARGV[o + 2])) end
  end
  answer[3 + i] = found
end
return answer
