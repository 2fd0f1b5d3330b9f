-- Mend the books of a sale: one order or one key at a time, then the sums.
--
-- KEYS  1 sale  2 buyers  3 requests  4 orders  5 outbox
-- ARGV  1 sale id  2 epoch: the run id of this Redis ("" = do not compare)
--       3 step:
--   "adopt"     4 order id  5 state  6 quantity  7 user  8 idempotency key
--               an order that MySQL or the outbox has and this Redis forgot
--   "resend"    4 order id  5 idempotency key  6 reserved at (ms)
--               an order that only this Redis has: into the outbox once more
--   "remember"  4 order id  5 user  6 idempotency key
--   "forget"    4 order id  5 user  6 idempotency key: of no order
--   "balance"   4 "all", or "" to take units from sale but return none
--
-- Returns {"ok", n}, n = what it changed: orders, keys, or with "balance" the
-- buyers, and then the units that it put on sale (taken away when negative);
-- or {"gone"} (another sale by now) or {"recovering"}.
--
-- Each step asks once more whether there is still something to mend, in the
-- same moment in which it mends: nothing is done twice, whoever else is at
-- it, and sales go on meanwhile.  The sums are taken from the orders here, so
-- they are exact however many are bought; "balance" holds Redis up for about
-- 1 ms for 2,000 orders.

local sale_key, buyers, requests, orders, outbox = unpack(KEYS)
local sale_id, epoch, step = unpack(ARGV)
local live = {reserved = true, queued = true, confirmed = true}

local sale = redis.call('HMGET', sale_key, 'sale_id', 'epoch', 'total',
  'remaining', 'revision', 'price', 'currency')
if sale[1] ~= sale_id then
  return {'gone'}
end
if epoch ~= '' and sale[2] ~= epoch then
  return {'recovering'}
end

local function adopt(id, state, quantity, user, request_key)
  if redis.call('HSETNX', orders, id,
       state .. ' ' .. quantity .. ' ' .. user) == 0 then
    return 0
  end
  if request_key ~= '' then
    redis.call('HSETNX', requests, user .. ' ' .. request_key, id)
  end
  return 1
end

local function resend(id, request_key, reserved_at)
  local state, quantity, user =
    string.match(redis.call('HGET', orders, id) or '', '^(%S+) (%d+) (.*)$')
  if not live[state] then
    return 0
  end
  redis.call('XADD', outbox, '*',
    'type', 'order', 'order_id', id, 'sale_id', sale_id,
    'revision', sale[5], 'total', sale[3], 'user', user,
    'quantity', quantity, 'price', sale[6], 'currency', sale[7],
    'request_key', request_key, 'reserved_at', reserved_at)
  redis.call('HSET', orders, id, 'reserved ' .. quantity .. ' ' .. user)
  return 1
end

local function remember(id, user, request_key)
  if redis.call('HEXISTS', orders, id) == 0 then
    return 0
  end
  return redis.call('HSETNX', requests, user .. ' ' .. request_key, id)
end

local function forget(id, user, request_key)
  local request = user .. ' ' .. request_key
  if redis.call('HEXISTS', orders, id) == 1 or
     redis.call('HGET', requests, request) ~= id then
    return 0
  end
  return redis.call('HDEL', requests, request)
end

-- Make the buyers' entries what their orders come to.
local function balance_buyers(wanted)
  local changed = 0
  local held = redis.call('HGETALL', buyers)
  for i = 1, #held, 2 do
    local user = held[i]
    if tonumber(held[i + 1]) ~= wanted[user] then
      if wanted[user] then
        redis.call('HSET', buyers, user, wanted[user])
      else
        redis.call('HDEL', buyers, user)
      end
      changed = changed + 1
    end
    wanted[user] = nil
  end
  for user, units in pairs(wanted) do
    redis.call('HSET', buyers, user, units)
    changed = changed + 1
  end
  return changed
end

local function balance(how)
  local wanted, units, confirmed = {}, 0, 0
  local list = redis.call('HVALS', orders)
  for i = 1, #list do
    local state, quantity, user =
      string.match(list[i], '^(%S+) (%d+) (.*)$')
    if live[state] then
      units = units + quantity
      wanted[user] = (wanted[user] or 0) + quantity
    end
    if state == 'confirmed' then
      confirmed = confirmed + quantity
    end
  end
  -- Never less than none: MySQL rejects the orders that are too many.
  local right = math.max(0, tonumber(sale[3]) - units)
  local gap = right - tonumber(sale[4])
  if gap > 0 and how ~= 'all' then
    gap = 0
  end
  local changed = balance_buyers(wanted)
  redis.call('HSET', sale_key, 'confirmed', confirmed)
  if gap ~= 0 then
    redis.call('HINCRBY', sale_key, 'remaining', gap)
  end
  return {'ok', changed, gap}
end

if step == 'balance' then
  return balance(ARGV[4])
end
local steps = {adopt = adopt, resend = resend, remember = remember,
  forget = forget}
return {'ok', steps[step](unpack(ARGV, 4))}
