#!lua flags=no-writes
-- Read deliveries for people, newest first.
--
-- KEYS  1 rows   2 notes (hashes)   3 order (sorted set by number); see alert_commit.lua
-- ARGV  1 incident  "": of all   2 state  "": of all   3 how many
-- Answer: {row, note, row, note, ...}
local PAGE = 500
local limit, answer, from = tonumber(ARGV[3]) * 2, {}, 0
while #answer < limit do
  local ids = redis.call('ZREVRANGE', KEYS[3], from, from + PAGE - 1)
  if #ids == 0 then break end
  for index, note in ipairs(redis.call('HMGET', KEYS[2], unpack(ids))) do
    local incident, state = string.match(note or '', '^%d+ %d+ %d+ (%-?%d+) %d+ %d+ (%a+)')
    local wanted = incident and (ARGV[1] == '' or ARGV[1] == incident) and (ARGV[2] == '' or ARGV[2] == state)
    if wanted and #answer < limit then
      answer[#answer + 1] = redis.call('HGET', KEYS[1], ids[index])
      answer[#answer + 1] = note
    end
  end
  from = from + PAGE
end
return answer
