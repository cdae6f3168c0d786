#!lua
-- Take one of the half-open probes that a whole fleet has for an upstream.
--
-- KEYS  1 probes (hash: upstream -> "<until_us> <taken>")
-- ARGV  1 upstream   2 permits  in one window   3 window_us  from the first one taken
-- Answer: 1 taken, 0 all are; {foreign, key}: something that is not ours stands under that name
local found = redis.call('TYPE', KEYS[1]).ok
if found ~= 'none' and found ~= 'hash' then return {'foreign', KEYS[1]} end
local time = redis.call('TIME')
local now_us, window_us = time[1] * 1000000 + time[2], tonumber(ARGV[3])
local text = redis.call('HGET', KEYS[1], ARGV[1])
local ends, taken = string.match(text or '0 0', '^(%d+) (%d+)$')
if ends == nil then return {'foreign', KEYS[1]} end
ends, taken = tonumber(ends), tonumber(taken)
-- A window that ends later than a whole one from now is of a clock that was set back.
if now_us >= ends or ends > now_us + window_us then ends, taken = now_us + window_us, 0 end
if taken >= tonumber(ARGV[2]) then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f %d', ends, taken + 1))
redis.call('PEXPIRE', KEYS[1], math.max(math.ceil(window_us / 1000) * 2, 60000))
return 1
