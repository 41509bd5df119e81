-- ARGV from 4: seconds to live of records, of early labels; rows (56 bytes each, those from `new` on are done); `new`;
-- keys of early labels; what each key was when it was looked at (a character each: rows, then labels); when the rows
-- and the labels came (8 bytes each); then five lists, each after its length: numbers of new rows and their extras, data of
-- the early labels, and by name blocks, owners, cursors.
local ttl, early_ttl, rows, new = ARGV[4], ARGV[5], ARGV[6], tonumber(ARGV[7])
local early, expected, since, early_since = ARGV[8], ARGV[9], ARGV[10], ARGV[11]
local next_one = 12
local function list()
  local count, items = tonumber(ARGV[next_one]), {}
  for at = 1, count do items[at] = ARGV[next_one + at] end
  next_one = next_one + count + 1
  return items
end

local count, keys = #rows / 56, {}
for at = 1, #rows, 56 do keys[#keys + 1] = string.sub(rows, at, at + 7) end
local names = names_of(table.concat(keys) .. early)
local values = values_of(names)
for at = 1, #names do
  if state_of(values[at]) ~= string.sub(expected, at, at) then return {'conflict'} end
end

local extras, given = {}, list()
for at = 1, #given, 2 do extras[tonumber(given[at])] = given[at + 1] end
local arrived, marked = {}, 0
for at = 1, count do
  local state, name = string.sub(expected, at, at), names[at]
  local body = string.sub(rows, at * 56 - 47, at * 56)
  if at <= new then
    redis.call('SET', name, 'P' .. body .. (extras[at] or ''), 'EX', ttl)
    arrived[#arrived + 1] = keys[at]
  elseif state == 'P' then
    marked = marked + 1
    if #values[at] == 49 then
      redis.call('SETRANGE', name, 0, 'D')
    else
      redis.call('SET', name, 'D' .. string.sub(values[at], 2, 49), 'KEEPTTL')
    end
  elseif state ~= 'D' then
    redis.call('SET', name, 'D' .. body, 'EX', ttl)
    arrived[#arrived + 1] = keys[at]
  end
end
if #arrived > 0 then
  local run = string.format('%d', redis.call('HINCRBY', T .. ':numbers', 'run', 1))
  redis.call('SET', T .. ':run:' .. run, since .. table.concat(arrived), 'EX', ttl)
  redis.call('RPUSH', T .. ':runs', run)
end

for at, data in ipairs(list()) do
  local name = names[count + at]
  if string.sub(expected, count + at, count + at) == '-' then
    local number = struct.pack('<d', redis.call('HINCRBY', T .. ':numbers', 'label', 1))
    redis.call('SET', name, 'E' .. number .. data, 'EX', early_ttl)
    redis.call('RPUSH', T .. ':early', early_since .. number .. string.sub(early, at * 8 - 7, at * 8))
  end
end
keep_blocks(list())
keep(':owners', list())
keep(':cursors:' .. ARGV[1], list())
return finish(#arrived, new - marked)
