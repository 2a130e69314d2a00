#!/usr/bin/env python3
"""What a request costs in the gateway, beside nginx with `limit_req`, in one run.

The measure is CPU time: user and system time that the server's processes used, divided by the requests they completed.
The server under test has core 0 for itself; the upstream and the load share core 1. All servers are up at once and take
turns in every round, so that a slow minute of the machine slows them all; the ratio is the median over the rounds' own
ratios. docs/benchmarks.md says what is on and off on each side.

    bench/gateway.py                  proxied: every request allowed
    bench/gateway.py --denied         nearly every request answered 429
    bench/gateway.py --accounts       with API keys and usage, beside the same route without both
    bench/gateway.py --soak           64 connections for 30 s: exactly the allowed number pass, and nothing leaks

Needs nginx, wrk, two cores, and `cargo build --release -p tollgate-cli`.
"""

import argparse, contextlib, datetime, http.client, json, os, pathlib, platform, socket, statistics, subprocess, sys
import tempfile, time

ROOT = pathlib.Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results" / "gateway.jsonl"
SERVER_CORE, LOAD_CORE = 0, 1
CONNECTIONS = 64
USERS, READY_WITHIN_S = 100, 15
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
# Places of user and system time in /proc/PID/stat, behind the name.
USER, SYSTEM = (11,), (12,)
# What a server may hold more of after the soak than before it.
RSS_GROWTH_MAX_KIB = 4096
FDS_GROWTH_MAX = 4

# Name, which server, path. The first of each list is what the others are compared with.
ALLOWED = [("nginx", "nginx", "/limit"), ("token-bucket", "tollgate", "/limit"),
           ("sliding-window", "tollgate", "/limit/sliding")]
DENIED = [("nginx", "nginx", "/denied"), ("sliding-window", "tollgate", "/denied")]
# The same limiter and the same quota for as many keys, by the field's text and by whom the key is of.
ACCOUNTS = [("open", "tollgate", "/open"), ("accounts", "tollgate", "/limit")]
SERVERS = {"allowed": ALLOWED, "denied": DENIED, "accounts": ACCOUNTS}
BAR = {"allowed": 1.25, "denied": 1.15, "accounts": 1.15}
# Usage is written each second: what a run left to be written is its own cost, not the next one's.
SETTLE_S = {"allowed": 0.1, "denied": 0.1, "accounts": 1.6}

NGINX_COMMON = """
worker_processes 1; daemon off; pid nginx.pid; error_log error.log crit;
events { worker_connections 1024; }
http {
  access_log off; default_type text/plain; keepalive_requests 1000000000;
  client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3; uwsgi_temp_path t4; scgi_temp_path t5;
"""
UPSTREAM_CONF = NGINX_COMMON + """
  server {
    listen 127.0.0.1:%(upstream)d;
    location = /status { stub_status; }
    location / { return 200 "32 bytes, as many as a number..\\n"; }
  }
}
"""
NGINX_CONF = NGINX_COMMON + """
  upstream origin { server 127.0.0.1:%(upstream)d; keepalive 64; keepalive_requests 1000000000; }
  limit_req_zone $http_x_api_key zone=allowed:10m rate=1000000r/s;
  limit_req_zone $http_x_api_key zone=denied:10m rate=10r/s;
  limit_req_status 429;
  proxy_http_version 1.1; proxy_set_header Connection "";
  server {
    listen 127.0.0.1:%(nginx)d;
    location = /limit { limit_req zone=allowed burst=1000000 nodelay; proxy_pass http://origin; }
    location = /denied { limit_req zone=denied; proxy_pass http://origin; }
  }
}
"""
RULES = 'server = { listen = "127.0.0.1:%(tollgate)d", workers = 1 }\n'
LIMIT = """
[limits.%(name)s]
key = "%(key)s"
algorithm = "%(algorithm)s"
quotas = ["%(quota)s"]

[[routes]]
match = "GET %(path)s"
auth = %(auth)s
limits = ["%(name)s"]
upstream = "http://127.0.0.1:%(upstream)d"
"""
WRK_SCRIPT = """
local keys, requests, turn = { %s }, {}, 0
function init()
  local fields = { ["User-Agent"] = "wrk", ["Accept"] = "application/json", ["Accept-Language"] = "en" }
  for name, value in pairs(fields) do wrk.headers[name] = value end
  for i, key in ipairs(keys) do wrk.headers["X-Api-Key"] = key requests[i] = wrk.format() end
end
function request() turn = turn %% #requests + 1 return requests[turn] end
function done(s)
  local e = s.errors
  print(string.format('{"requests":%%d,"micros":%%d,"refused":%%d,"broken":%%d}',
    s.requests, s.duration, e.status, e.connect + e.read + e.write + e.timeout))
end
"""


