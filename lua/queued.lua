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

-- Reads only.  Returns what is to change in that hash, and the orders that are
-- not in it.
local function look(key, order_ids)
  local changed, missing = {}, {}
  if #order_ids == 0 then
    return changed, missing
  end
  for i, order in ipairs(redis.call('HMGET', key, unpack(order_ids))) do
    if not order then
      missing[#missing + 1] = order_ids[i]
    elseif string.sub(order, 1, 9) == 'reserved ' then
      changed[#changed + 1] = order_ids[i]
      changed[#changed + 1] = 'queued' .. string.sub(order, 9)
    end
  end
  return changed, missing
end

local function write(key, changed)
  if #changed > 0 then
    redis.call('HSET', key, unpack(changed))
  end
end

local entries, order_ids = {}, {}
for i = 1, #ARGV, 2 do
  entries[#entries + 1] = ARGV[i]
  if ARGV[i + 1] ~= '' then
    order_ids[#order_ids + 1] = ARGV[i + 1]
  end
end
local changed, missing = look(orders, order_ids)
local changed_before = look(previous, missing)

-- Redis does not roll back: both hashes have been read, and were the outbox
-- damaged, then nothing is written yet.
local n = redis.call('XDEL', outbox, unpack(entries))
write(orders, changed)
write(previous, changed_before)
return n
