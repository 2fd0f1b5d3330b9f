-- One at a time: take, prolong or let go what others are to keep off.
--
-- KEYS  1 lease
-- ARGV  1 token of who asks  2 ms to hold it from now on, or 0 to let it go
--
-- Returns 1 when it is his, 0 when somebody else has it.
--
-- Atomic so that nobody prolongs or lets go what ran out meanwhile and is
-- another's by now.

local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then
  return 0
end
if tonumber(ARGV[2]) == 0 then
  redis.call('DEL', KEYS[1])
else
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
end
return 1
