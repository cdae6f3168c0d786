#!lua
-- Hand out leased shares of common limits: one account per key, many holders, one call for many keys.
--
-- An account is a GCRA: `ahead` is how far its theoretical arrival time runs ahead of now. What a
-- holder used on credit is charged first; then permits are handed out as long as the account has
-- room, fairly by what each holder wants, and never more at once than `refill` minus what everybody
-- may still use on credit. So what the fleet lets through in any span of t seconds is at most
-- burst + rate * t + refill.
--
-- An account that is met for the first time is as full as if all of it had been used when the ledger
-- began: a server that came back empty gives no second burst away.
--
-- KEYS  1, 2  two hashes: account -> "<tat_us> <holder>,<want>,<hand>,<at_us>;..." They take turns of
--             ten minutes; what was asked for in neither of two turns is forgotten.
-- ARGV  1 holders    how many replicas' workers share     2 lease_us  how long permits may be kept
--       3 accounts   how many there may be in one turn
--       4 deadline   on this server's clock; "0": none. Later than that nobody waits for the answer,
--                    so nothing is charged and nothing handed out
--       5 quotas     how many; then for each: requests, period_us, burst (rate = requests / period)
--       then for each ask: account, quota (1..), holder, used (on credit), hand (permits left),
--                          ahead_us (as the holder knows it; for a server that forgot), want
-- Answer: {now_us, then for each ask: granted, credit, ahead_us}
--         granted  permits to add to what is in hand, to be used within lease_us
--         credit   how many may be used before they are charged; 0 while the account is overdrawn,
--                  -1: keep to your part of the rate, because there is no room for one more account, or
--                  this ledger forgot and has to hear everybody first, or the account is overdrawn, but
--                  not by somebody who wants no more than that
--         {foreign, key}: something that is not ours stands under that name
--         {late, now_us}: the deadline is past
local MAX_HOLDERS, TURN_US, KNOWN_US = 256, 600000000, 60000000
local holders, lease_us, quotas = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[5])
local deadline_us = tonumber(ARGV[4])
local time = redis.call('TIME')
local now_us = time[1] * 1000000 + time[2]
if deadline_us > 0 and now_us > deadline_us then return {'late', string.format('%.0f', now_us)} end
local turn = math.floor(now_us / TURN_US)
local current, past = KEYS[turn % 2 + 1], KEYS[(turn + 1) % 2 + 1]
for index = 1, 2 do
  local found = redis.call('TYPE', KEYS[index]).ok
  if found ~= 'none' and found ~= 'hash' then return {'foreign', KEYS[index]} end
end
-- A hash left over from an earlier turn than the last one is out of date. ("=" is no account.)
local has_past = redis.call('HGET', past, '=turn') == tostring(turn - 1)
local written = redis.call('HMGET', current, '=turn', '=born')
local born_us = tonumber(written[2] or '') or now_us
if written[1] ~= tostring(turn) then
  born_us = has_past and tonumber(redis.call('HGET', past, '=born')) or now_us
  redis.call('DEL', current)
  redis.call('HSET', current, '=turn', tostring(turn), '=born', string.format('%.0f', born_us))
  redis.call('PEXPIRE', current, math.ceil(TURN_US * 3 / 1000))
end

