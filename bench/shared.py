#!/usr/bin/env python3
"""What limits cost that several nodes share on one Redis, and whether they hold.

    bench/shared.py                   every figure, about ten minutes
    bench/shared.py NAME …            just these: promise promise-as-set trips denied denied-as-set scripts black-hole
                                      lease killed

Nodes are processes of their own (`bench/src/bin/shared-node.rs`) on one redis-server that this starts on a socket in a
temporary directory. CPU time is that of the server's process, as bench/gateway.py reads it; runs that are compared take
turns in every round, and the ratio is the median over the rounds' own ratios. docs/benchmarks.md says more.

`lease` and `killed` are of whole gateways, whose sockets and load are those of bench/gateway.py.

Needs redis-server and `cargo build --release --bin shared-node` in bench/; for `lease` and `killed` also nginx, wrk and
`cargo build --release -p tollgate-cli`.
"""

import asyncio, contextlib, json, os, pathlib, signal, socket, statistics, subprocess, sys, tempfile, time

import gateway
from gateway import LOAD_CORE, ROOT, SERVER_CORE, cpu_s, free_ports, record, spread, stop

gateway.RESULTS = ROOT / "bench" / "results" / "shared.jsonl"
NODE = ROOT / "bench" / "target" / "release" / "shared-node"
QUOTA, PER_S, BURST = "10000 per second token-bucket", 10_000, 10_000
# How far the nodes' clocks are from each other, in milliseconds.
OFFSETS_MS = (0, 5_000, -5_000, 2_500)
# The default. Where five processes share two cores, a call that takes longer is no failure: there it is longer.
DEADLINE_MS, PATIENT_MS = 25, 2_000
# What each of four nodes is asked for a second, to press a limit of 10,000.
PRESSURE_PER_S = 8_000
# The load of `killed`: so many connections, each asking so often; the kill after so long, and the return.
CLIENTS, EACH_PER_S, KILLED_AT_S, BACK_AFTER_S, WHOLE_S = 32, 50, 3, 2, 8
GATEWAY_RULES = """
server = { listen = "127.0.0.1:%(port)d", workers = 1 }
%(counters)s
[limits.hot]
key = "header:x-api-key"
algorithm = "token-bucket"
quotas = ["1000000 per second"]
%(lease)s

[[routes]]
match = "GET /limit"
limits = ["hot"]
upstream = "http://127.0.0.1:%(upstream)d"
"""


