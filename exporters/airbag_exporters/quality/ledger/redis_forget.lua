-- ARGV from 4: how many predictions wait among those that go, how many labels; the oldest early entries (24 bytes each);
-- how many rows of the last run go (the others go whole), how many runs, their numbers; then names and data of blocks.
local waiting, labels, entries = tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6]
local partly, runs = tonumber(ARGV[7]), tonumber(ARGV[8])

local going, rest = {}, nil
for at = 1, runs do
  local run = ARGV[8 + at]
  if redis.call('LINDEX', T .. ':runs', at - 1) ~= run then return {'conflict'} end
  local keys = string.sub(redis.call('GET', T .. ':run:' .. run) or '', 9)
  if at == runs and partly * 8 < #keys then
    rest = string.sub(keys, partly * 8 + 1)
    keys = string.sub(keys, 1, partly * 8)
  end
  going[#going + 1] = keys
end
local names = names_of(table.concat(going))
for _, value in ipairs(values_of(names)) do
  if state_of(value) == 'P' then waiting = waiting - 1 end
end
if waiting ~= 0 then return {'conflict'} end

local late = {}
if #entries > 0 then
  local oldest = redis.call('LRANGE', T .. ':early', 0, #entries / 24 - 1)
  if table.concat(oldest) ~= entries then return {'conflict'} end
  for _, entry in ipairs(oldest) do
    local name = T .. ':w:' .. string.sub(entry, 17)
    local value = redis.call('GET', name)
    if state_of(value) == 'E' and string.sub(value, 2, 9) == string.sub(entry, 9, 16) then late[#late + 1] = name end
  end
end
if #late ~= labels then return {'conflict'} end

in_parts(names, function(_, ...) redis.call('UNLINK', ...) end)
in_parts(late, function(_, ...) redis.call('UNLINK', ...) end)
if #entries > 0 then redis.call('LTRIM', T .. ':early', #entries / 24, -1) end
for at = 1, runs do
  local run = T .. ':run:' .. ARGV[8 + at]
  if at == runs and rest then
    redis.call('SET', run, redis.call('GETRANGE', run, 0, 7) .. rest, 'KEEPTTL')
  else
    redis.call('UNLINK', run)
    redis.call('LPOP', T .. ':runs')
  end
end
local blocks = {}
for at = 9 + runs, #ARGV do blocks[#blocks + 1] = ARGV[at] end
keep_blocks(blocks)
local held = tonumber(redis.call('HGET', T .. ':numbers', 'held') or 0)
if redis.call('LLEN', T .. ':runs') == 0 then -- also after records went by their time to live
  return finish(-held, -tonumber(redis.call('HGET', T .. ':numbers', 'pending') or 0))
end
return finish(-#names, -tonumber(ARGV[4]))