BY_USER = {"key": "user", "auth": '["api-key"]'}
BY_FIELD = {"key": "header:x-api-key", "auth": "[]"}


class Bench:
    """The upstream and the servers, in a temporary directory, each on a free port and its core. A quota is a name, an
    algorithm, a quota, a path and, if it is not `BY_USER`, what it counts by."""

    def __init__(self, stack, tollgate, quotas):
        self.dir = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tollgate-bench-")))
        self.dir.chmod(0o755)
        self.stack, self.tollgate = stack, tollgate
        self.ports = dict(zip(("upstream", "nginx", "tollgate"), free_ports(3)))
        (self.dir / "rules.toml").write_text(RULES % self.ports + "".join(
            LIMIT % {"name": name, "algorithm": algorithm, "quota": quota, "path": path,
                     **BY_USER, **dict(*by), **self.ports}
            for name, algorithm, quota, path, *by in quotas))
        os.environ["TOLLGATE_DATA"] = str(self.dir / "data")
        self.keys = [self.user_with_key(f"user{number}") for number in range(USERS)]
        self.processes = {
            "upstream": self.start_nginx("upstream", UPSTREAM_CONF, LOAD_CORE),
            "nginx": self.start_nginx("nginx", NGINX_CONF, SERVER_CORE),
            "tollgate": self.start("tollgate", [tollgate, "serve", "--rules", self.dir / "rules.toml"], SERVER_CORE),
        }

    def user_with_key(self, name):
        ran = {"text": True, "check": True, "timeout": 20, "capture_output": True}
        subprocess.run([self.tollgate, "user", "create", name], input="correct-horse\n", **ran)
        return subprocess.run([self.tollgate, "key", "create", name], **ran).stdout.strip()

    def start_nginx(self, name, conf, core):
        prefix = self.dir / name
        prefix.mkdir()
        (prefix / "nginx.conf").write_text(conf % self.ports)
        return self.start(name, ["nginx", "-p", prefix, "-e", "error.log", "-c", "nginx.conf"], core)

    def start(self, name, command, core):
        log = self.stack.enter_context(open(self.dir / f"{name}.log", "w"))
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                   preexec_fn=lambda: os.sched_setaffinity(0, {core}))
        self.stack.callback(stop, process)
        deadline = time.monotonic() + READY_WITHIN_S
        while socket.socket().connect_ex(("127.0.0.1", self.ports[name])) != 0:
            if process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"{name} does not start:\n{(self.dir / f'{name}.log').read_text()}")
            time.sleep(0.05)
        return process

    def get(self, server, path, key=""):
        connection = http.client.HTTPConnection("127.0.0.1", self.ports[server], timeout=5)
        connection.request("GET", path, headers={"X-Api-Key": key})
        response = connection.getresponse()
        return response.status, response.headers, response.read().decode()

    def upstream_requests(self):
        """How many requests the upstream has had, this one among them."""
        return int(self.get("upstream", "/status")[2].split("\n")[2].split()[2])

    def load(self, server, path, seconds, keys, settle_s=0.1):
        """One run of wrk: its counts, and the CPU time of the server in seconds."""
        script = self.dir / "wrk.lua"
        script.write_text(WRK_SCRIPT % ", ".join(f'"{key}"' for key in keys))
        pids = pids_of(self.processes[server].pid)
        used, user = cpu_s(pids), cpu_s(pids, USER)
        url = f"http://127.0.0.1:{self.ports[server]}{path}"
        done = subprocess.run(["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", str(script), url], text=True,
                              check=True, capture_output=True, timeout=seconds + 30,
                              preexec_fn=lambda: os.sched_setaffinity(0, {LOAD_CORE}))
        time.sleep(settle_s)
        counts = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("{")))
        each = 1e6 / counts["requests"]
        return {**counts, "us": (cpu_s(pids) - used) * each, "user_us": (cpu_s(pids, USER) - user) * each,
                "per_s": counts["requests"] * 1e6 / counts["micros"]}


