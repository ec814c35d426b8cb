-- For wrk: compares every response with the script's first argument and prints what was seen.

local threads = {}

function setup(thread)
   table.insert(threads, thread)
end

function init(arguments)
   expected = arguments[1]
   responses = 0
   wrong = 0
end

function response(status, headers, body)
   responses = responses + 1
   if status ~= 200 or body ~= expected then
      wrong = wrong + 1
   end
end

function done(summary, latency, requests)
   local seen, bad = 0, 0
   for _, thread in ipairs(threads) do
      seen = seen + thread:get("responses")
      bad = bad + thread:get("wrong")
   end
   local e = summary.errors
   print(string.format("responses=%d wrong=%d errors=%d", seen, bad,
                       e.connect + e.read + e.write + e.status + e.timeout))
end
