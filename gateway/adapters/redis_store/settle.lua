#!lua
-- Store the final answer under an idempotency key, or leave it open for another try on its side.
--
-- KEYS  1 key   2 index of its shard   3 sizes of its shard   (as in claim.lua)
-- ARGV  1 side   2 state  "done", "open" or "begun" (open, and something may have arrived there)
--       3 head   4 body   (of the answer; "" when not done)
--       5 claim  only this attempt's; "": whoever holds it
-- Answer: 1 noted, 0 there is no such key (any more)
local known = redis.call('HMGET', KEYS[1], 'state', 'claim')
if not known[1] then return 0 end
if ARGV[5] ~= '' and ARGV[5] ~= known[2] then return 0 end
if ARGV[2] ~= 'done' then
  if known[1] == 'pending' then
    redis.call('HSET', KEYS[1], 'state', 'open', 'side', ARGV[1])
    if ARGV[2] == 'begun' then redis.call('HSET', KEYS[1], 'begun', '1') end
  end
  return 1
end
redis.call('HSET', KEYS[1], 'state', 'done', 'side', ARGV[1], 'head', ARGV[3], 'body', ARGV[4])
local before = tonumber(redis.call('HGET', KEYS[3], KEYS[1]) or '0')
local size = #ARGV[3] + #ARGV[4]
redis.call('HSET', KEYS[3], KEYS[1], size)
redis.call('HINCRBY', KEYS[3], '=total', size - before)
return 1
