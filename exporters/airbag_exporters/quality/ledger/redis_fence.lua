#!lua
-- KEYS[1] is the prefix of all keys; ARGV: replica, its token, the number of this change, then what the change needs.
-- A change that happened already (its answer was lost) says so again and does nothing.
local T = KEYS[1]
local kept = redis.call('HGET', T .. ':replicas', ARGV[1])
if not kept then return {'lost'} end
local token, number = string.match(kept, '^(%x+):(%d+)$')
if token ~= ARGV[2] then return {'taken over'} end
local ahead = tonumber(ARGV[3]) - tonumber(number)
if ahead == 0 then return {'ok', redis.call('HGET', T .. ':numbers', 'pending')} end
if ahead ~= 1 then return {'lost'} end

local function in_parts(list, call) -- Lua takes a few thousand arguments at most
  for first = 1, #list, 1000 do call(first, unpack(list, first, math.min(first + 999, #list))) end
end

local function names_of(keys)
  local names = {}
  for at = 1, #keys, 8 do names[#names + 1] = T .. ':w:' .. string.sub(keys, at, at + 7) end
  return names
end

local function values_of(names)
  local values = {}
  in_parts(names, function(first, ...)
    for at, value in ipairs(redis.call('MGET', ...)) do values[first + at - 1] = value end
  end)
  return values
end

local function state_of(value) return value and string.sub(value, 1, 1) or '-' end

local function keep(name, pairs_)
  in_parts(pairs_, function(_, ...) redis.call('HSET', T .. name, ...) end)
end

local function keep_blocks(blocks)
  local name = T .. ':blocks:' .. ARGV[1]
  for at = 1, #blocks, 2 do
    if blocks[at + 1] == '' then
      redis.call('HDEL', name, blocks[at])
    else
      redis.call('HSET', name, blocks[at], blocks[at + 1])
    end
  end
end

local function finish(held, pending)
  redis.call('HSET', T .. ':replicas', ARGV[1], token .. ':' .. ARGV[3])
  redis.call('HINCRBY', T .. ':numbers', 'held', string.format('%d', held)) -- Lua has a -0, Redis has not
  return {'ok', redis.call('HINCRBY', T .. ':numbers', 'pending', string.format('%d', pending))}
end
