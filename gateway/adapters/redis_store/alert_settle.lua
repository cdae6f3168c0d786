#!lua
-- Note what became of one try to deliver.
--
-- KEYS  1 notes (hash)   2 waiting   3 delivered   4 dead (sorted sets); see alert_commit.lua
-- ARGV  1 id   2 what: delivered, dead, failed (tried again at at_us) or revived (a dead one)
--       3 at_us   4 reason
-- Answer: 1 noted, 0 it is settled already (or not dead, or unknown) and stays as it is
local note = redis.call('HGET', KEYS[1], ARGV[1])
if not note then return 0 end
local number, fixed, attempts, next_us, state, settled, reason =
  string.match(note, '^(%d+) (%d+ %d+ %-?%d+) (%d+) (%d+) (%a+) (%d+) (.*)$')
local what, at_us = ARGV[2], ARGV[3]
if number == nil or state ~= (what == 'revived' and 'dead' or 'waiting') then return 0 end
if what == 'failed' then
  attempts, next_us, reason = tonumber(attempts) + 1, at_us, ARGV[4]
  redis.call('ZADD', KEYS[2], at_us, ARGV[1])
elseif what == 'revived' then
  attempts, next_us, state, settled = 0, at_us, 'waiting', '0'
  redis.call('ZREM', KEYS[4], ARGV[1])
  redis.call('ZADD', KEYS[2], at_us, ARGV[1])
else
  state, settled, reason = what, at_us, ARGV[4]
  redis.call('ZREM', KEYS[2], ARGV[1])
  redis.call('ZADD', what == 'dead' and KEYS[4] or KEYS[3], number, ARGV[1])
end
redis.call('HSET', KEYS[1], ARGV[1],
           table.concat({number, fixed, attempts, next_us, state, settled, reason}, ' '))
return 1
