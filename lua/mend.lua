-- Mend the books of a sale: one order or one key at a time, then the sums.
--
-- KEYS  1 sale  2 buyers  3 requests  4 orders  5 outbox
-- ARGV  1 sale id  2 epoch: the run id of this Redis ("" = do not compare)
--       3 step:
--   "adopt"     4 order id  5 state  6 quantity  7 user  8 idempotency key
--               an order that MySQL or the outbox has and this Redis forgot
--   "resend"    4 order id  5 idempotency key  6 reserved at (ms)
--               an order that only this Redis has: into the outbox once more
--   "define"    the definition, as it is: into the outbox once more
--   "remember"  4 order id  5 user  6 idempotency key
--   "forget"    4 order id  5 user  6 idempotency key: of no order
--   "sum"       4 "mended" of the sale when this was found: another number
--               after every mending of a sum and every rebuild
--               5 user ("" = what is on sale)  6 units to add
--               7 the sum that is right, should there be no number
--
-- Returns {"ok", n}, n = what it changed, 1 or 0; or {"gone"} (another sale by
-- now) or {"recovering"}.
--
-- Each step asks once more whether there is still something to mend, in the
-- same moment in which it mends: nothing is done twice, whoever else is at
-- it, and sales go on meanwhile.

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

-- Units that MySQL has, if it is an order that it has.  Not so important that
-- a damaged number may fail anything.
local function confirm(state, units)
  if state == 'confirmed' then
    redis.pcall('HINCRBY', sale_key, 'confirmed', units)
  end
end

-- What cannot be read is as good as forgotten.
local function is_known(id)
  local order = redis.call('HGET', orders, id)
  local quantity =
    tonumber(string.match(order or '', '^%S+ (%d+) .') or 0)
  return quantity >= 1 and quantity <= 1e9
end

local function adopt(id, state, quantity, user, request_key)
  if is_known(id) then
    return 0
  end
  redis.call('HLEN', requests) -- or nothing is written
  redis.call('HSET', orders, id, state .. ' ' .. quantity .. ' ' .. user)
  if request_key ~= '' then
    redis.call('HSETNX', requests, user .. ' ' .. request_key, id)
  end
  confirm(state, quantity)
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
  confirm(state, -quantity)
  return 1
end

-- One that was made up from orders is none.
local function define()
  if redis.call('HGET', sale_key, 'defined') == '0' then
    return 0
  end
  local fields = {'sale_id', 'revision', 'total', 'name', 'limit', 'opens_at',
    'closes_at', 'price', 'currency', 'created_at', 'state'}
  local values = redis.call('HMGET', sale_key, unpack(fields))
  local entry = {'type', 'sale'}
  for i = 1, #fields do
    entry[#entry + 1] = fields[i]
    entry[#entry + 1] = values[i]
  end
  redis.call('XADD', outbox, '*', unpack(entry))
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

-- The sums.  What is amiss with them stays the same while people buy, for
-- every purchase moves both sides by as much; so what was found to be amiss
-- may be mended by as much later, if nobody else has mended it meanwhile.
--
-- What is no number moves nobody: every script fails at it.  It becomes the
-- sum that was right when it was read, and is right still.
local function add(key, field, units, expected)
  local reply = redis.pcall('HINCRBY', key, field, units)
  if type(reply) == 'table' then
    redis.call('HSET', key, field, expected)
    return tonumber(expected)
  end
  return reply
end

local function sum(mended, user, units, expected)
  if (redis.call('HGET', sale_key, 'mended') or '0') ~= mended then
    return 0
  end
  if user ~= '' then
    if add(buyers, user, units, expected) <= 0 then
      redis.call('HDEL', buyers, user)
    end
  else
    -- Never less than none: MySQL rejects the orders that are too many.
    local on_sale = tonumber(sale[4])
    if on_sale and tonumber(units) < -math.max(0, on_sale) then
      units = '-' .. (on_sale > 0 and sale[4] or '0')
    end
    if units == '-0' then
      return 0
    end
    add(sale_key, 'remaining', units, tostring(math.max(0, expected)))
  end
  redis.call('HINCRBY', sale_key, 'mended', 1)
  return 1
end

local steps = {adopt = adopt, resend = resend, define = define,
  remember = remember, forget = forget, sum = sum}
return {'ok', steps[step](unpack(ARGV, 4))}
