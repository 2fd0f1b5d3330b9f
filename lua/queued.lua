-- SQS has acknowledged these messages.
--
-- KEYS  1 orders  2 orders:previous  3 outbox
-- ARGV  pairs, 500 at most: outbox entry id, order id ("" for a sale's
--       definition)
--
-- Returns how many entries left the outbox.
--
-- Atomic so that no order is seen as "reserved" without being in the outbox.
-- Only "reserved" becomes "queued": the worker may have been faster.

local orders, previous, outbox = unpack(KEYS)

-- What can fail because of damaged data fails here, before the first write.
redis.call('HLEN', previous)
redis.call('XLEN', outbox)

-- Returns the orders that are not in that hash.
local function mark(key, order_ids)
  local missing, changed = {}, {}
  if #order_ids == 0 then
    return missing
  end
  for i, order in ipairs(redis.call('HMGET', key, unpack(order_ids))) do
    if not order then
      missing[#missing + 1] = order_ids[i]
    elseif string.sub(order, 1, 9) == 'reserved ' then
      changed[#changed + 1] = order_ids[i]
      changed[#changed + 1] = 'queued' .. string.sub(order, 9)
    end
  end
  if #changed > 0 then
    redis.call('HSET', key, unpack(changed))
  end
  return missing
end

local entries, order_ids = {}, {}
for i = 1, #ARGV, 2 do
  entries[#entries + 1] = ARGV[i]
  if ARGV[i + 1] ~= '' then
    order_ids[#order_ids + 1] = ARGV[i + 1]
  end
end
mark(previous, mark(orders, order_ids))
return redis.call('XDEL', outbox, unpack(entries))
