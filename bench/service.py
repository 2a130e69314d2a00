#!/usr/bin/env python3
"""What a decision costs in the service, beside Redis, throttlecrab-server, tonic and nginx, in one run.

The measure is CPU time of the server for each decision, as in gateway.py: the server under test has core 0, the load
core 1, all servers are up at once and take turns, and the ratio is the median over the rounds' own ratios.

    bench/service.py                  everything
    bench/service.py NAME …           just these: resp http grpc half-load

    resp       pipelines of 16 by redis-benchmark, 1,000 keys: CL.THROTTLE, beside the same rule as a Lua script in
               redis-server, beside its plain GET, and beside THROTTLE of throttlecrab-server
    http       64 connections by wrk, 1,000 keys: POST /v1/check answered with JSON, and with 204 to who prefers that,
               beside nginx with limit_req answering 204
    grpc       8 connections of 16 streams by grpc-load, 1,000 keys: a decision on the two descriptors of a request of
               Envoy, beside one key at throttlecrab-server, and beside a service of tonic that always answers OK
    half-load  how long such a decision takes at half the rate that can be had, with server and load on all cores

Needs redis-server, redis-benchmark, nginx, wrk, two cores, `cargo build --release -p tollgate-cli`, in bench/ `cargo build
--release --bin grpc-load --bin grpc-ok`, and throttlecrab-server, as docs/benchmarks.md says; --throttlecrab names it.
"""

import contextlib, json, os, pathlib, socket, statistics, subprocess, sys, tempfile, time

import gateway
from gateway import LOAD_CORE, READY_WITHIN_S, SERVER_CORE, ROOT, USER, cpu_s, free_ports, pids_of, record, spread, stop

gateway.RESULTS = ROOT / "bench" / "results" / "service.jsonl"
CONNECTIONS, KEYS, PIPELINE = 50, 1000, 16
BUILT = ROOT / "bench" / "target"
# throttlecrab-server stalls when it is asked in pipelines, and leaves its core idle: so few of its requests do.
THROTTLECRAB_PART = 5

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
workers = %(workers)d
[service]
resp = "127.0.0.1:%(resp)d"
http = "127.0.0.1:%(http)d"
grpc = "127.0.0.1:%(grpc)d"
[limits.per-user]
key = "user"
algorithm = "token-bucket"
quotas = ["1000000 per second"]
[service.domains.edge]
[[service.domains.edge.descriptors]]
entries = ["remote_address"]
algorithm = "token-bucket"
quotas = ["1000000 per second"]
[[service.domains.edge.descriptors]]
entries = ["plan=gold", "user"]
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
OURS = """wrk.format("POST", "/v1/check", { ["Content-Type"] = "application/json"%s },
    '{"limit":"per-user","key":{"user":"user-' .. i .. '"}}')"""
MINIMAL = ', ["Prefer"] = "return=minimal"'
THEIRS = 'wrk.format("GET", "/limit", { ["X-Api-Key"] = "user-" .. i })'

# What is compared, with what, and the bar.
RATIOS = {
    "resp": [("resp", "lua", 0.2), ("resp", "throttlecrab-resp", 0.25), ("resp", "get", 1.3)],
    "http": [("http", "nginx", 1.1), ("http-204", "nginx", 1.1)],
    "grpc": [("grpc", "throttlecrab-grpc", 0.75), ("grpc", "tonic-ok", 0.6)],
}
# How long 99.9 % of decisions may take at half load, in milliseconds.
HALF_LOAD_P999_MS = 5


