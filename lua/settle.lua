-- MySQL has decided on these orders: show it to their buyers.
--
-- KEYS  1 orders  2 orders:previous
-- ARGV  pairs: order id, state ("confirmed", "rejected")
--
-- Returns how many orders were known here.
--
-- Atomic because the state is part of a value that queued.lua changes too.
-- An order of a sale that has been reset twice is not known any more; MySQL
-- is where it lives.

local known = 0

for i = 1, #ARGV, 2 do
  for _, key in ipairs(KEYS) do
    local order = redis.call('HGET', key, ARGV[i])
    if order then
      redis.call('HSET', key, ARGV[i],
        ARGV[i + 1] .. string.match(order, ' .*$'))
      known = known + 1
      break
    end
  end
end
return known
