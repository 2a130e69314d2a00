#!/usr/bin/env python3
"""What a decision costs in the service, beside a Redis server and nginx, in one run.

The measure is CPU time of the server for each decision, as in gateway.py: the server under test has core 0, the load
core 1, all servers are up at once and take turns, and the ratio is the median over the rounds' own ratios.

    RESP, pipelines of 16 by redis-benchmark, 1,000 keys: CL.THROTTLE, beside the same rule as a Lua script in
    redis-server, and beside its plain GET
    HTTP, 64 connections by wrk, 1,000 keys: POST /v1/check, beside nginx with limit_req answering 204

Needs redis-server, redis-benchmark, nginx, wrk, two cores, and `cargo build --release -p tollgate-cli`.
"""

import contextlib, json, os, pathlib, socket, statistics, subprocess, sys, tempfile, time

import gateway
from gateway import LOAD_CORE, READY_WITHIN_S, SERVER_CORE, ROOT, USER, cpu_s, free_ports, pids_of, record, spread, stop

gateway.RESULTS = ROOT / "bench" / "results" / "service.jsonl"
CONNECTIONS, KEYS, PIPELINE = 50, 1000, 16

# The generic cell rate in whole microseconds by the server's clock: as exact as ours, and as few commands as it takes.
GCRA = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local emission = ARGV[3] * 1000000 / ARGV[2]
local tolerance = emission * (ARGV[1] + 1)
local at = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now) + emission
if at - tolerance > now then return {1, ARGV[1] + 1, 0, math.ceil((at - tolerance - now) / 1000000), 0} end
redis.call('SET', KEYS[1], string.format('%.0f', at), 'PX', math.ceil((at - now) / 1000) + 1)
return {0, ARGV[1] + 1, math.floor((tolerance - at + now) / emission), -1, math.ceil((at - now) / 1000000)}
"""
# Everything passes: 1,000,001 at once, and a million a minute.
NUMBERS = ["1000000", "1000000", "60"]
RULES = """
[server]
workers = 1
[service]
resp = "127.0.0.1:%(resp)d"
http = "127.0.0.1:%(http)d"
[limits.per-user]
key = "user"
algorithm = "token-bucket"
quotas = ["1000000 per second"]
"""
NGINX = gateway.NGINX_COMMON + """
  limit_req_zone $http_x_api_key zone=allowed:10m rate=1000000r/s;
  limit_req_status 429;
  server {
    listen 127.0.0.1:%(nginx)d;
    location = /limit { limit_req zone=allowed burst=1000000 nodelay; try_files /none =204; }
  }
}
"""
WRK = """
local requests, turn = {}, 0
function init()
  for i = 1, %(keys)d do requests[i] = %(format)s end
end
function request() turn = turn %% #requests + 1 return requests[turn] end
function done(s)
  local e = s.errors
  print(string.format('{"requests":%%d,"broken":%%d}', s.requests, e.status + e.connect + e.read + e.write + e.timeout))
