#!lua flags=allow-oom
-- Give the right to decide back, if it is ours.
--
-- KEYS  1 lease (string "<token> <holder>")
-- ARGV  1 holder   2 token
-- Answer: 1 given back, 0 it was not ours (any more)
if redis.call('TYPE', KEYS[1]).ok ~= 'string' then return 0 end
if redis.call('GET', KEYS[1]) ~= ARGV[2] .. ' ' .. ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
