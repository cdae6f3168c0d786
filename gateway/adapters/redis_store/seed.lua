#!lua
-- Give a server that came back empty or older the newest state somebody still knows.
--
-- KEYS  1 state (hash)  2 fence (counter)
-- ARGV  1 format   2 version (> 0)   3 document (JSON text)   4 its digest   5 token of its writer
--       6 channel where the version is published
-- Answer: {seeded, version} or {kept, version}: what is there is as new, or newer
--         {foreign, key}: something that is not ours stands under that name, and is left alone
local kinds = {'hash', 'string'}
for index, expected in ipairs(kinds) do
  local found = redis.call('TYPE', KEYS[index]).ok
  if found ~= 'none' and found ~= expected then return {'foreign', KEYS[index]} end
end
local state = redis.call('HMGET', KEYS[1], 'format', 'version')
if state[1] ~= ARGV[1] and redis.call('EXISTS', KEYS[1]) == 1 then return {'foreign', KEYS[1]} end
local version, token = tonumber(state[2] or '0'), tonumber(ARGV[5])
if version == nil then return {'foreign', KEYS[1]} end
local fence = tonumber(redis.call('GET', KEYS[2]) or '0')
if fence == nil then return {'foreign', KEYS[2]} end
if version >= tonumber(ARGV[2]) then return {'kept', version} end
local time = redis.call('TIME')
-- Fencing tokens go on from the highest one known, so that an older holder still loses.
if fence < token then redis.call('SET', KEYS[2], string.format('%.0f', token)) end
redis.call('HSET', KEYS[1], 'format', ARGV[1], 'version', ARGV[2], 'token', ARGV[5],
           'document', ARGV[3], 'digest', ARGV[4],
           'stored_us', string.format('%.0f', time[1] * 1000000 + time[2]))
redis.call('PUBLISH', ARGV[6], 'state ' .. ARGV[2])
return {'seeded', tonumber(ARGV[2])}