class Bench:
    def __init__(self, stack, args, core=SERVER_CORE, peers=True):
        self.dir = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tollgate-bench-")))
        self.dir.chmod(0o755)
        self.stack, self.args, self.core = stack, args, core
        names = ("resp", "http", "grpc", "redis", "nginx", "throttlecrab-resp", "throttlecrab-grpc", "tonic-ok")
        self.ports = dict(zip(names, free_ports(len(names))))
        (self.dir / "rules.toml").write_text(RULES % {"workers": os.cpu_count() if core is None else 1, **self.ports})
        (self.dir / "nginx").mkdir()
        (self.dir / "nginx" / "nginx.conf").write_text(NGINX % self.ports)
        serve = [args.tollgate, "serve", "--rules", self.dir / "rules.toml", "--data", self.dir / "data"]
        ours = self.start("tollgate", serve, "grpc")
        self.processes = {"resp": ours, "http": ours, "http-204": ours, "grpc": ours}
        self.loads = {
            "resp": lambda: self.redis_benchmark("resp", ["CL.THROTTLE", "key:__rand_int__", *NUMBERS]),
            "http": lambda: self.wrk("http", OURS % ""),
            "http-204": lambda: self.wrk("http", OURS % MINIMAL),
            "grpc": lambda: self.grpc_load("grpc", "rls"),
        }
        if peers:
            self.start_peers()

    def start_peers(self):
        redis = ["redis-server", "--port", str(self.ports["redis"]), "--save", "", "--appendonly", "no", "--bind", "127.0.0.1"]
        redis = self.start("redis", redis, "redis")
        nginx = ["nginx", "-p", self.dir / "nginx", "-e", "error.log", "-c", "nginx.conf"]
        crab = [self.args.throttlecrab, "--log-level", "error"]
        for protocol, flag in (("resp", "redis"), ("grpc", "grpc")):
            port = str(self.ports[f"throttlecrab-{protocol}"])
            crab += [f"--{flag}", f"--{flag}-host", "127.0.0.1", f"--{flag}-port", port]
        crab = self.start("throttlecrab-server", crab, "throttlecrab-grpc")
        always_ok = [BUILT / "release" / "grpc-ok", f"127.0.0.1:{self.ports['tonic-ok']}"]
        self.processes |= {"lua": redis, "get": redis, "nginx": self.start("nginx", nginx, "nginx"),
                           "throttlecrab-resp": crab, "throttlecrab-grpc": crab,
                           "tonic-ok": self.start("grpc-ok", always_ok, "tonic-ok")}
        script = self.redis("SCRIPT", "LOAD", GCRA)
        self.redis("EVAL", "for i=0,999 do redis.call('SET', string.format('plain:%012d', i), i) end", "0")
        self.loads |= {
            "lua": lambda: self.redis_benchmark("redis", ["EVALSHA", script, "1", "key:__rand_int__", *NUMBERS]),
            "get": lambda: self.redis_benchmark("redis", ["GET", "plain:__rand_int__"]),
            "nginx": lambda: self.wrk("nginx", THEIRS),
            "throttlecrab-resp": lambda: self.redis_benchmark(
                "throttlecrab-resp", ["THROTTLE", "key:__rand_int__", *NUMBERS], THROTTLECRAB_PART),
            "throttlecrab-grpc": lambda: self.grpc_load("throttlecrab-grpc", "throttlecrab"),
            "tonic-ok": lambda: self.grpc_load("tonic-ok", "rls"),
        }

    def start(self, name, command, port):
        log = self.stack.enter_context(open(self.dir / f"{name}.log", "w"))
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self.dir,
                                   preexec_fn=lambda: os.sched_setaffinity(0, self.cores({self.core})))
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

    @staticmethod
    def cores(wanted):
        """`wanted`, or all where it says none in particular."""
        return range(os.cpu_count()) if None in wanted else wanted

    def on_load_core(self, command):
        core = None if self.core is None else LOAD_CORE
        ran = subprocess.run(command, text=True, capture_output=True, timeout=120,
                             preexec_fn=lambda: os.sched_setaffinity(0, self.cores({core})))
        if ran.returncode != 0:
            sys.exit(f"{command[0]} says {ran.stderr}")
        return ran.stdout

    def grpc_load(self, port, what, rate=0):
        """How many were answered; with `rate`, what grpc-load says of them."""
        address = f"127.0.0.1:{self.ports[port]}"
        said = json.loads(self.on_load_core([BUILT / "release" / "grpc-load", address, what, str(self.args.seconds), str(rate)]))
        return said if rate else said["requests"]

    def redis_benchmark(self, port, command, part=1):
        count = self.args.requests // part
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


