-- Take units of a sale for a buyer, or say why not.
--
-- KEYS  1 sale  2 buyers  3 requests  4 orders  5 outbox
-- ARGV  1 order id  2 user  3 quantity  4 idempotency key ("" = none)
--       5 epoch: the run id of this Redis ("" = do not compare)
--
-- Returns a status, then what belongs to it:
--   ok             sale id, revision, total, remaining, price, currency,
--                  reserved at (ms), outbox entry id
--   replayed       order id, "state quantity user", remaining
--   sold_out       remaining
--   limit_reached  limit
--   not_open       opens at (ms)
--   closed, paused, no_sale, recovering
--
-- Atomic because everything hangs together: stock, the buyer's limit, the
-- memory of the request and the message that carries the order on.  Were the
-- outbox entry written by a second command, a crash between the two would
-- lose the unit.
--
-- A request that was accepted before is answered first: its answer stays true
-- when the sale is sold out, paused or over by now.  A missing sale is an
-- error, never an empty one: nothing is reloaded here.  A sale that was opened
-- on, or rebuilt for, another Redis than this may lack its last orders: it
-- waits for the keeper.

local sale_key, buyers, requests, orders, outbox = unpack(KEYS)
local order_id, user, quantity, request_key, epoch = unpack(ARGV)
quantity = tonumber(quantity)

local sale = redis.call('HMGET', sale_key,
  'remaining', 'state', 'opens_at', 'closes_at', 'limit', 'epoch')
local remaining = tonumber(sale[1])
if not remaining then
  return {'no_sale'}
end
if epoch ~= '' and sale[6] ~= epoch then
  return {'recovering'}
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
  return {sale[2] == 'paused' and 'paused' or 'closed'}
end

local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Most sales that are refused have no window: they need not ask the time.
local opens_at, closes_at = tonumber(sale[3]), tonumber(sale[4])
if closes_at > 0 and now_ms() >= closes_at then
  return {'closed'}
end
if opens_at > 0 and now_ms() < opens_at then
  return {'not_open', sale[3]}
end

if remaining < quantity then
  return {'sold_out', remaining}
end

local limit = tonumber(sale[5])
local held = tonumber(redis.call('HGET', buyers, user) or 0)
if limit > 0 and held + quantity > limit then
  return {'limit_reached', limit}
end

-- Redis does not roll back: what can fail because of damaged data fails here,
-- before the first write, or a unit would be gone without an order.
local terms = redis.call('HMGET', sale_key,
  'sale_id', 'revision', 'total', 'price', 'currency')
for i = 1, 5 do
  assert(terms[i], 'the sale is damaged')
end
redis.call('HLEN', requests)
redis.call('HLEN', orders)
redis.call('XLEN', outbox)

remaining = redis.call('HINCRBY', sale_key, 'remaining', -quantity)
redis.call('HINCRBY', buyers, user, quantity)
if request_key ~= '' then
  redis.call('HSET', requests, request, order_id)
end
redis.call('HSET', orders, order_id,
  'reserved ' .. quantity .. ' ' .. user)
local reserved_at = string.format('%.0f', now_ms())
local entry = redis.call('XADD', outbox, '*',
  'type', 'order', 'order_id', order_id, 'sale_id', terms[1],
  'revision', terms[2], 'total', terms[3], 'user', user,
  'quantity', quantity, 'price', terms[4], 'currency', terms[5],
  'request_key', request_key, 'reserved_at', reserved_at)
return {'ok', terms[1], terms[2], terms[3], remaining, terms[4], terms[5],
  reserved_at, entry}
