-- SQS has acknowledged these messages.
--
-- KEYS  1 orders  2 orders:previous  3 outbox
-- ARGV  pairs: outbox entry id, order id ("" for a sale's definition)
--
-- Returns how many entries left the outbox.
--
-- Atomic so that no order is seen as "reserved" without being in the outbox.
-- Only "reserved" becomes "queued": the worker may have been faster.

local orders, previous, outbox = unpack(KEYS)
local gone = 0

local function mark(key, order_id)
  local order = redis.call('HGET', key, order_id)
  if order and string.sub(order, 1, 9) == 'reserved ' then
    redis.call('HSET', key, order_id, 'queued' .. string.sub(order, 9))
  end
  return order
end

for i = 1, #ARGV, 2 do
  gone = gone + redis.call('XDEL', outbox, ARGV[i])
  if ARGV[i + 1] ~= '' and not mark(orders, ARGV[i + 1]) then
    mark(previous, ARGV[i + 1])
  end
end
return gone