class Redis:
    def __init__(self, stack):
        self.dir = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tollgate-bench-")))
        self.socket = self.dir / "redis.sock"
        self.serve()
        stack.callback(lambda: stop(self.process))

    def serve(self):
        """Returns when it answers."""
        command = ["redis-server", "--port", "0", "--unixsocket", self.socket, "--dir", self.dir, "--save", "",
                   "--appendonly", "no"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + gateway.READY_WITHIN_S
        while not self.socket.exists() or socket.socket(socket.AF_UNIX).connect_ex(str(self.socket)) != 0:
            if time.monotonic() > deadline:
                sys.exit("redis-server does not start")
            time.sleep(0.01)

    def knows(self, pattern):
        keys = subprocess.run(["redis-cli", "-s", self.socket, "--scan", "--pattern", pattern], capture_output=True)
        return bool(keys.stdout.strip())

    def forget(self):
        subprocess.run(["redis-cli", "-s", self.socket, "FLUSHALL"], check=True, capture_output=True)

    def start(self, scheme, command, *arguments):
        url = f"{scheme}://{self.socket}"
        return subprocess.Popen([NODE, command, url, *map(str, arguments)], stdout=subprocess.PIPE, text=True)

    def hammer(self, quota, lease, seconds, offset_ms=0, rate=0, deadline_ms=PATIENT_MS):
        return self.start("redis+unix", "hammer", quota, lease, seconds, offset_ms, rate, deadline_ms)


def said(process):
    out, _ = process.communicate(timeout=300)
    if process.returncode != 0:
        sys.exit(f"a node ended with {process.returncode}")
    return json.loads(out)


def nodes(redis, seconds, lease, rate, deadline_ms=PATIENT_MS):
    redis.forget()
    started = [redis.hammer(QUOTA, lease, seconds, offset, rate, deadline_ms) for offset in OFFSETS_MS]
    ran = [said(process) for process in started]
    return {what: sum(run[what] for run in ran) for what in ("asked", "admitted", "calls", "degraded")} | {
        "seconds": (max(run["last_us"] for run in ran) - min(run["first_us"] for run in ran)) / 1e6}


def promise(args, redis, name="promise-kept-leases", rate=PRESSURE_PER_S, deadline_ms=PATIENT_MS):
    """Four processes, one key, 3.2 times the limit, clocks 5 s apart: no more than the promise, and hardly less."""
    met = []
    for lease in ("auto", "off"):
        ran = nodes(redis, args.seconds, lease, rate, deadline_ms)
        bound = BURST + PER_S * ran["seconds"]
        part = ran["admitted"] / bound
        print(f"leases {lease}: {ran['admitted']:,} of {bound:,.0f} in {ran['seconds']:.2f} s, {ran['asked']:,} asked,"
              f" {ran['calls']:,} calls, {ran['degraded']:,} degraded")
        met.append(record(args, f"{name}-{lease}", round(part, 5), "0.99 to 1", 0.99 <= part <= 1,
                          unit="of the bound", deadline_ms=deadline_ms, rate=rate, **ran))
    return all(met)


def promise_as_set(args, redis):
    """The same with the deadline that gateways have if nothing is said, and every process as fast as it can."""
    return promise(args, redis, "promise-kept-as-set-leases", 0, DEADLINE_MS)


def trips(args, redis):
    """Four processes, one key, 60 % of the limit, leases on."""
    ran = nodes(redis, args.seconds, "auto", PER_S * 6 // 40)
    each = ran["calls"] / ran["asked"]
    denied = ran["asked"] - ran["admitted"]
    print(f"{ran['calls']:,} calls for {ran['asked']:,} decisions, {denied:,} of them denied")
    return record(args, "round-trips-per-decision", round(each, 4), 0.05, each <= 0.05, unit="calls", denied=denied, **ran)


def denied(args, redis):
    """One process, one key, as fast as it can, far beyond its limit; when the burst of the first second is over."""
    limit, seconds, ran = flood(args, redis, PATIENT_MS)
    each = (ran["calls"] - ran["calls_of_first_second"]) / (seconds - 1)
    return record(args, "calls-of-a-denied-key", round(each, 2), 2 + limit, each <= 2 + limit, unit="calls per second", **ran)


def denied_as_set(args, redis):
    """The same with the deadline that gateways have if nothing is said, and with the first second, over the whole run."""
    limit, seconds, ran = flood(args, redis, DEADLINE_MS)
    each = ran["calls"] / seconds
    return record(args, "calls-of-a-denied-key-as-set", round(each, 2), 2 + limit, each <= 2 + limit,
                  unit="calls per second", **ran)


def flood(args, redis, deadline_ms):
    redis.forget()
    limit, seconds = 10, min(args.seconds, 10)
    ran = said(redis.hammer(f"{limit} per second token-bucket", "off", seconds, deadline_ms=deadline_ms))
    print(f"{ran['asked']:,} asked, {ran['admitted']:,} admitted, {ran['calls']:,} calls in {seconds} s,"
          f" {ran['calls_of_first_second']:,} of them in the first, {ran['degraded']:,} degraded")
    return limit, seconds, ran


def black_hole(args, redis):
    """The store is suspended in the middle of a run, and continued."""
    redis.forget()
    node = redis.hammer("1000000 per second burst 1000000 token-bucket", "off", 6, rate=2_000, deadline_ms=DEADLINE_MS)
    try:
        time.sleep(2)
        redis.process.send_signal(signal.SIGSTOP)
        time.sleep(2)
    finally:
        redis.process.send_signal(signal.SIGCONT)
    ran = said(node)
    p999 = ran["p999_us"] / 1000
    print(f"p50 {ran['p50_us']} us, p99.9 {p999} ms, longest {ran['max_us'] / 1000} ms; {ran['degraded']:,} of"
          f" {ran['asked']:,} without the store")
    held = ran["degraded"] > 0 and p999 <= DEADLINE_MS + 5
    return record(args, "black-hole-p999", p999, DEADLINE_MS + 5, held, unit="ms", **ran)


def scripts(args, redis):
    """Microseconds of the server for one decision, of ours and of what people write by hand."""
    kinds = {"gcra": "unix", "one": "redis+unix", "two": "redis+unix", "twice": "redis+unix"}
    costs = {name: [] for name in kinds}
    names = list(kinds)
    for number in range(args.rounds):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            used = cpu_s([redis.process.pid])
            ran = said(redis.start(kinds[name], "script", name, 2))
            costs[name].append((cpu_s([redis.process.pid]) - used) * 1e6 / ran["decisions"])
        shown = "  ".join(f"{name} {each[-1]:.2f} us" for name, each in costs.items())
        print(f"round {number:2}: {shown}", flush=True)
    met = []
    for figure, name, than, bar in (("server-cpu-one-bucket", "one", "gcra", 1.3),
                                    ("server-cpu-two-in-one-call", "two", "twice", 0.7)):
        ratios = [cost / base for cost, base in zip(costs[name][1:], costs[than][1:])]
        ratio = round(statistics.median(ratios), 3)
        print(f"{figure}: {spread(costs[name][1:])} us, {than} {spread(costs[than][1:])} us, ratio {spread(ratios)}")
        met.append(record(args, figure, ratio, bar, ratio <= bar, unit=f"times {than}", low=round(min(ratios), 3),
                          high=round(max(ratios), 3), us=round(statistics.median(costs[name][1:]), 2),
                          **{f"{than}_us": round(statistics.median(costs[than][1:]), 2)}, rounds=len(ratios)))
    return all(met)


class Gateways(gateway.Bench):
    """Gateways that differ in where they count, before one upstream: a name, and what the rules say of it."""

    def __init__(self, stack, tollgate, kinds, core=SERVER_CORE):
        self.dir = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tollgate-bench-")))
        self.dir.chmod(0o755)
        self.stack, self.tollgate = stack, tollgate
        self.ports = dict(zip(("upstream", *kinds), free_ports(1 + len(kinds))))
        self.processes = {"upstream": self.start_nginx("upstream", gateway.UPSTREAM_CONF, LOAD_CORE)}
        for name, (counters, lease) in kinds.items():
            rules = self.dir / f"{name}.toml"
            numbers = {"port": self.ports[name], "upstream": self.ports["upstream"]}
            rules.write_text(GATEWAY_RULES % {"counters": counters, "lease": lease, **numbers})
            serve = [tollgate, "serve", "--rules", rules, "--data", self.dir / name]
            self.processes[name] = self.start(name, serve, core)
            if self.get(name, "/limit", "hot")[0] != 200:
                sys.exit(f"{name} does not let its first request pass")


def lease(args, redis):
    """CPU of a gateway for each request, one hot key, leased from the store, beside one that counts in memory."""
    os.sched_setaffinity(redis.process.pid, {LOAD_CORE})
    kinds = {"memory": ("", ""), "leased": (f'counters = {{ url = "redis+unix://{redis.socket}" }}', 'lease = "auto"')}
    with contextlib.ExitStack() as stack:
        bench = Gateways(stack, args.tollgate, kinds)
        costs = {name: [] for name in kinds}
        for number in range(args.rounds):
            turn = number % len(kinds)
            for name in [*kinds][turn:] + [*kinds][:turn]:
                run = bench.load(name, "/limit", 2, ["hot"])
                if run["refused"] or run["broken"]:
                    sys.exit(f"{name}: {run}")
                costs[name].append(run["us"])
            print(f"round {number:2}: " + "  ".join(f"{name} {each[-1]:.2f} us" for name, each in costs.items()), flush=True)
    ratios = [cost / base for cost, base in zip(costs["leased"][1:], costs["memory"][1:])]
    ratio = round(statistics.median(ratios), 3)
    print(f"leased {spread(costs['leased'][1:])} us, in memory {spread(costs['memory'][1:])} us, ratio {spread(ratios)}")
    return record(args, "gateway-cpu-leased", ratio, 1.1, ratio <= 1.1, unit="times memory", low=round(min(ratios), 3),
                  high=round(max(ratios), 3), us=round(statistics.median(costs["leased"][1:]), 2),
                  memory_us=round(statistics.median(costs["memory"][1:]), 2), rounds=len(ratios))


async def client(port, place, until, seen):
    """Asks at even distances, and notes when each request was due, how long it then took, and its status."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    due = time.monotonic() + place / CLIENTS / EACH_PER_S
    while due < until:
        await asyncio.sleep(max(0, due - time.monotonic()))
        writer.write(b"GET /limit HTTP/1.1\r\nHost: bench\r\nX-Api-Key: hot\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        await reader.readexactly(length)
        seen.append((due, time.monotonic() - due, int(head.split(b" ", 2)[1])))
        due += 1 / EACH_PER_S
    writer.close()


async def clients(port, redis, prefix):
    """Load for the whole time; in the middle the store is killed, and started again. What was seen, when it was killed,
    when it was back, and when the first decision was made by it again."""
    began, seen = time.monotonic(), []
    load = [asyncio.create_task(client(port, place, began + WHOLE_S, seen)) for place in range(CLIENTS)]
    await asyncio.sleep(KILLED_AT_S)
    killed = time.monotonic()
    redis.process.kill()
    redis.process.wait()
    await asyncio.sleep(BACK_AFTER_S)
    await asyncio.to_thread(redis.serve)
    back, shared = time.monotonic(), None
    while shared is None and time.monotonic() < began + WHOLE_S:
        if await asyncio.to_thread(redis.knows, prefix):
            shared = time.monotonic()
    await asyncio.gather(*load)
    return seen, killed, back, shared


def killed(args, redis):
    """The store is killed under load, and comes back: what clients of a gateway with `on_error = "local"` see of it."""
    counters = f'counters = {{ url = "redis+unix://{redis.socket}", on_error = "local" }}'
    rounds = []
    with contextlib.ExitStack() as stack:
        bench = Gateways(stack, args.tollgate, {"gateway": (counters, "")})
        for _ in range(3):
            rounds.append(asyncio.run(clients(bench.ports["gateway"], redis, "tollgate:2:hot*")))
            time.sleep(1)
    failed = sum(status >= 500 for seen, *_ in rounds for _, _, status in seen)
    added, waits = [], []
    for seen, at, back, shared in rounds:
        quiet, away = ([took * 1000 for due, took, _ in seen if first <= due < last]
                       for first, last in ((at - KILLED_AT_S + 1, at - 0.1), (at - 0.1, back)))
        p99 = [statistics.quantiles(each, n=100)[98] for each in (quiet, away)]
        added.append(p99[1] - p99[0])
        waits.append(shared - back if shared else WHOLE_S)
        print(f"{len(seen):,} requests; p99 {p99[0]:.2f} ms before, {p99[1]:.2f} ms without the store, longest"
              f" {max(away):.1f} ms; shared again {waits[-1]:.2f} s after its return")
    each_s = CLIENTS * EACH_PER_S
    return all([
        record(args, "killed-5xx", failed, 0, failed == 0, unit="responses", per_s=each_s, rounds=len(rounds)),
        record(args, "killed-added-p99", round(statistics.median(added), 2), 5, statistics.median(added) <= 5, unit="ms",
               low=round(min(added), 2), high=round(max(added), 2), per_s=each_s, rounds=len(rounds)),
        record(args, "killed-shared-again", round(max(waits), 2), 1, max(waits) <= 1, unit="s", low=round(min(waits), 2),
               rounds=len(rounds))])


FIGURES = {"promise": promise, "promise-as-set": promise_as_set, "trips": trips, "denied": denied,
           "denied-as-set": denied_as_set, "scripts": scripts, "black-hole": black_hole, "lease": lease, "killed": killed}


def more(parser):
    parser.add_argument("figures", nargs="*", metavar="NAME", help=" ".join(FIGURES))


def main():
    args = gateway.arguments(__doc__, rounds=12, seconds=60, more=more)
    unknown = [name for name in args.figures if name not in FIGURES]
    if unknown:
        sys.exit(f"no such figure: {' '.join(unknown)}; there are {' '.join(FIGURES)}")
    met = []
    for name in args.figures or FIGURES:
        with contextlib.ExitStack() as stack:
            met.append(FIGURES[name](args, Redis(stack)))
    sys.exit(0 if all(met) else 1)


if __name__ == "__main__":
    main()
