-- Rebuild a sale after Redis may have lost data: in three steps, because the
-- orders come from MySQL in many calls.
--
-- KEYS  1 sale  2 buyers  3 requests  4 orders  5 outbox
-- ARGV  1 step  2 token of the rebuilder
--   "begin"   3 epoch to come  4 lease (ms), then what MySQL knows, or
--             nothing when it knows no such sale:  5 sale id  6 revision
--             7 total  8 name  9 limit  10 opens at  11 closes at  12 price
--             13 currency  14 created at  15 state; limit "" = MySQL has
--             no definition, its orders alone
--   "add"     3 lease (ms), then five each: order id, status, quantity,
--             user, idempotency key; a parked order has the status "dead"
--             and comes after those that MySQL has
--   "finish"  3 epoch to come
--
-- Returns {"ok", remaining, sale id, damaged, defined} (the last three of
-- "begin" only: how many orders here cannot be read, and "0" if nobody knows
-- the definition), {"fresh"} (nothing to do), {"busy"} (somebody else is at
-- it), {"lost"} (somebody else took over), {"nothing"} (no such sale anywhere)
-- or {"damaged"} (one that only this Redis knows, and it cannot be read).
--
-- Each step is atomic, and until "finish" the sale carries an epoch that no
-- responder has, so nothing is sold from half a rebuild; and "begin" counts
-- from the start, so a step that fails in its middle does no harm.
--
-- What survived here counts: an order in the orders hash or the outbox keeps
-- its unit even when MySQL does not know it (yet).  A unit too few for sale
-- is found and mended; one sold twice is a broken promise.  What survived and
-- cannot be read is passed over; what MySQL has of it is taken.

local sale_key, buyers, requests, orders, outbox = unpack(KEYS)
local step, token = ARGV[1], ARGV[2]
local rebuilding = 'rebuilding ' .. token
local live = {reserved = true, queued = true, confirmed = true}
local damaged = 0 -- orders that cannot be read

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

local function is_number(value)
  return value and #value <= 15 and string.match(value, '^%d+$')
end

local function is_quantity(value)
  return is_number(value) and tonumber(value) >= 1 and tonumber(value) <= 1e9
end

-- "state quantity user"; nothing if it is damaged.
local function read(order)
  local state, quantity, user = string.match(order, '^(%S+) (%d+) (.+)$')
  if is_quantity(quantity) then
    return state, quantity, user
  end
end

-- An order that is not in the orders hash yet, or is damaged there.
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
local function change(id, status, is_dead, state, quantity, user)
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

-- The definition, in the order of ARGV from 5 on.
local fields = {'sale_id', 'revision', 'total', 'name', 'limit', 'opens_at',
  'closes_at', 'price', 'currency', 'created_at', 'state'}
local REVISION, TOTAL, STATE = 2, 3, 11
local texts = {name = true, currency = true}
local states = {open = true, paused = true, closed = true}

local function is_readable(field, value)
  if field == 'sale_id' then
    return value and #value == 36 and string.match(value, '^[%x-]+$')
  elseif field == 'state' then
    return states[value]
  elseif texts[field] then
    return value and value ~= ''
  end
  return is_number(value)
end

-- As MySQL has it.  Nobody is to buy without the limit that there was: where
-- that is lost, state.lua and open.lua know it by "defined".
local function put(first)
  for i = first, #fields do
    redis.call('HSET', sale_key, fields[i], ARGV[4 + i])
  end
  if ARGV[9] == '' then
    redis.call('HSET', sale_key, 'limit', 0, 'state', 'paused', 'defined', 0)
  else
    redis.call('HDEL', sale_key, 'defined')
  end
end

local function define()
  redis.call('DEL', sale_key)
  redis.call('UNLINK', requests, orders)
  put(1)
end

-- The same sale is here and in MySQL.  Which revision it has here stays,
-- unless MySQL's is newer or it cannot be read.
local function update(here, is_whole, is_undefined)
  local is_newer = is_undefined or not is_number(here[REVISION]) or
    tonumber(here[REVISION]) < tonumber(ARGV[6])
  if is_newer and is_whole then
    redis.call('HSET', sale_key, 'revision', ARGV[6], 'total', ARGV[7],
      'state', ARGV[15])
  elseif not is_whole then
    put(2)
    if not is_newer then
      redis.call('HSET', sale_key, 'revision', here[REVISION])
      if states[here[STATE]] then
        redis.call('HSET', sale_key, 'state', here[STATE])
      end
    end
  end
end

local function count_surviving_orders()
  local list = redis.call('HVALS', orders)
  for i = 1, #list do
    local state, quantity, user = read(list[i])
    if not state then
      damaged = damaged + 1
    elseif live[state] then
      count(quantity, user)
    end
    if state == 'confirmed' then
      confirm(quantity)
    end
  end
end

local function add_entry(entry)
  if redis.call('HEXISTS', orders, entry.order_id or '') == 1 then
    return
  elseif entry.order_id and entry.user and is_quantity(entry.quantity) then
    add(entry.order_id, 'reserved', entry.quantity, entry.user,
      entry.request_key or '')
  else
    damaged = damaged + 1
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
    if entry.type == 'order' and entry.sale_id == sale_id then
      add_entry(entry)
    end
  end
end

local function begin()
  local here = redis.call('HMGET', sale_key, unpack(fields))
  local more = redis.call('HMGET', sale_key,
    'epoch', 'rebuild_until', 'remaining', 'defined')
  local epoch, until_ms = more[1], tonumber(more[2])
  local sale_id, known_id = here[1], ARGV[5]
  local is_undefined = more[4] and known_id and ARGV[9] ~= ''
  local is_whole = not is_undefined
  for i = 1, #fields do
    is_whole = is_whole and is_readable(fields[i], here[i])
  end
  if epoch == ARGV[3] and is_whole and is_number(more[3]) then
    return {'fresh'}
  end
  if until_ms and epoch ~= rebuilding and now < until_ms then
    return {'busy'}
  end
  if not is_readable('sale_id', sale_id) then
    sale_id = nil
  end
  local is_another = known_id and (not sale_id or sale_id < known_id)
  redis.call('XLEN', outbox) -- or nothing is written
  if not is_another then
    redis.call('HLEN', requests)
    redis.call('HLEN', orders)
  end
  if is_another then
    define()
  elseif sale_id and sale_id == known_id then
    update(here, is_whole, is_undefined)
  elseif redis.call('EXISTS', sale_key) == 0 then
    return {'nothing'}
  elseif not is_whole then
    return {'damaged'}
  end
  redis.call('UNLINK', buyers)
  redis.call('HSET', sale_key, 'epoch', rebuilding, 'confirmed', 0,
    'remaining', redis.call('HGET', sale_key, 'total'))
  lease(tonumber(ARGV[4]))
  count_surviving_orders()
  sale_id = redis.call('HGET', sale_key, 'sale_id')
  add_outbox(sale_id)
  return {'ok', redis.call('HGET', sale_key, 'remaining'), sale_id, damaged,
    redis.call('HGET', sale_key, 'defined') or ''}
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
    local state, quantity, user = read(known or '')
    local status = ARGV[i + 1]
    local is_dead = status == 'dead'
    if is_dead then
      status = 'rejected'
    end
    if not state then
      add(ARGV[i], status, ARGV[i + 2], ARGV[i + 3], ARGV[i + 4])
    else
      change(ARGV[i], status, is_dead, state, quantity, user)
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
