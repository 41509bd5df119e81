#!lua
-- A replica begins to write under a token of its own, and ends the right of whoever had its name. ARGV: replica, token,
-- the number of its latest change, then, when Redis lost what it had, the length of a list and names and data of all
-- blocks, and the same of owners and cursors.
local T = KEYS[1]
local kept = redis.call('HGET', T .. ':replicas', ARGV[1])
local next_one = 4
if ARGV[next_one] and kept and string.match(kept, '^%x+') ~= ARGV[2] then return {'taken over'} end
redis.call('HSET', T .. ':replicas', ARGV[1], ARGV[2] .. ':' .. ARGV[3])
for _, name in ipairs({':blocks:' .. ARGV[1], ':owners', ':cursors:' .. ARGV[1]}) do
  local count = tonumber(ARGV[next_one] or 0)
  for at = next_one + 1, next_one + count, 2 do redis.call('HSET', T .. name, ARGV[at], ARGV[at + 1]) end
  next_one = next_one + count + 1
end
return {'ok', kept or ''}