def compare(args, bench, ratios):
    """Every server once in every round, each time another one first; the first round only warms up."""
    names = list(dict.fromkeys(name for ours, other, _ in ratios for name in (ours, other)))
    runs = {name: [] for name in names}
    for number in range(args.rounds):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            runs[name].append(bench.load(name))
        shown = "  ".join(f"{name} {of[-1][0]:.2f} us" for name, of in runs.items())
        print(f"round {number:2}: {shown}  load {os.getloadavg()[0]:.1f}", flush=True)
    us = {name: [run[0] for run in of[1:]] for name, of in runs.items()}
    met = []
    for ours, other, bar in ratios:
        each = [one / two for one, two in zip(us[ours], us[other])]
        print(f"{ours} / {other}: {spread(each)}  {spread(us[ours])} us, {spread(us[other])} us")
        ratio = round(statistics.median(each), 3)
        met.append(record(args, f"cpu-per-decision-{ours}", ratio, bar, ratio <= bar, unit=f"times {other}",
                          low=round(min(each), 3), high=round(max(each), 3),
                          us=round(statistics.median(us[ours]), 2),
                          user_us=round(statistics.median(run[1] for run in runs[ours][1:]), 2),
                          other_us=round(statistics.median(us[other]), 2), rounds=len(each)))
    return all(met)


def half_load(args):
    """Server and load on all cores: what can be had by asking without a pause, then half of that, at even distances."""
    with contextlib.ExitStack() as stack:
        bench = Bench(stack, args, core=None, peers=False)
        rates, runs = [], []
        for number in range(args.rounds):
            rates.append(bench.grpc_load("grpc", "rls") / args.seconds)
            if number:
                runs.append(bench.grpc_load("grpc", "rls", int(statistics.median(rates) / 2)))
                print(f"round {number:2}: {rates[-1]:,.0f} a second at most, then {runs[-1]}", flush=True)
    ms = [run["p999_us"] / 1000 for run in runs]
    middle = round(statistics.median(ms), 2)
    print(f"p99.9 at half load: {spread(ms)} ms")
    return record(args, "half-load-p999-grpc", middle, HALF_LOAD_P999_MS, middle < HALF_LOAD_P999_MS, unit="ms",
                  low=round(min(ms), 2), high=round(max(ms), 2), rate=int(statistics.median(rates) / 2),
                  p50_ms=statistics.median(run["p50_us"] for run in runs) / 1000,
                  max_ms=max(run["max_us"] for run in runs) / 1000, rounds=len(runs), seconds=args.seconds)


def more(parser):
    parser.add_argument("figures", nargs="*", metavar="NAME", help=" ".join((*RATIOS, "half-load")))
    parser.add_argument("--requests", type=int, default=600_000, help="of each run of redis-benchmark (default 600000)")
    parser.add_argument("--throttlecrab", default=str(BUILT / "peers" / "bin" / "throttlecrab-server"), help="its server")


def main():
    args = gateway.arguments(__doc__, rounds=12, seconds=2, more=more)
    figures = args.figures or [*RATIOS, "half-load"]
    unknown = [name for name in figures if name not in (*RATIOS, "half-load")]
    if unknown:
        sys.exit(f"no such figure: {' '.join(unknown)}; there are {' '.join(RATIOS)} half-load")
    met = []
    ratios = [ratio for name in figures for ratio in RATIOS.get(name, ())]
    if ratios:
        with contextlib.ExitStack() as stack:
            met.append(compare(args, Bench(stack, args), ratios))
    if "half-load" in figures:
        met.append(half_load(args))
    sys.exit(0 if all(met) else 1)


if __name__ == "__main__":
    main()
