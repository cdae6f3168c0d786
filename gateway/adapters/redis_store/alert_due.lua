#!lua flags=no-writes
-- Read what is to be sent now: the worst first, then the oldest.
--
-- KEYS  1 rows   2 notes (hashes)   3 waiting (sorted set by next_us); see alert_commit.lua
-- ARGV  1 now_us (the caller's: what is due is decided by who sends)   2 how many
-- Answer: {row, note, row, note, ...}
local MOST = 5000
local ids = redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', ARGV[1], 'LIMIT', 0, MOST)
if #ids == 0 then return {} end
local due = {}
for index, note in ipairs(redis.call('HMGET', KEYS[2], unpack(ids))) do
  if note then
    local number, rank, made_us = string.match(note, '^(%d+) (%d+) (%d+)')
    if number then
      due[#due + 1] = {tonumber(rank), tonumber(made_us), tonumber(number), ids[index], note}
    end
  end
end
table.sort(due, function(one, other)
  if one[1] ~= other[1] then return one[1] > other[1] end
  if one[2] ~= other[2] then return one[2] < other[2] end
  return one[3] < other[3]
end)
local answer = {}
for index = 1, math.min(#due, tonumber(ARGV[2])) do
  answer[#answer + 1] = redis.call('HGET', KEYS[1], due[index][4])
  answer[#answer + 1] = due[index][5]
end
return answer
