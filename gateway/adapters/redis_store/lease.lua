#!lua flags=allow-oom
-- Take the right to decide if nobody has it, keep it if we have it.
-- A few bytes, so it is allowed where memory is short: a fleet whose store is full has one head still.
--
-- KEYS  1 lease (string "<token> <holder>", expires)   2 fence (counter)
-- ARGV  1 holder   who asks, one name per life of a process, without spaces
--       2 ttl_ms   how long it lasts from now, on this server's clock
--       3 floor    the highest fencing token the asker knows; a new one is higher
-- Answer: {held, token, ttl_ms} or {other, token, ms it has left, holder}
--         {foreign, key}: something that is not ours stands under that name
for index = 1, 2 do
  local found = redis.call('TYPE', KEYS[index]).ok
  if found ~= 'none' and found ~= 'string' then return {'foreign', KEYS[index]} end
end
local fence = tonumber(redis.call('GET', KEYS[2]) or '0')
if fence == nil then return {'foreign', KEYS[2]} end
local ttl = tonumber(ARGV[2])
local lease = redis.call('GET', KEYS[1])
if lease then
  local token, holder = string.match(lease, '^(%d+) (%S+)$')
  if token == nil then return {'foreign', KEYS[1]} end
  token = tonumber(token)
  if holder ~= ARGV[1] then return {'other', token, redis.call('PTTL', KEYS[1]), holder} end
  -- A counter that has moved on (a server that was seeded from a later life) ends this term.
  if token >= fence then
    redis.call('PEXPIRE', KEYS[1], ttl)
    return {'held', token, ttl}
  end
end
local token = math.max(fence, tonumber(ARGV[3])) + 1
redis.call('SET', KEYS[2], string.format('%.0f', token))
redis.call('SET', KEYS[1], string.format('%.0f %s', token, ARGV[1]), 'PX', ttl)
return {'held', token, ttl}