end
"""
OURS = """wrk.format("POST", "/v1/check", { ["Content-Type"] = "application/json" },
    '{"limit":"per-user","key":{"user":"user-' .. i .. '"}}')"""
THEIRS = 'wrk.format("GET", "/limit", { ["X-Api-Key"] = "user-" .. i })'

# What is compared, with what, and the bar.
RATIOS = [("resp", "lua", 0.2), ("resp", "get", 1.3), ("http", "nginx", 1.1)]


class Bench:
    def __init__(self, stack, args):
        self.dir = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tollgate-bench-")))
        self.dir.chmod(0o755)
        self.stack, self.args = stack, args
        self.ports = dict(zip(("resp", "http", "redis", "nginx"), free_ports(4)))
        (self.dir / "rules.toml").write_text(RULES % self.ports)
        (self.dir / "nginx").mkdir()
        (self.dir / "nginx" / "nginx.conf").write_text(NGINX % self.ports)
        serve = [args.tollgate, "serve", "--rules", self.dir / "rules.toml", "--data", self.dir / "data"]
        redis = ["redis-server", "--port", str(self.ports["redis"]), "--save", "", "--appendonly", "no", "--bind", "127.0.0.1"]
        nginx = ["nginx", "-p", self.dir / "nginx", "-e", "error.log", "-c", "nginx.conf"]
        ours = self.start("tollgate", serve, "http")
        redis = self.start("redis", redis, "redis")
        self.processes = {"resp": ours, "http": ours, "lua": redis, "get": redis,
                          "nginx": self.start("nginx", nginx, "nginx")}
        self.script = self.redis("SCRIPT", "LOAD", GCRA)
        self.redis("EVAL", "for i=0,999 do redis.call('SET', string.format('plain:%012d', i), i) end", "0")
        self.loads = {
            "resp": lambda: self.redis_benchmark("resp", ["CL.THROTTLE", "key:__rand_int__", *NUMBERS]),
            "lua": lambda: self.redis_benchmark("redis", ["EVALSHA", self.script, "1", "key:__rand_int__", *NUMBERS]),
            "get": lambda: self.redis_benchmark("redis", ["GET", "plain:__rand_int__"]),
            "http": lambda: self.wrk("http", OURS),
            "nginx": lambda: self.wrk("nginx", THEIRS),
        }

    def start(self, name, command, port):
        log = self.stack.enter_context(open(self.dir / f"{name}.log", "w"))
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self.dir,
                                   preexec_fn=lambda: os.sched_setaffinity(0, {SERVER_CORE}))
        self.stack.callback(stop, process)
        deadline = time.monotonic() + READY_WITHIN_S
        while socket.socket().connect_ex(("127.0.0.1", self.ports[port])) != 0:
            if process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"{name} does not start:\n{(self.dir / f'{name}.log').read_text()}")
            time.sleep(0.05)
        return process

    def redis(self, *words):
        command = ["redis-cli", "-p", str(self.ports["redis"]), *words]
        return subprocess.run(command, text=True, check=True, capture_output=True, timeout=20).stdout.strip()

    def on_load_core(self, command):
        return subprocess.run(command, text=True, check=True, capture_output=True, timeout=120,
                              preexec_fn=lambda: os.sched_setaffinity(0, {LOAD_CORE})).stdout

    def redis_benchmark(self, port, command):
        count = self.args.requests
        shown = self.on_load_core(["redis-benchmark", "-p", str(self.ports[port]), "-P", str(PIPELINE), "-c",
                                   str(CONNECTIONS), "-n", str(count), "-r", str(KEYS), "-q", *command])
        if "requests per second" not in shown:
            sys.exit(f"redis-benchmark says {shown}")
        return count

    def wrk(self, port, request):
        script = self.dir / "wrk.lua"
        script.write_text(WRK % {"keys": KEYS, "format": request})
        shown = self.on_load_core(["wrk", "-t1", "-c64", f"-d{self.args.seconds}s", "-s", str(script),
                                   f"http://127.0.0.1:{self.ports[port]}"])
        counts = json.loads(next(line for line in shown.splitlines() if line.startswith("{")))
        if counts["broken"]:
            sys.exit(f"wrk says {shown}")
        return counts["requests"]

    def load(self, name):
        """Microseconds of the server for each decision: in all, and of user time."""
        pids = pids_of(self.processes[name].pid)
        used, user = cpu_s(pids), cpu_s(pids, USER)
        count = self.loads[name]()
        time.sleep(0.1)
        return 1e6 * (cpu_s(pids) - used) / count, 1e6 * (cpu_s(pids, USER) - user) / count


def main():
    args = gateway.arguments(__doc__, rounds=12, seconds=2, more=lambda parser: parser.add_argument(
        "--requests", type=int, default=600_000, help="of each run of redis-benchmark (default 600000)"))
    with contextlib.ExitStack() as stack:
        bench = Bench(stack, args)
        names = list(bench.loads)
        runs = {name: [] for name in names}
        for number in range(args.rounds):
            turn = number % len(names)
            for name in names[turn:] + names[:turn]:
                runs[name].append(bench.load(name))
            shown = "  ".join(f"{name} {of[-1][0]:.2f} us" for name, of in runs.items())
            print(f"round {number:2}: {shown}  load {os.getloadavg()[0]:.1f}", flush=True)
    # The first round only warms up.
    us = {name: [run[0] for run in of[1:]] for name, of in runs.items()}
    met = []
    for ours, other, bar in RATIOS:
        ratios = [one / two for one, two in zip(us[ours], us[other])]
        print(f"{ours} / {other}: {spread(ratios)}  {spread(us[ours])} us, {spread(us[other])} us")
        ratio = round(statistics.median(ratios), 3)
        met.append(record(args, f"cpu-per-decision-{ours}", ratio, bar, ratio <= bar, unit=f"times {other}",
                          low=round(min(ratios), 3), high=round(max(ratios), 3),
                          us=round(statistics.median(us[ours]), 2),
                          user_us=round(statistics.median(run[1] for run in runs[ours][1:]), 2),
                          other_us=round(statistics.median(us[other]), 2), rounds=len(ratios)))
    sys.exit(0 if all(met) else 1)


if __name__ == "__main__":
    main()
