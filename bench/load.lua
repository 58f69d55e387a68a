-- Sends the requests of a file, one a line: Authorization header (or "-"), a tab, the form body; after another tab a
-- further header as it stands. Each is sent once,
-- in order; counts answers by status, so that a run with any refusal can be thrown away.
local path = os.getenv("BENCH_REQUESTS")
local first = tonumber(os.getenv("BENCH_FIRST") or "0")
local close = os.getenv("BENCH_CLOSE") == "1"
local most = tonumber(os.getenv("BENCH_MOST") or "1000000")
local requests, position = {}, 0

function setup(thread) thread_handle = thread end

-- Runs before the clock starts.
function init(args)
  local number = 0
  for line in io.lines(path) do
    if number >= first then
      local tab = string.find(line, "\t", 1, true)
      local authorization, body, further = string.sub(line, 1, tab - 1), string.sub(line, tab + 1), nil
      local second = string.find(body, "\t", 1, true)
      if second then body, further = string.sub(body, 1, second - 1), string.sub(body, second + 1) end
      local head = "POST " .. wrk.path .. " HTTP/1.1\r\nHost: " .. wrk.host .. ":" .. wrk.port
        .. "\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: " .. #body .. "\r\n"
      if close then head = head .. "Connection: close\r\n" end
      if authorization ~= "-" then head = head .. "Authorization: " .. authorization .. "\r\n" end
      if further then head = head .. further .. "\r\n" end
      requests[#requests + 1] = head .. "\r\n" .. body
      if #requests == most then break end
    end
    number = number + 1
  end
end

function request()
  position = position + 1
  if position > #requests then position = 1; wrapped = (wrapped or 0) + 1 end
  return requests[position]
end

function response(status)
  last = position
  if status ~= 200 then failures = (failures or 0) + 1 end
end

function done(summary, latency, requests_)
  io.write(string.format(
    "BENCH {\"requests\": %d, \"duration_us\": %d, \"failures\": %d, \"position\": %d, \"wraps\": %d, "
    .. "\"socket_errors\": %d, \"p50_us\": %d, \"p90_us\": %d, \"p99_us\": %d, \"max_us\": %d}\n",
    summary.requests, summary.duration, thread_handle:get("failures") or 0, thread_handle:get("last") or 0,
    thread_handle:get("wrapped") or 0,
    summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout,
    latency:percentile(50), latency:percentile(90), latency:percentile(99), latency.max))
end