def free_ports(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def stop(process):
    process.terminate()
    try:
        process.wait(timeout=15)
    except subprocess.TimeoutExpired:
        process.kill()


def pids_of(pid):
    children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *map(int, children)]


def cpu_s(pids, of=USER + SYSTEM):
    """User and system time of processes with all their threads."""
    fields = [pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
    return sum(int(each[at]) for each in fields for at in of) / TICKS_PER_S


def held_by(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    rss_kib = int(status.partition("VmRSS:")[2].split()[0])
    return rss_kib, len(os.listdir(f"/proc/{pid}/fd"))


def spread(values, digits=2):
    return f"{statistics.median(values):.{digits}f} [{min(values):.{digits}f}-{max(values):.{digits}f}]"


def record(args, figure, value, bar, met, **more):
    cpu = pathlib.Path("/proc/cpuinfo").read_text().partition("model name\t: ")[2].partition("\n")[0]
    machine = f"{cpu or platform.machine()}, {os.cpu_count()} cores, Linux {platform.release().split('-')[0]}"
    line = {"figure": figure, "value": value, "bar": bar, "met": met, **more, "machine": machine,
            "commit": args.commit, "at": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")}
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    with open(RESULTS, "a") as out:
        out.write(json.dumps(line) + "\n")
    verdict = "no bar" if met is None else "met" if met else "NOT MET"
    print(f"{verdict}: {figure} = {value}" + ("" if bar is None else f" (bar {bar})"))
    return met


def compare(args, bench, mode, servers):
    """Every server once in every round, each time another one first; the first round only warms up."""
    runs = {name: [] for name, _, _ in servers}
    for number in range(args.rounds):
        turn = number % len(servers)
        for name, server, path in servers[turn:] + servers[:turn]:
            runs[name].append(bench.load(server, path, args.seconds, bench.keys, SETTLE_S[mode]))
        shown = "  ".join(f"{name} {of[-1]['us']:.1f} us {of[-1]['per_s'] / 1000:.0f} k/s" for name, of in runs.items())
        print(f"round {number:2}: {shown}  load {os.getloadavg()[0]:.1f}", flush=True)
    met = []
    beside = servers[0][0]
    base = runs[beside]
    for name, _, _ in servers:
        of = {what: [run[what] for run in runs[name][1:]] for what in base[0]}
        middle = {what: round(statistics.median(values), 2) for what, values in of.items()}
        than = {what: round(statistics.median(run[what] for run in base[1:]), 2) for what in base[0]}
        refused, requests, broken = (sum(run[what] for run in runs[name]) for what in ("refused", "requests", "broken"))
        ratios = [cost / run["us"] for cost, run in zip(of["us"], base[1:])]
        print(f"{name:15} {spread(of['us'])} us/request, {middle['user_us']} of them user  ratio {spread(ratios)}"
              f"  {middle['per_s']:,.0f} requests/s  refused {refused / requests:.1%}  socket errors {broken}")
        clean = broken == 0 and (refused == 0 if mode != "denied" else 0.9 < refused / requests < 1)
        if name == beside:
            met.append(clean)
            continue
        ratio = round(statistics.median(ratios), 3)
        met.append(record(
            args, f"cpu-per-request-{mode}" + f"-{name}" * (name != mode), ratio, BAR[mode],
            clean and ratio <= BAR[mode], unit=f"times {beside}",
            low=round(min(ratios), 3), high=round(max(ratios), 3), us=middle["us"], user_us=middle["user_us"],
            **{f"{beside}_us": than["us"], f"{beside}_user_us": than["user_us"]}, per_s=round(middle["per_s"]),
            refused=refused, socket_errors=broken, rounds=len(ratios), seconds=args.seconds))
    return all(met)


def soak(args, bench):
    """Exactly the allowed number passes, under load from 64 connections, and nothing is held afterwards but connections
    to the upstream that are kept, at most as many as there were clients at once."""
    pid = bench.processes["tollgate"].pid
    _, fds_idle = held_by(pid)
    bench.load("tollgate", "/limit", 3, bench.keys)
    time.sleep(1)
    (rss_before, _), upstream_before = held_by(pid), bench.upstream_requests()
    run = bench.load("tollgate", "/exact", args.soak_seconds, bench.keys[:1])
    upstream = bench.upstream_requests() - upstream_before - 1
    time.sleep(1)
    rss_after, fds_after = held_by(pid)
    passed = run["requests"] - run["refused"]
    print(f"{run['requests']:,} requests, {passed:,} passed, {upstream:,} reached the upstream,"
          f" memory {rss_before:,} -> {rss_after:,} KiB, open files {fds_idle} -> {fds_after}")
    if run["refused"] == 0:
        print("the limit was not reached: choose fewer --units")
    met = [record(args, "soak-passed", passed, args.units, passed == upstream == args.units, unit="requests",
                  upstream=upstream, requests=run["requests"], seconds=args.soak_seconds)]
    for figure, value, bar, unit in [("socket-errors", run["broken"], 0, "errors"),
                                     ("memory-growth", rss_after - rss_before, RSS_GROWTH_MAX_KIB, "KiB"),
                                     ("open-files-growth", fds_after - fds_idle - CONNECTIONS, FDS_GROWTH_MAX, "files")]:
        met.append(record(args, f"soak-{figure}", value, bar, value <= bar, unit=unit))
    return all(met)


def arguments(description, rounds, seconds, more=lambda parser: None):
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=rounds, help=f"the first is dropped (default {rounds})")
    parser.add_argument("--seconds", type=int, default=seconds, help=f"of each run (default {seconds})")
    parser.add_argument("--tollgate", default=str(ROOT / "target" / "release" / "tollgate"), help="the binary")
    parser.add_argument("--commit", help="what the binary was built from (default: what is checked out)")
    more(parser)
    args = parser.parse_args()
    if args.rounds < 2 or (os.cpu_count() or 1) < 2:
        parser.error("at least two rounds and two cores are needed")
    args.commit = args.commit or subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, text=True,
                                                capture_output=True).stdout.strip() or "unknown"
    return args


def modes(parser):
    parser.add_argument("--denied", action="store_true", help="measure refusals instead")
    parser.add_argument("--accounts", action="store_true", help="measure what keys and usage cost")
    parser.add_argument("--soak", action="store_true", help="count what passes, and look for leaks")
    parser.add_argument("--soak-seconds", type=int, default=30)
    parser.add_argument("--units", type=int, default=100_000, help="that --soak allows (default 100000)")


def main():
    args = arguments(__doc__, rounds=12, seconds=3, more=modes)
    quotas = [("token-bucket", "token-bucket", "1000000 per second", "/limit"),
              ("sliding-window", "sliding-window", "2000 per second", "/limit/sliding"),
              ("denied", "sliding-window", "10 per second", "/denied"),
              ("exact", "sliding-window", f"{args.units} per hour", "/exact"),
              ("open", "token-bucket", "1000000 per second", "/open", BY_FIELD)]
    with contextlib.ExitStack() as stack:
        bench = Bench(stack, args.tollgate, quotas)
        for key, path in ((key, path) for key in bench.keys for path in ("/limit", "/open")):
            status, headers, _ = bench.get("tollgate", path, key)
            if status != 200 or "RateLimit" not in headers:
                sys.exit(f"a key is answered {status} at {path}, with {list(headers)}")
        mode = "denied" if args.denied else "accounts" if args.accounts else "allowed"
        met = soak(args, bench) if args.soak else compare(args, bench, mode, SERVERS[mode])
    sys.exit(0 if met else 1)


if __name__ == "__main__":
    main()
