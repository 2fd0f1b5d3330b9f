-- Rebuild a sale after Redis may have lost data: in three steps, because the
-- orders come from MySQL in many calls.
--
-- KEYS  1 sale  2 buyers  3 requests  4 orders  5 outbox
-- ARGV  1 step  2 token of the rebuilder
--   "begin"   3 epoch to come  4 lease (ms), then what MySQL knows, or
--             nothing when it knows no such sale:  5 sale id  6 revision
--             7 total  8 name  9 limit  10 opens at  11 closes at  12 price
--             13 currency  14 created at  15 state
--   "add"     3 lease (ms), then five each: order id, status, quantity,
--             user, idempotency key; a parked order has the status "dead"
--             and comes after those that MySQL has
--   "finish"  3 epoch to come
--
-- Returns {"ok", remaining, sale id}, {"fresh"} (nothing to do), {"busy"} (somebody
-- else is at it), {"lost"} (somebody else took over) or {"nothing"} (no such
-- sale anywhere).
--
-- Each step is atomic, and until "finish" the sale carries an epoch that no
-- responder has, so nothing is sold from half a rebuild.
--
-- What survived here counts: an order in the orders hash or the outbox keeps
-- its unit even when MySQL does not know it (yet).  A unit too few for sale
-- is found and mended; one sold twice is a broken promise.

local sale_key, buyers, requests, orders, outbox = unpack(KEYS)
local step, token = ARGV[1], ARGV[2]
local rebuilding = 'rebuilding ' .. token
local live = {reserved = true, queued = true, confirmed = true}

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function lease(ms)
  redis.call('HSET', sale_key,
    'rebuild_until', string.format('%.0f', now + ms))
end

local function count(quantity, user)
  redis.call('HINCRBY', sale_key, 'remaining', -quantity)
  redis.call('HINCRBY', buyers, user, quantity)
end

-- Units that MySQL has: +quantity or -quantity.
local function confirm(quantity)
  redis.call('HINCRBY', sale_key, 'confirmed', quantity)
end

-- An order that is not in the orders hash yet.
local function add(id, state, quantity, user, request_key)
  redis.call('HSET', orders, id, state .. ' ' .. quantity .. ' ' .. user)
  if request_key ~= '' then
    redis.call('HSET', requests, user .. ' ' .. request_key, id)
  end
  if live[state] then
    count(quantity, user)
  end
  if state == 'confirmed' then
    confirm(quantity)
  end
end

-- One that is, and of which MySQL knows more.
local function change(id, order, status, is_dead)
  local state, quantity, user = string.match(order, '^(%S+) (%d+) (.*)$')
  if is_dead and state == 'confirmed' then
    return
  end
  if live[state] and not live[status] then
    count(-quantity, user)
  elseif live[status] and not live[state] then
    count(quantity, user)
  end
  if status ~= state and status == 'confirmed' then
    confirm(quantity)
  elseif status ~= state and state == 'confirmed' then
    confirm(-quantity)
  end
  redis.call('HSET', orders, id, status .. ' ' .. quantity .. ' ' .. user)
end

local function define()
  redis.call('DEL', sale_key)
  redis.call('UNLINK', requests, orders)
  local fields = {'sale_id', 'revision', 'total', 'name', 'limit',
    'opens_at', 'closes_at', 'price', 'currency', 'created_at', 'state'}
  for i = 1, #fields do
    redis.call('HSET', sale_key, fields[i], ARGV[4 + i])
  end
end

local function count_surviving_orders()
  local list = redis.call('HVALS', orders)
  for i = 1, #list do
    local state, quantity, user =
      string.match(list[i], '^(%S+) (%d+) (.*)$')
    if live[state] then
      count(quantity, user)
    end
    if state == 'confirmed' then
      confirm(quantity)
    end
  end
end

local function add_outbox(sale_id)
  local entries = redis.call('XRANGE', outbox, '-', '+')
  for i = 1, #entries do
    local entry = {}
    local list = entries[i][2]
    for j = 1, #list, 2 do
      entry[list[j]] = list[j + 1]
    end
    if entry.type == 'order' and entry.sale_id == sale_id and
       redis.call('HEXISTS', orders, entry.order_id) == 0 then
      add(entry.order_id, 'reserved', entry.quantity, entry.user,
        entry.request_key)
    end
  end
end

local function begin()
  local here = redis.call('HMGET', sale_key,
    'epoch', 'sale_id', 'revision', 'rebuild_until')
  if here[1] == ARGV[3] then
    return {'fresh'}
  end
  if here[4] and here[1] ~= rebuilding and now < tonumber(here[4]) then
    return {'busy'}
  end
  if ARGV[5] and (not here[2] or here[2] < ARGV[5]) then
    define()
  elseif not here[2] then
    return {'nothing'}
  elseif here[2] == ARGV[5] and tonumber(here[3]) < tonumber(ARGV[6]) then
    redis.call('HSET', sale_key, 'revision', ARGV[6], 'total', ARGV[7],
      'state', ARGV[15])
  end
  redis.call('UNLINK', buyers)
  redis.call('HSET', sale_key, 'epoch', rebuilding, 'confirmed', 0,
    'remaining', redis.call('HGET', sale_key, 'total'))
  lease(tonumber(ARGV[4]))
  count_surviving_orders()
  add_outbox(redis.call('HGET', sale_key, 'sale_id'))
  return {'ok', redis.call('HGET', sale_key, 'remaining'),
    redis.call('HGET', sale_key, 'sale_id')}
end

if step == 'begin' then
  return begin()
end
if redis.call('HGET', sale_key, 'epoch') ~= rebuilding then
  return {'lost'}
end
if step == 'add' then
  lease(tonumber(ARGV[3]))
  for i = 4, #ARGV, 5 do
    local known = redis.call('HGET', orders, ARGV[i])
    local status = ARGV[i + 1]
    local is_dead = status == 'dead'
    if is_dead then
      status = 'rejected'
    end
    if not known then
      add(ARGV[i], status, ARGV[i + 2], ARGV[i + 3], ARGV[i + 4])
    else
      change(ARGV[i], known, status, is_dead)
    end
  end
else
  -- Less than none: MySQL's guard rejects the orders that are too many.
  if tonumber(redis.call('HGET', sale_key, 'remaining')) < 0 then
    redis.call('HSET', sale_key, 'remaining', 0)
  end
  -- What somebody has found to be amiss with the sums before is not any more.
  redis.call('HSET', sale_key, 'epoch', ARGV[3],
    'mended', string.format('%.0f', now))
  redis.call('HDEL', sale_key, 'rebuild_until')
end
return {'ok', redis.call('HGET', sale_key, 'remaining')}
