-- Pause, resume or close a sale.
--
-- KEYS  1 sale  2 outbox
-- ARGV  1 "open", "paused" or "closed"
--
-- Returns 1, or 0 when there is no such sale.
--
-- A new revision of the definition, which goes the way of all messages: what
-- MySQL knows is what a rebuild restores, and a closed sale must not come
-- back open.  Atomic so that the message says what the sale says.

local sale_key, outbox = unpack(KEYS)

if redis.call('EXISTS', sale_key) == 0 then
  return 0
end
redis.call('HSET', sale_key, 'state', ARGV[1])
redis.call('HINCRBY', sale_key, 'revision', 1)

local fields = {'sale_id', 'revision', 'total', 'name', 'limit', 'opens_at',
  'closes_at', 'price', 'currency', 'created_at', 'state'}
local values = redis.call('HMGET', sale_key, unpack(fields))
local entry = {'type', 'sale'}
for i = 1, #fields do
  entry[#entry + 1] = fields[i]
  entry[#entry + 1] = values[i]
end
redis.call('XADD', outbox, '*', unpack(entry))
redis.pcall('PUBLISH', 'fs:gate', string.match(sale_key, '{(.*)}'))
return 1
