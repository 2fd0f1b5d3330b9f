-- Pause, resume or close a sale.
--
-- KEYS  1 sale  2 outbox
-- ARGV  1 "open", "paused" or "closed"
--
-- Returns "ok", "no_sale", or "undefined" when it was rebuilt without its
-- definition: nobody knows its limit and its times, so it must not go on, nor
-- may MySQL be told that there were none.
--
-- A new revision of the definition, which goes the way of all messages: what
-- MySQL knows is what a rebuild restores, and a closed sale must not come
-- back open.  Atomic so that the message says what the sale says.

local sale_key, outbox = unpack(KEYS)
local fields = {'sale_id', 'total', 'name', 'limit', 'opens_at', 'closes_at',
  'price', 'currency', 'created_at', 'revision'}
local texts = {sale_id = true, name = true, currency = true}

if redis.call('EXISTS', sale_key) == 0 then
  return 'no_sale'
elseif redis.call('HEXISTS', sale_key, 'defined') == 1 then
  return 'undefined'
end

-- Redis does not roll back: what can fail because of damaged data fails here,
-- before the first write.
redis.call('XLEN', outbox)
local values = redis.call('HMGET', sale_key, unpack(fields))
for i = 1, #fields do
  assert(values[i] and (texts[fields[i]] or string.match(values[i], '^%d+$')),
    'the sale is damaged')
end
local revision = string.format('%.0f', values[#fields] + 1)

redis.call('HSET', sale_key, 'state', ARGV[1], 'revision', revision)
local entry = {'type', 'sale', 'state', ARGV[1], 'revision', revision}
for i = 1, #fields - 1 do
  entry[#entry + 1] = fields[i]
  entry[#entry + 1] = values[i]
end
redis.call('XADD', outbox, '*', unpack(entry))
redis.pcall('PUBLISH', 'fs:gate', string.match(sale_key, '{(.*)}'))
return 'ok'
