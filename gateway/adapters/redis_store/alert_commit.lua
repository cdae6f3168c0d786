#!lua
-- Store the book of incidents with what follows from it, whole or not at all.
--
-- KEYS  1 book (hash)   2 rows (hash: delivery -> JSON)   3 notes (hash: delivery -> see below)
--       4 order (sorted set by number)   5 waiting (sorted set by next_us)
--       6 delivered   7 dead (sorted sets by number)
--       8 ended (hash: incident -> JSON)   9 ends (sorted set by ended_us)   10 fence (counter)
-- ARGV  1 format   2 expected version   3 token   4 document (JSON text)
--         (0: for a person, not for the lease)
--       5 settled  6 ended    how many settled deliveries and ended incidents are kept
--       7 deliveries, then for each: id, rank, made_us, next_us, attempts, incident, row
--       then ended incidents, for each: id, ended_us, row
-- Answer: {stored, version}   {moved, version}   {fenced, token}
--         {foreign, key}: something that is not ours stands under that name
--
-- A note is "<number> <rank> <made_us> <incident> <attempts> <next_us> <state> <settled_us> <reason>".
local kinds = {'hash', 'hash', 'hash', 'zset', 'zset', 'zset', 'zset', 'hash', 'zset', 'string'}
for index, expected in ipairs(kinds) do
  local found = redis.call('TYPE', KEYS[index]).ok
  if found ~= 'none' and found ~= expected then return {'foreign', KEYS[index]} end
end
local book = redis.call('HMGET', KEYS[1], 'format', 'version', 'token', 'number')
if book[1] ~= ARGV[1] and redis.call('EXISTS', KEYS[1]) == 1 then return {'foreign', KEYS[1]} end
local version, token = tonumber(book[2] or '0'), tonumber(ARGV[3])
local fence = tonumber(redis.call('GET', KEYS[10]) or '0')
if fence == nil then return {'foreign', KEYS[10]} end
local highest = math.max(fence, tonumber(book[3] or '0'))
if token > 0 and token < highest then return {'fenced', highest} end
if version ~= tonumber(ARGV[2]) then return {'moved', version} end

local number, at = tonumber(book[4] or '0'), 8
for _ = 1, tonumber(ARGV[7]) do
  local id = ARGV[at]
  if redis.call('HSETNX', KEYS[2], id, ARGV[at + 6]) == 1 then
    number = number + 1
    redis.call('HSET', KEYS[3], id, table.concat({number, ARGV[at + 1], ARGV[at + 2], ARGV[at + 5],
      ARGV[at + 4], ARGV[at + 3], 'waiting', '0', ''}, ' '))
    redis.call('ZADD', KEYS[4], number, id)
    redis.call('ZADD', KEYS[5], ARGV[at + 3], id)
  end
  at = at + 7
end
while at < #ARGV do
  if redis.call('HSETNX', KEYS[8], ARGV[at], ARGV[at + 2]) == 1 then
    redis.call('ZADD', KEYS[9], ARGV[at + 1], ARGV[at])
  end
  at = at + 3
end
-- Of what is over, the newest stay.
local over = redis.call('ZCARD', KEYS[9]) - tonumber(ARGV[6])
if over > 0 then
  for _, id in ipairs(redis.call('ZRANGE', KEYS[9], 0, math.min(over, 1000) - 1)) do
    redis.call('HDEL', KEYS[8], id)
    redis.call('ZREM', KEYS[9], id)
  end
end
over = redis.call('ZCARD', KEYS[6]) + redis.call('ZCARD', KEYS[7]) - tonumber(ARGV[5])
for _ = 1, math.min(over, 1000) do
  local oldest, from = nil, nil
  for index = 6, 7 do
    local one = redis.call('ZRANGE', KEYS[index], 0, 0, 'WITHSCORES')
    if one[1] and (oldest == nil or tonumber(one[2]) < tonumber(oldest[2])) then oldest, from = one, KEYS[index] end
  end
  redis.call('ZREM', from, oldest[1])
  redis.call('ZREM', KEYS[4], oldest[1])
  redis.call('HDEL', KEYS[2], oldest[1])
  redis.call('HDEL', KEYS[3], oldest[1])
end
redis.call('HSET', KEYS[1], 'format', ARGV[1], 'version', version + 1, 'token', string.format('%.0f', math.max(token, tonumber(book[3] or '0'))),
           'document', ARGV[4], 'number', number)
return {'stored', version + 1}
