#!lua
-- One step of the rollout, stored whole or not at all, and told to whoever listens.
--
-- KEYS  1 state (hash)  2 heads (hash)  3 audit (stream)  4 decisions (stream)  5 events (stream)
--       6 measurements (sorted set by at_us)  7 reports (sorted set by at_us)  8 fence (counter)
--       9 commits (list of the last commits' ids and answers)
-- ARGV  1 format        what our hashes say they are; anything else there is not ours
--       2 id            of this commit, random    3 again  "1": it may have been stored before
--       4 deadline_us   on this server's clock; "0": none. Later than that nothing is stored
--       5 token         the writer's fencing token; "0": it acts for a person, not for the lease
--       6 expected      version the new state follows; "-1": no new state
--       7 document      JSON text, 3 bytes at least         8 max_bytes  it may have
--       9 digest        of the new version and text
--      10 audit_count  11 audit_head   the chain as the writer knows it   12 its head afterwards
--      13 channel       where the new version is published
--      14..17 kept      decisions, events, measurements, reports: how many stay
--      18..22 counts    of audit, decisions, events, measurements, reports
--      23...            audit rows, decision rows, event rows, then at_us and row of each
--                       measurement, then at_us and row of each report
-- Answer: a list whose second item is now_us on this server's clock
--       stored   now version audit_count first_event_seq
--       repeated now version audit_count first_event_seq   (this very commit was stored before)
--       moved    now version       somebody else changed the state first
--       fenced   now token         somebody else holds the lease since
--       audit    now count head    the chain has grown: link anew and try again
--       foreign  now key           something that is not ours stands under that name
--       refused  now bytes         blank or oversized
--       late     now               the deadline is past
local REMEMBERED = 128
local format, id, again = ARGV[1], ARGV[2], ARGV[3] == '1'
local time = redis.call('TIME')
local now_us = time[1] * 1000000 + time[2]
local now = string.format('%.0f', now_us)

local kinds = {'hash', 'hash', 'stream', 'stream', 'stream', 'zset', 'zset', 'string', 'list'}
for index, expected in ipairs(kinds) do
  local found = redis.call('TYPE', KEYS[index]).ok
  if found ~= 'none' and found ~= expected then return {'foreign', now, KEYS[index]} end
end
for index = 1, 2 do
  local found = redis.call('HGET', KEYS[index], 'format')
  if found ~= format and redis.call('EXISTS', KEYS[index]) == 1 then
    return {'foreign', now, KEYS[index]}
  end
end

if again then
  for _, line in ipairs(redis.call('LRANGE', KEYS[9], 0, REMEMBERED - 1)) do
    local known, version, count, first = string.match(line, '^(%S+) (%d+) (%d+) (%d+)$')
    if known == id then
      return {'repeated', now, tonumber(version), tonumber(count), tonumber(first)}
    end
  end
end
if tonumber(ARGV[4]) > 0 and now_us > tonumber(ARGV[4]) then return {'late', now} end

local token = tonumber(ARGV[5])
local state = redis.call('HMGET', KEYS[1], 'version', 'token')
local version, written_by = tonumber(state[1] or '0'), tonumber(state[2] or '0')
local fence = tonumber(redis.call('GET', KEYS[8]) or '0')
if version == nil or written_by == nil then return {'foreign', now, KEYS[1]} end
if fence == nil then return {'foreign', now, KEYS[8]} end
local highest = math.max(fence, written_by)
if token > 0 and token < highest then return {'fenced', now, highest} end

local expected, document = tonumber(ARGV[6]), ARGV[7]
if expected >= 0 then
  if expected ~= version then return {'moved', now, version} end
  if #document < 3 or #document > tonumber(ARGV[8]) then return {'refused', now, #document} end
end

-- The newest number of a stream, even if its counter is gone.
local function last(key, counted)
  local newest = redis.call('XREVRANGE', key, '+', '-', 'COUNT', 1)[1]
  local number = newest and tonumber(string.match(newest[1], '^(%d+)-')) or 0
  return math.max(number, counted)
end

local heads = redis.call('HMGET', KEYS[2], 'audit', 'digest', 'decisions', 'events', 'figures')
local audit_count, audit_head = tonumber(heads[1] or '0'), heads[2] or string.rep('0', 64)
local audits = tonumber(ARGV[18])
if audits > 0 then
  if audit_count ~= tonumber(ARGV[10]) or audit_head ~= ARGV[11] then
    return {'audit', now, audit_count, audit_head}
  end
  if last(KEYS[3], 0) > audit_count then return {'foreign', now, KEYS[3]} end
end

-- From here on everything is written, and nothing can fail half way.
local at = 22
local function append(key, number, rows, kept)
  for _ = 1, rows do
    number, at = number + 1, at + 1
    local stream = {'XADD', key, number .. '-0', 'row', ARGV[at]}
    if kept then stream = {'XADD', key, 'MAXLEN', '~', kept, number .. '-0', 'row', ARGV[at]} end
    redis.call(unpack(stream))
  end
  return number
end
local function insert(key, number, rows, kept)
  for _ = 1, rows do
    number, at = number + 1, at + 2
    redis.call('ZADD', key, ARGV[at - 1], string.format('%.0f|%s', number, ARGV[at]))
  end
  if rows > 0 then redis.call('ZREMRANGEBYRANK', key, 0, -kept - 1) end
  return number
end

audit_count = append(KEYS[3], audit_count, audits, nil)
local decisions = append(KEYS[4], last(KEYS[4], tonumber(heads[3] or '0')), tonumber(ARGV[19]), ARGV[14])
local before = last(KEYS[5], tonumber(heads[4] or '0'))
local events = append(KEYS[5], before, tonumber(ARGV[20]), ARGV[15])
local figures = tonumber(heads[5] or '0')
figures = insert(KEYS[6], figures, tonumber(ARGV[21]), tonumber(ARGV[16]))
figures = insert(KEYS[7], figures, tonumber(ARGV[22]), tonumber(ARGV[17]))
redis.call('HSET', KEYS[2], 'format', format, 'audit', audit_count, 'decisions', decisions,
           'events', events, 'figures', string.format('%.0f', figures),
           'digest', audits > 0 and ARGV[12] or audit_head)
if expected >= 0 then
  version = version + 1
  redis.call('HSET', KEYS[1], 'format', format, 'version', version, 'token', math.max(token, written_by),
             'document', document, 'digest', ARGV[9], 'stored_us', now)
end
redis.call('LPUSH', KEYS[9], string.format('%s %d %d %d', id, version, audit_count, before + 1))
redis.call('LTRIM', KEYS[9], 0, REMEMBERED - 1)
if expected >= 0 then redis.call('PUBLISH', ARGV[13], 'state ' .. version) end
return {'stored', now, version, audit_count, before + 1}
