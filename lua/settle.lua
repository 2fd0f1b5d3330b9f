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
-- Confirmed units are counted in the sale, by the same steps.
--
-- An order of a sale that has been reset only changes its state: its units
-- went with that sale.  One that was reset twice is not known any more; MySQL
-- is where it lives.

local sale_key, buyers, orders, previous, outbox = unpack(KEYS)
local live = {reserved = true, queued = true, confirmed = true}
local known = 0

-- Units that the buyer holds from now on; fewer than 0 are given back.
local function hold(user, units)
  if redis.call('HINCRBY', buyers, user, units) <= 0 then
    redis.call('HDEL', buyers, user)
  end
end

local function settle_current(id, order, verdict)
  local state, quantity, user = string.match(order, '^(%S+) (%d+) (.*)$')
  local remaining = tonumber(redis.call('HGET', sale_key, 'remaining') or 0)
  if not state then
    return -- damaged; the others are not to wait for it
  end
  if verdict == 'confirmed' and not live[state] then
    local taken = math.max(0, math.min(quantity, remaining))
    if taken > 0 then -- Redis takes Lua's -0 for no integer
      redis.call('HINCRBY', sale_key, 'remaining', -taken)
    end
    hold(user, quantity)
  elseif verdict ~= 'confirmed' and live[state] then
    if verdict == 'dead' and state == 'confirmed' then
      return
    end
    if verdict == 'dead' then
      redis.call('HINCRBY', sale_key, 'remaining', quantity)
    end
    hold(user, -quantity)
    redis.pcall('PUBLISH', 'fs:gate', string.match(sale_key, '{(.*)}'))
  end
  local units = (verdict == 'confirmed' and quantity or 0)
    - (state == 'confirmed' and quantity or 0)
  if units ~= 0 then
    redis.call('HINCRBY', sale_key, 'confirmed', units)
  end
  redis.call('HSET', orders, id, (verdict == 'dead' and 'rejected' or verdict)
    .. ' ' .. quantity .. ' ' .. user)
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
