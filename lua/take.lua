-- Take messages out of the outbox for a worker (QUEUE=redis).
--
-- KEYS  1 outbox
-- ARGV  1 at most so many  2 lease: who has not finished an entry after so
--       many ms is taken for dead
--
-- Returns entries, each {id, {field, value, ...}, deliveries}.
--
-- All workers are one consumer of one group: Redis gives an entry to one
-- caller and remembers when, and how often, until settle.lua takes it out.
-- Who has it does not matter, only since when.
--
-- XPENDING and XCLAIM rather than XAUTOCLAIM, which does not tell how often
-- an entry was delivered.  One that several workers have not finished may be
-- what ended them: it is given out alone, so that it takes no others along,
-- and ever more rarely.  No number of deliveries ends it, for it is owed to
-- its buyer.
--
-- Atomic because the group may have to be made first (a new sale, or a Redis
-- that has lost it; then all that is in the outbox comes again, which changes
-- nothing in MySQL).

local outbox, group, consumer = KEYS[1], 'flashsale', 'worker'
local max, lease = tonumber(ARGV[1]), tonumber(ARGV[2])
local taken = {}

local function add(entries, deliveries)
  for _, entry in ipairs(entries) do
    if entry then
      taken[#taken + 1] = {entry[1], entry[2], deliveries}
    end
  end
end

local pending = redis.pcall('XPENDING', outbox, group, 'IDLE', lease,
  '-', '+', max)
if pending.err then
  if not string.find(pending.err, 'NOGROUP', 1, true) then
    return pending
  end
  redis.call('XGROUP', 'CREATE', outbox, group, '0', 'MKSTREAM')
  pending = {}
end

for _, abandoned in ipairs(pending) do
  local id, idle, deliveries = abandoned[1], abandoned[3], abandoned[4]
  local alone = deliveries > 1
  if not alone or (#taken == 0 and idle >= lease * deliveries) then
    local claimed = redis.call('XCLAIM', outbox, group, consumer, 0, id)
    if not claimed[1] then
      redis.call('XACK', outbox, group, id) -- somebody has deleted it
    end
    add(claimed, deliveries + 1)
    if alone and #taken > 0 then
      return taken
    end
  end
end

if #taken < max then
  local new = redis.call('XREADGROUP', 'GROUP', group, consumer,
    'COUNT', max - #taken, 'STREAMS', outbox, '>')
  if new then
    add(new[1][2], 1)
  end
end
return taken
