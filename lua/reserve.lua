-- Take units of a sale for buyers who ask at the same moment, one after the
-- other, or say why not.
--
-- KEYS  1 sale  2 buyers  3 requests  4 orders  5 outbox  6 gates
-- ARGV  1 epoch: the run id of this Redis ("" = do not compare)
--       then for each request, of which there may be 100:
--       order id, user, quantity, idempotency key ("" = none)
--       or none at all, which only asks whether all would be refused
--
-- Returns no_sale or recovering, for all of them, or
--   refusal, remaining, limit, opens at (ms)
-- for all of them, or
--   ok, remaining, limit, opens at (ms), sale id, revision, total, price,
--   currency, now (ms), then for each request one of
--   {ok, remaining after it, outbox entry id}
--   {replayed, order id, "state quantity user"}
--   refusal
-- where refusal is sold_out, limit_reached, not_open, closed or paused.
--
-- Atomic because everything hangs together: stock, the buyer's limit, the
-- memory of the request and the message that carries the order on.  Were the
-- outbox entry written by a second command, a crash between the two would
-- lose the unit.  Many requests at once because a call costs far more than
-- a decision.
--
-- A request that was accepted before is answered first: its answer stays true
-- when the sale is sold out, paused or over by now.  A missing sale is an
-- error, never an empty one: nothing is reloaded here.  A sale that was opened
-- on, or rebuilt for, another Redis than this may lack its last orders: it
-- waits for the keeper.

local sale_key, buyers, requests, orders, outbox, gates = unpack(KEYS)
local epoch = ARGV[1]

-- What a refusal depends on, and no more: most requests are refused.
local sale = redis.call('HMGET', sale_key, 'remaining', 'limit', 'opens_at',
  'closes_at', 'state', 'epoch')
local remaining, limit = tonumber(sale[1]), tonumber(sale[2])
if not remaining then
  return {'no_sale'}
end
if epoch ~= '' and sale[6] ~= epoch then
  return {'recovering'}
end

-- One moment for the whole call, in ms; asked for when something depends on
-- it.
local moment
local function now()
  if not moment then
    local time = redis.call('TIME')
    moment = time[1] * 1000 + math.floor(time[2] / 1000)
  end
  return moment
end

-- What everybody hears while nothing is sold.
local function why_not()
  local opens_at, closes_at = tonumber(sale[3]), tonumber(sale[4])
  if sale[5] ~= 'open' then
    return sale[5] == 'closed' and 'closed' or 'paused'
  elseif closes_at > 0 and now() >= closes_at then
    return 'closed'
  elseif opens_at > 0 and opens_at > now() then
    return 'not_open'
  elseif remaining <= 0 then
    return 'sold_out'
  else
    -- Where web servers still refuse by themselves, so do we: gate.lua.
    return redis.call('HVALS', gates)[1]
  end
end
local refusal = why_not()

-- Some fields of a hash, in one command.
local function read(key, fields)
  local values = {}
  if #fields > 0 then
    for i, value in ipairs(redis.call('HMGET', key, unpack(fields))) do
      values[fields[i]] = value
    end
  end
  return values
end

local users, memories = {}, {}
for i = 2, #ARGV, 4 do
  local user, request_key = ARGV[i + 1], ARGV[i + 3]
  if request_key ~= '' then
    memories[#memories + 1] = user .. ' ' .. request_key
  end
  if not refusal then
    users[#users + 1] = user
  end
end
if refusal and #memories == 0 then
  -- Nearly all of a flash sale is this: one word for everybody.
  return {refusal, remaining, sale[2], sale[3]}
end
local now_text = string.format('%.0f', now())
local terms = redis.call('HMGET', sale_key, 'sale_id', 'revision', 'total',
  'price', 'currency')
local remembered, held = read(requests, memories), read(buyers, users)

-- Decide.  What was taken a line before counts already, and a request that
-- came twice at once has its order from the first.
local answers, taken, values, units = {}, {}, {}, 0
for i = 2, #ARGV, 4 do
  local order_id, user, asked, request_key = unpack(ARGV, i, i + 3)
  local quantity = tonumber(asked)
  local memory = request_key ~= '' and user .. ' ' .. request_key
  local earlier = memory and remembered[memory]
  local answer

  if earlier then
    answer = {'replayed', earlier, values[earlier] or
      redis.call('HGET', orders, earlier) or ''}
  elseif refusal then
    answer = refusal
  elseif remaining < quantity then
    answer = 'sold_out'
  elseif limit > 0 and (held[user] or 0) + quantity > limit then
    answer = 'limit_reached'
  else
    answer = {'ok', remaining - quantity}
    remaining, units = remaining - quantity, units + quantity
    -- Texts where there are: Lua writes numbers slowly.
    held[user] = held[user] and held[user] + quantity or asked
    values[order_id] = 'reserved ' .. asked .. ' ' .. user
    if memory then
      remembered[memory] = order_id
    end
    taken[#taken + 1] = {i, answer}
  end
  answers[#answers + 1] = answer
end

local function add(list, field, value)
  list[#list + 1] = field
  list[#list + 1] = value
end

local function write(key, fields)
  if #fields > 0 then
    redis.call('HSET', key, unpack(fields))
  end
end

local function take()
  -- Redis does not roll back: what can fail because of damaged data fails
  -- here, before the first write, or a unit would be gone without an order.
  for i = 1, 5 do
    assert(terms[i], 'the sale is damaged')
  end
  redis.call('HLEN', requests)
  redis.call('HLEN', orders)
  redis.call('XLEN', outbox)

  local holdings, memory, states = {}, {}, {}
  redis.call('HINCRBY', sale_key, 'remaining', -units)
  for _, one in ipairs(taken) do
    local i, answer = unpack(one)
    local order_id, user, quantity, request_key = unpack(ARGV, i, i + 3)
    add(holdings, user, held[user])
    add(states, order_id, values[order_id])
    if request_key ~= '' then
      add(memory, user .. ' ' .. request_key, order_id)
    end
    answer[3] = redis.call('XADD', outbox, '*',
      'type', 'order', 'order_id', order_id, 'sale_id', terms[1],
      'revision', terms[2], 'total', terms[3], 'user', user,
      'quantity', quantity, 'price', terms[4], 'currency', terms[5],
      'request_key', request_key, 'reserved_at', now_text)
  end
  write(buyers, holdings)
  write(requests, memory)
  write(orders, states)
end
if units > 0 then
  take()
  if remaining == 0 then
    -- The gates may shut.  Not so important that it may fail anything.
    redis.pcall('PUBLISH', 'fs:gate', string.match(sale_key, '{(.*)}'))
  end
end

return {'ok', remaining, sale[2], sale[3], terms[1], terms[2], terms[3],
  terms[4], terms[5], now_text, unpack(answers)}
