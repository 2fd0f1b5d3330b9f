-- MySQL has these messages: show it to their buyers, and take the messages
-- out of the outbox if that is where they came from (QUEUE=redis).
--
-- KEYS  1 sale  2 buyers  3 orders  4 orders:previous  5 outbox
-- ARGV  triples: order id ("" for what is no order), verdict, outbox entry id
--       ("" when the message came through SQS).  The verdict is
--   "confirmed"  it is booked
--   "rejected"   MySQL has no unit left for it.  The buyer may buy again; the
--                unit stays away: it belongs to an order that this Redis does
--                not know, or MySQL would have had one
--   "dead"       MySQL will never have it, whatever its stock: rejected, and
--                its units go back on sale
--
-- Returns how many orders were known here.
--
-- Atomic so that no message leaves the outbox whose buyer is not told, and
-- because the state decides whether an order holds its units: however
-- often a verdict arrives, only the step out of a live state returns them.
-- What is booked is never returned, and a booked order that was given up for
-- dead takes its units again, as far as there are any left: MySQL rejects the
-- order that they were sold to meanwhile.
--
-- Confirmed units are counted in the sale, by the same steps.  A sale that is
-- not here is not begun by that: who opens it next must find none.
--
-- An order of a sale that has been reset only changes its state: its units
-- went with that sale.  One that was reset twice is not known any more; MySQL
-- is where it lives.

local sale_key, buyers, orders, previous, outbox = unpack(KEYS)
local live = {reserved = true, queued = true, confirmed = true}
local known = 0

-- What can fail as a whole because of damaged data fails here, before the
-- first write.
local has_sale = redis.call('HLEN', sale_key) > 0
redis.call('HLEN', orders)
redis.call('HLEN', previous)
if ARGV[3] ~= '' then
  redis.call('XLEN', outbox)
end

-- A sum follows from the orders and never holds one of them up: a damaged one
-- stays as it is, for "flashsale verify" to find, and none is begun in a sale
-- that is not here.
local function add(key, field, units)
  if units == 0 or not has_sale then -- Redis takes Lua's -0 for no integer
    return nil
  end
  local sum = redis.pcall('HINCRBY', key, field, units)
  return type(sum) == 'number' and sum or nil
end

-- Units that the buyer holds from now on; fewer than 0 are given back.
local function hold(user, units)
  local held = add(buyers, user, units)
  if held and held <= 0 then
    redis.call('HDEL', buyers, user)
  end
end

-- The order first: it leaves its state once, so its units move once,
-- whatever becomes of the sums.
local function settle_current(id, order, verdict)
  local state, quantity, user = string.match(order, '^(%S+) (%d+) (.+)$')
  if not state or tonumber(quantity) > 1e9 or
     (verdict == 'dead' and state == 'confirmed') then
    return -- damaged, or booked; the others are not to wait for it
  end
  redis.call('HSET', orders, id, (verdict == 'dead' and 'rejected' or verdict)
    .. ' ' .. quantity .. ' ' .. user)
  if verdict == 'confirmed' and not live[state] then
    local remaining = tonumber(redis.call('HGET', sale_key, 'remaining')) or 0
    add(sale_key, 'remaining', -math.max(0, math.min(quantity, remaining)))
    hold(user, quantity)
  elseif verdict ~= 'confirmed' and live[state] then
    if verdict == 'dead' then
      add(sale_key, 'remaining', quantity)
    end
    hold(user, -quantity)
    redis.pcall('PUBLISH', 'fs:gate', string.match(sale_key, '{(.*)}'))
  end
  add(sale_key, 'confirmed', (verdict == 'confirmed' and quantity or 0)
    - (state == 'confirmed' and quantity or 0))
end

local function settle_previous(id, order, verdict)
  if verdict == 'dead' then
    verdict = string.sub(order, 1, 9) == 'confirmed' and 'confirmed'
      or 'rejected'
  end
  redis.call('HSET', previous, id,
    verdict .. (string.match(order, ' .*$') or ''))
end

local function settle(id, verdict)
  local order = redis.call('HGET', orders, id)
  if order then
    settle_current(id, order, verdict)
    known = known + 1
    return
  end
  order = redis.call('HGET', previous, id)
  if order then
    settle_previous(id, order, verdict)
    known = known + 1
  end
end

for i = 1, #ARGV, 3 do
  local order_id, verdict, entry = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  if order_id ~= '' then
    settle(order_id, verdict)
  end
  if entry ~= '' then
    redis.call('XACK', outbox, 'flashsale', entry)
    redis.call('XDEL', outbox, entry)
  end
end
return known
