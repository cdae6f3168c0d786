#!lua
-- Take an idempotency key, or say what is known of it. Stored before anything is sent upstream.
--
-- KEYS  1 key (hash: claim, print, side, state, claimed_us, head, body; expires;
--              begun: "0", or once an attempt may have arrived on its side "1")
--       2 index of its shard (sorted set: key -> claimed_us)
--       3 sizes of its shard (hash: key -> bytes of its answer; "=total")
-- ARGV  1 claim       random, of this attempt: who did not hear our answer may ask again
--       2 print       digest of the request     3 side      where it would go
--       4 lease_ms    after that long a pending claim is of somebody who died
--       5 ttl_ms      how long the key is known
--       6 rows        7 bytes   how much this shard keeps; beyond, the oldest answers go first
-- Answer: {verdict, side, head, body}; verdict is claimed, resumed (claimed, and an attempt may have
--         arrived on that side), under_way, other_request or done
local SWEEP = 20
local claim, print, side = ARGV[1], ARGV[2], ARGV[3]
local ttl_ms, rows, bytes = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local time = redis.call('TIME')
local now_us = time[1] * 1000000 + time[2]

local function forget(name)
  local size = tonumber(redis.call('HGET', KEYS[3], name) or '0')
  redis.call('HDEL', KEYS[3], name)
  if size > 0 then redis.call('HINCRBY', KEYS[3], '=total', -size) end
  redis.call('ZREM', KEYS[2], name)
end
-- Those that expired are gone by themselves; what is counted of them goes here, a few at a time.
local oldest = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now_us - ttl_ms * 1000, 'LIMIT', 0, SWEEP)
for _, name in ipairs(oldest) do
  if redis.call('EXISTS', name) == 0 then forget(name) end
end
local over = redis.call('ZCARD', KEYS[2]) - rows
local total = tonumber(redis.call('HGET', KEYS[3], '=total') or '0')
if over > 0 or total > bytes then
  for _, name in ipairs(redis.call('ZRANGE', KEYS[2], 0, SWEEP - 1)) do
    if (over > 0 or total > bytes) and redis.call('HGET', name, 'state') ~= 'pending' then
      total = total - tonumber(redis.call('HGET', KEYS[3], name) or '0')
      over = over - 1
      redis.call('UNLINK', name)
      forget(name)
    end
  end
end

local known = redis.call('HMGET', KEYS[1], 'print', 'side', 'state', 'claimed_us', 'claim', 'begun')
local begun = '0'
if known[1] then
  if known[1] ~= print then return {'other_request', known[2], '', ''} end
  if known[3] == 'done' then
    local answer = redis.call('HMGET', KEYS[1], 'head', 'body')
    return {'done', known[2], answer[1] or '', answer[2] or ''}
  end
  local alive = tonumber(known[4]) + tonumber(ARGV[4]) * 1000 > now_us
  if known[3] == 'pending' and alive and known[5] ~= claim then
    return {'under_way', known[2], '', ''}
  end
  side = known[2]
  -- Nobody knows how far one who died got.
  local orphan = known[3] == 'pending' and known[5] ~= claim
  if orphan or known[6] ~= '0' then begun = '1' end
end
redis.call('HSET', KEYS[1], 'claim', claim, 'print', print, 'side', side, 'state', 'pending',
           'claimed_us', string.format('%.0f', now_us), 'begun', begun)
redis.call('PEXPIRE', KEYS[1], ttl_ms)
redis.call('ZADD', KEYS[2], now_us, KEYS[1])
-- The index outlives its newest key by a while; an idle shard leaves nothing behind.
redis.call('PEXPIRE', KEYS[2], ttl_ms + 60000)
redis.call('PEXPIRE', KEYS[3], ttl_ms + 60000)
return {begun == '1' and 'resumed' or 'claimed', side, '', ''}