local first, width = 6 + 3 * quotas, 7
local asks = math.floor((#ARGV - first + 1) / width)
local names, seen = {}, {}
for ask = 0, asks - 1 do
  local name = ARGV[first + ask * width]
  if not seen[name] then
    seen[name] = true
    names[#names + 1] = name
  end
end
local accounts, free = {}, tonumber(ARGV[3]) + 2 - redis.call('HLEN', current)
if #names > 0 then
  local stored = redis.call('HMGET', current, unpack(names))
  local before = has_past and redis.call('HMGET', past, unpack(names)) or {}
  for index, name in ipairs(names) do
    local account = {tat = 0, holders = {}, order = {}, new = true}
    local text = stored[index] or before[index]
    if text then
      account.new = false
      account.tat = tonumber(string.match(text, '^(%d+)') or '0')
      for holder, want, hand, at in string.gmatch(text, '([^,; ]+),(%d+),(%d+),(%d+)') do
        local age_us = now_us - tonumber(at)
        if age_us < KNOWN_US then
          local on = age_us < lease_us and 1 or 0  -- what was in hand has run out by itself
          account.holders[holder] = {want = want * on, hand = hand * on, at = tonumber(at)}
          account.order[#account.order + 1] = holder
        end
      end
    end
    if not stored[index] then free = free - 1 end
    account.full = not stored[index] and free < 0
    accounts[name] = account
  end
end

local answer = {string.format('%.0f', now_us)}
for ask = 0, asks - 1 do
  local at = first + ask * width
  local account, quota = accounts[ARGV[at]], 6 + 3 * (tonumber(ARGV[at + 1]) - 1)
  local requests, period_us, burst = tonumber(ARGV[quota]), tonumber(ARGV[quota + 1]), tonumber(ARGV[quota + 2])
  local holder, used, hand = ARGV[at + 2], tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4])
  local known_us, want = tonumber(ARGV[at + 5]), tonumber(ARGV[at + 6])
  local interval_us, full_us = period_us / requests, burst * period_us / requests
  -- One refill is what a second brings, at least one for everybody; half of it goes on credit.
  local refill = math.max(holders, math.ceil(1000000 / interval_us))
  local credit = math.max(1, math.floor(refill / 2 / holders))
  -- Overdrawn by a refill is the most there can be: more is of a clock that was set back.
  local ahead_us = math.min(math.max(account.tat - now_us, known_us, 0), full_us + refill * interval_us)
  -- Nobody knows what was used before this ledger began (a server that came back empty): all of it.
  if account.new then ahead_us = math.max(ahead_us, full_us - (now_us - born_us)) end
  account.new = false
  ahead_us = ahead_us + used * interval_us

  local mine, wanted, out = account.holders[holder], want, 0
  for _, name in ipairs(account.order) do
    if name ~= holder then
      wanted = wanted + account.holders[name].want
      out = out + account.holders[name].hand
    end
  end
  local room = math.floor((full_us - ahead_us) / interval_us + 0.000001)
  local grant = math.min(want - hand, room, refill - holders * credit - out - hand)
  if wanted > refill then
    -- More is wanted than a second brings: to each what came since it asked last, by what it wants.
    local since_us = math.min(mine and now_us - mine.at or 1000000, 1000000)
    grant = math.min(grant, math.ceil(since_us / interval_us * want / wanted))
  end
  -- Who knows of an account that does not know him asks a ledger that forgot: first let all speak.
  local forgot = not mine and known_us > 0
  if account.full or forgot or (not mine and #account.order >= MAX_HOLDERS) then grant = 0 end
  grant = math.max(grant, 0)
  ahead_us = math.ceil(ahead_us + grant * interval_us)
  account.tat = now_us + ahead_us
  if not mine and #account.order < MAX_HOLDERS then account.order[#account.order + 1] = holder end
  account.holders[holder] = {want = want, hand = hand + grant, at = now_us}
  answer[#answer + 1] = grant
  local overdrawn = ahead_us > full_us
  local apart = account.full or forgot or overdrawn and want <= refill / holders
  answer[#answer + 1] = apart and -1 or overdrawn and 0 or credit
  answer[#answer + 1] = ahead_us
end

local write = {}
for _, name in ipairs(names) do
  local account, parts = accounts[name], {}
  if not account.full then
    for _, holder in ipairs(account.order) do
      local one = account.holders[holder]
      parts[#parts + 1] = string.format('%s,%d,%d,%.0f', holder, one.want, one.hand, one.at)
    end
    write[#write + 1] = name
    write[#write + 1] = string.format('%.0f %s', account.tat, table.concat(parts, ';'))
  end
end
if #write > 0 then redis.call('HSET', current, unpack(write)) end
return answer
