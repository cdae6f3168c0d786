#!lua
-- Put up what one replica counted in this second, and read what all replicas put up last.
--
-- KEYS  1 board (hash: replica -> "<at_us> <document>")   2 state (hash)
-- ARGV  1 replica    its name               2 document   "": only read
--       3 replicas   how many there may be; beyond, a new one is refused
--       4 forget_us  a replica silent for longer is forgotten
-- Answer: {now_us, version of the state, replica, at_us, document, replica, at_us, document, ...}
--         on this server's clock; {foreign, key}: something that is not ours stands under that name;
--         {crowded, replicas}
local kinds = {'hash', 'hash'}
for index, expected in ipairs(kinds) do
  local found = redis.call('TYPE', KEYS[index]).ok
  if found ~= 'none' and found ~= expected then return {'foreign', KEYS[index]} end
end
local time = redis.call('TIME')
local now_us = time[1] * 1000000 + time[2]
local entries = redis.call('HGETALL', KEYS[1])
local answer = {string.format('%.0f', now_us), redis.call('HGET', KEYS[2], 'version') or '0'}
local known, others = false, 0
for index = 1, #entries, 2 do
  local name, at, document = entries[index], string.match(entries[index + 1], '^(%d+) (.*)$')
  if at == nil then return {'foreign', KEYS[1]} end
  if name == ARGV[1] and ARGV[2] ~= '' then
    known = true
  elseif now_us - tonumber(at) <= tonumber(ARGV[4]) then
    others = others + 1
    answer[#answer + 1], answer[#answer + 2], answer[#answer + 3] = name, at, document
  elseif ARGV[2] ~= '' then
    redis.call('HDEL', KEYS[1], name)
  end
end
if ARGV[2] ~= '' then
  if not known and others >= tonumber(ARGV[3]) then return {'crowded', others} end
  redis.call('HSET', KEYS[1], ARGV[1], answer[1] .. ' ' .. ARGV[2])
  answer[#answer + 1], answer[#answer + 2], answer[#answer + 3] = ARGV[1], answer[1], ARGV[2]
end
return answer
