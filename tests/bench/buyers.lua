-- Buyers for wrk: each purchase is another one's.
--
--   wrk ... -s buyers.lua URL -- PATH NAME [LOOKS LOOK_PATH]
--
-- The ids of the buyers begin with NAME, so that runs do not meet.  Of a
-- hundred requests LOOKS are GET LOOK_PATH.

local threads = 0

function setup(thread)
	threads = threads + 1
	thread:set("id", threads)
end

function init(args)
	path, name, count = args[1], args[2], 0
	looks = tonumber(args[3] or 0)
	look = looks > 0 and wrk.format("GET", args[4])
	headers = { ["Content-Type"] = "application/json" }
end

function request()
	count = count + 1
	if count % 100 < looks then
		return look
	end
	return wrk.format("POST", path, headers,
	    string.format('{"userId":"%s-%d-%d"}', name, id, count))
end

-- What the script that runs wrk reads: one line of names and numbers.
function done(summary, latency)
	local errors = summary.errors
	io.write(string.format("wrk: requests %d seconds %.6f p50 %.3f p99 %.3f " ..
	    "refused %d broken %d\n", summary.requests, summary.duration / 1e6,
	    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
	    errors.status, errors.connect + errors.read + errors.write +
	    errors.timeout))
end
