-- Start a new sale of a SKU.
--
-- KEYS  1 sale  2 buyers  3 requests  4 orders  5 orders:previous  6 outbox
-- ARGV  1 "new" (refuse when there is a sale) or "reset"
--       2 sale id, unless another has to be taken  3 stock  4 sku
--       5 name  6 limit  7 opens at  8 closes at  9 price  10 currency
--         ("" = as in the sale before, or the default)
--       11 epoch: the run id of this Redis
--
-- Returns {"exists"}, {"undefined"} if something is to be as in the sale before
-- of which that is lost or damaged, or {"ok", outbox entry id, sale id,
-- revision, total, name, limit, opens at, closes at, price, currency, created
-- at}.
--
-- Atomic because a buyer must meet either the old sale or the new one, whole.
-- Stock left in the old sale ends with it.  Its orders do not: they stay in
-- the outbox until SQS has them, and readable for a day.

local sale_key, buyers, requests, orders, previous, outbox = unpack(KEYS)
local mode, sale_id, stock, sku = unpack(ARGV)

local exists = redis.call('EXISTS', sale_key) == 1
if mode == 'new' and exists then
  return {'exists'}
end

-- Redis does not roll back: what can fail because of damaged data fails here,
-- before the first write.
redis.call('HLEN', orders)
redis.call('XLEN', outbox)

-- The newest sale of a SKU is the one with the greatest id, for a rebuild too.
-- Ids begin with their millisecond: whose clock is behind gets the next one.
local old_id = redis.call('HGET', sale_key, 'sale_id')
local old_ms = old_id and #old_id == 36 and
  tonumber(string.sub(old_id, 1, 8) .. string.sub(old_id, 10, 13), 16)
if old_ms and sale_id <= old_id then
  local hex = string.format('%012x', old_ms + 1)
  sale_id = string.sub(hex, 1, 8) .. '-' .. string.sub(hex, 9) ..
    string.sub(sale_id, 14)
end

local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))

local fields = {'name', 'limit', 'opens_at', 'closes_at', 'price', 'currency'}
local defaults = {sku, '1', '0', '0', '0', 'USD'}
local old = redis.call('HMGET', sale_key, unpack(fields))
local is_undefined = redis.call('HEXISTS', sale_key, 'defined') == 1

-- Of a sale that was rebuilt without its definition, only what each order
-- tells is known.
local texts = {name = true, currency = true}
local in_orders = {price = true, currency = true}

local function is_kept(field, value)
  if not value or (is_undefined and not in_orders[field]) then
    return false
  end
  return texts[field] and value ~= '' or
    #value <= 15 and string.match(value, '^%d+$')
end

local terms = {}
for i = 1, #fields do
  local given = ARGV[4 + i]
  if given ~= '' then
    terms[i] = given
  elseif not exists then
    terms[i] = defaults[i]
  elseif is_kept(fields[i], old[i]) then
    terms[i] = old[i]
  else
    return {'undefined'}
  end
end

-- A closing time that was kept, but is over or comes before the opening,
-- belongs to the sale that it closed.
local opens_at, closes_at = tonumber(terms[3]), tonumber(terms[4])
if ARGV[8] == '' and closes_at <= math.max(opens_at, tonumber(now)) then
  terms[4] = '0'
end

redis.call('DEL', sale_key)
redis.call('UNLINK', buyers, requests, previous)
if redis.call('EXISTS', orders) == 1 then
  redis.call('RENAME', orders, previous)
  redis.call('EXPIRE', previous, 86400)
end

redis.call('HSET', sale_key, 'sale_id', sale_id, 'revision', 1,
  'total', stock, 'remaining', stock, 'state', 'open', 'created_at', now,
  'epoch', ARGV[11])
for i = 1, #fields do
  redis.call('HSET', sale_key, fields[i], terms[i])
end

local entry = redis.call('XADD', outbox, '*',
  'type', 'sale', 'sale_id', sale_id, 'revision', 1, 'total', stock,
  'name', terms[1], 'limit', terms[2], 'opens_at', terms[3],
  'closes_at', terms[4], 'price', terms[5], 'currency', terms[6],
  'created_at', now, 'state', 'open')
redis.pcall('PUBLISH', 'fs:gate', string.match(sale_key, '{(.*)}'))
return {'ok', entry, sale_id, '1', stock, terms[1], terms[2], terms[3],
  terms[4], terms[5], terms[6], now}
