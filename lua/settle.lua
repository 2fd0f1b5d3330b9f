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

-- Every third of ARGV, but those that are "".
local function column(first)
  local texts = {}
  for i = first, #ARGV, 3 do
    if ARGV[i] ~= '' then
      texts[#texts + 1] = ARGV[i]
    end
  end
  return texts
end

-- The orders of a hash by their ids, as far as they are there.
local function read(key, ids)
  local found = {}
  if #ids > 0 then
    for i, order in ipairs(redis.call('HMGET', key, unpack(ids))) do
      found[ids[i]] = order or nil
    end
  end
  return found
end

local function write(key, changed)
  local fields = {}
  for id, order in pairs(changed) do
    fields[#fields + 1] = id
    fields[#fields + 1] = order
  end
  if #fields > 0 then
    redis.call('HSET', key, unpack(fields))
  end
end

-- What can fail as a whole because of damaged data fails here, before the
-- first write.
local has_sale = redis.call('HLEN', sale_key) > 0
local ids, entries = column(1), column(3)
local current, before = read(orders, ids), read(previous, ids)
if #entries > 0 then
  redis.call('XLEN', outbox)
end

-- 1. Decide.  An order that comes twice has its state from the first time.

local changed, changed_before = {}, {}
local moves = {} -- orders that take their units, or leave them
local confirmed = 0

local function settle_current(id, verdict)
  local state, quantity, user =
    string.match(current[id], '^(%S+) (%d+) (.+)$')
  local units = tonumber(quantity)
  if not state or units > 1e9 or
     (verdict == 'dead' and state == 'confirmed') then
    return -- damaged, or booked; the others are not to wait for it
  end
  current[id] = (verdict == 'dead' and 'rejected' or verdict) .. ' ' ..
    quantity .. ' ' .. user
  changed[id] = current[id]
  if live[state] ~= live[verdict] then
    moves[#moves + 1] = {verdict, units, user}
  end
  confirmed = confirmed + (verdict == 'confirmed' and units or 0)
    - (state == 'confirmed' and units or 0)
end

local function settle_before(id, verdict)
  if verdict == 'dead' then
    verdict = string.sub(before[id], 1, 9) == 'confirmed' and 'confirmed'
      or 'rejected'
  end
  before[id] = verdict .. (string.match(before[id], ' .*$') or '')
  changed_before[id] = before[id]
end

local known = 0
for i = 1, #ARGV, 3 do
  local id, verdict = ARGV[i], ARGV[i + 1]
  if current[id] then
    settle_current(id, verdict)
    known = known + 1
  elseif before[id] then
    settle_before(id, verdict)
    known = known + 1
  end
end

-- 2. Write: the orders first.  An order leaves its state once, so its units
-- move once, whatever becomes of the sums.

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

local function move(verdict, units, user)
  if verdict == 'confirmed' then
    local remaining = tonumber(redis.call('HGET', sale_key, 'remaining')) or 0
    add(sale_key, 'remaining', -math.max(0, math.min(units, remaining)))
    hold(user, units)
    return
  end
  if verdict == 'dead' then
    add(sale_key, 'remaining', units)
  end
  hold(user, -units)
  redis.pcall('PUBLISH', 'fs:gate', string.match(sale_key, '{(.*)}'))
end

write(orders, changed)
write(previous, changed_before)
for _, one in ipairs(moves) do
  move(unpack(one))
end
add(sale_key, 'confirmed', confirmed)
if #entries > 0 then
  redis.call('XACK', outbox, 'flashsale', unpack(entries))
  redis.call('XDEL', outbox, unpack(entries))
end
return known
