-- May a web server refuse the buyers of a sale by itself?
--
-- KEYS  1 sale  2 gates
-- ARGV  1 "shut", "lift" or "ask"  2 gate: the name of who holds it
--       3 lease (ms)  4 epoch: the run id of this Redis ("" = do not compare)
--
-- "shut" takes or extends the gate's lease if every buyer would be refused
-- and returns the refusal (sold_out, not_open, closed, paused) and the time
-- of the opening (ms); otherwise it leaves the lease as it is and returns
-- "open".  "lift" gives the lease back, when no marker is there any more, nor
-- remembered.
-- "ask" returns "wait" if only gates keep the sale from selling.
--
-- While anybody has a lease, reserve.lua goes on refusing, whatever happened
-- to the sale meanwhile: a unit that comes back is on sale when the last
-- marker is forgotten, not before.  So no marker ever refuses wrongly.  A
-- gate that dies is waited for no longer than its lease.
--
-- Atomic because the sale must not open between the look at it and the lease.

local sale_key, gates = unpack(KEYS)
local step, gate, lease, epoch = unpack(ARGV)
lease = tonumber(lease)

local function refusal()
  local sale = redis.call('HMGET', sale_key, 'remaining', 'state',
    'opens_at', 'closes_at', 'epoch')
  if not sale[1] or (epoch ~= '' and sale[5] ~= epoch) then
    return nil -- missing or recovering: the engine has to say so
  end
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  local remaining = tonumber(sale[1])
  local opens_at, closes_at = tonumber(sale[3]), tonumber(sale[4])
  if not (remaining and opens_at and closes_at) then
    return nil -- damaged: the engine has to say so as well
  end
  if sale[2] ~= 'open' then
    return sale[2] == 'closed' and 'closed' or 'paused'
  elseif closes_at > 0 and now >= closes_at then
    return 'closed'
  elseif opens_at > now then
    -- The lease ends before the sale opens.
    return opens_at > now + 2 * lease and 'not_open' or nil, sale[3]
  end
  return remaining <= 0 and 'sold_out' or nil
end

if step == 'lift' then
  redis.call('HDEL', gates, gate)
  return {'open'}
end
local why, opens_at = refusal()
if step == 'ask' then
  return {not why and redis.call('EXISTS', gates) == 1 and 'wait' or 'open'}
end
if not why then
  return {'open'}
end
redis.call('HSET', gates, gate, why)
redis.call('PEXPIRE', gates, lease)
return {why, opens_at or '0'}
