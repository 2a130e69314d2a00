-- Quotient and remainder of integers below 2^53. `math.floor(a / b)` would round up just below a whole number.
local function divide(a, b)
  local rest = fmod(a, b)
  return (a - rest) / b, rest
end

local function divide_up(a, b)
  local rest = fmod(a, b)
  if rest > 0 then return (a - rest) / b + 1 end
  return a / b
end
