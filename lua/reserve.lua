-- Take units of a sale for a buyer, or say why not.
--
-- KEYS  1 sale  2 buyers  3 requests  4 orders  5 outbox
-- ARGV  1 order id  2 user  3 quantity  4 idempotency key ("" = none)
--
-- Returns a status, then what belongs to it:
--   ok             sale id, revision, total, remaining, price, currency,
--                  reserved at (ms), outbox entry id
--   replayed       order id, "state quantity user", remaining
--   sold_out       remaining
--   limit_reached  limit
--   not_open       opens at (ms)
--   closed, paused, no_sale
--
-- Atomic because everything hangs together: stock, the buyer's limit, the
-- memory of the request and the message that carries the order on.  Were the
-- outbox entry written by a second command, a crash between the two would
-- lose the unit.
--
-- A request that was accepted before is answered first: its answer stays true
-- when the sale is sold out, paused or over by now.  A missing sale is an
-- error, never an empty one: nothing is reloaded here.

local sale_key, buyers, requests, orders, outbox = unpack(KEYS)
local order_id, user, quantity, request_key = unpack(ARGV)
quantity = tonumber(quantity)

local sale = redis.call('HMGET', sale_key,
  'remaining', 'state', 'opens_at', 'closes_at', 'limit')
local remaining = tonumber(sale[1])
if not remaining then
  return {'no_sale'}
end

local request = user .. ' ' .. request_key
if request_key ~= '' then
  local earlier = redis.call('HGET', requests, request)
  if earlier then
    return {'replayed', earlier,
      redis.call('HGET', orders, earlier) or '', remaining}
  end
end

if sale[2] ~= 'open' then
  return {sale[2]}
end

local opens_at, closes_at = tonumber(sale[3]), tonumber(sale[4])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if closes_at > 0 and now >= closes_at then
  return {'closed'}
end
if now < opens_at then
  return {'not_open', sale[3]}
end

if remaining < quantity then
  return {'sold_out', remaining}
end

local limit = tonumber(sale[5])
if limit > 0 then
  local held = tonumber(redis.call('HGET', buyers, user) or 0)
  if held + quantity > limit then
    return {'limit_reached', limit}
  end
end

local terms = redis.call('HMGET', sale_key,
  'sale_id', 'revision', 'total', 'price', 'currency')
remaining = redis.call('HINCRBY', sale_key, 'remaining', -quantity)
redis.call('HINCRBY', buyers, user, quantity)
if request_key ~= '' then
  redis.call('HSET', requests, request, order_id)
end
redis.call('HSET', orders, order_id,
  'reserved ' .. quantity .. ' ' .. user)
local reserved_at = string.format('%.0f', now)
local entry = redis.call('XADD', outbox, '*',
  'type', 'order', 'order_id', order_id, 'sale_id', terms[1],
  'revision', terms[2], 'total', terms[3], 'user', user,
  'quantity', quantity, 'price', terms[4], 'currency', terms[5],
  'request_key', request_key, 'reserved_at', reserved_at)
return {'ok', terms[1], terms[2], terms[3], remaining, terms[4], terms[5],
  reserved_at, entry}
