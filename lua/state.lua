-- Pause, resume or close a sale.
--
-- KEYS  1 sale
-- ARGV  1 "open", "paused" or "closed"
--
-- Returns 1, or 0 when there is no such sale.
--
-- Atomic so that a sale that is not there does not come into being half.

if redis.call('EXISTS', KEYS[1]) == 0 then
  return 0
end
redis.call('HSET', KEYS[1], 'state', ARGV[1])
return 1
