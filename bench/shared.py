#!/usr/bin/env python3
"""What limits cost that several nodes share on one Redis, and whether they hold.

    bench/shared.py                   every figure, about four minutes
    bench/shared.py NAME …            just these: promise trips denied scripts black-hole

Nodes are processes of their own (`bench/src/bin/shared-node.rs`) on one redis-server that this starts on a socket in a
temporary directory. CPU time is that of the server's process, as bench/gateway.py reads it; runs that are compared take
turns in every round, and the ratio is the median over the rounds' own ratios. docs/benchmarks.md says more.

Needs redis-server and `cargo build --release --bin shared-node` in bench/.
"""

import contextlib, json, pathlib, signal, socket, statistics, subprocess, sys, tempfile, time

import gateway
from gateway import ROOT, cpu_s, record, spread, stop

gateway.RESULTS = ROOT / "bench" / "results" / "shared.jsonl"
NODE = ROOT / "bench" / "target" / "release" / "shared-node"
QUOTA, PER_S, BURST = "10000 per second token-bucket", 10_000, 10_000
# How far the nodes' clocks are from each other, in milliseconds.
OFFSETS_MS = (0, 5_000, -5_000, 2_500)
# The default. Where five processes share two cores, a call that takes longer is no failure: there it is longer.
DEADLINE_MS, PATIENT_MS = 25, 2_000
# What each of four nodes is asked for a second, to press a limit of 10,000.
PRESSURE_PER_S = 8_000


class Redis:
    def __init__(self, stack):
        self.dir = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tollgate-bench-")))
        self.socket = self.dir / "redis.sock"
        command = ["redis-server", "--port", "0", "--unixsocket", self.socket, "--dir", self.dir, "--save", "",
                   "--appendonly", "no"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        stack.callback(stop, self.process)
        deadline = time.monotonic() + gateway.READY_WITHIN_S
        while not self.socket.exists() or socket.socket(socket.AF_UNIX).connect_ex(str(self.socket)) != 0:
            if time.monotonic() > deadline:
                sys.exit("redis-server does not start")
            time.sleep(0.05)

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


def nodes(redis, seconds, lease, rate):
    redis.forget()
    ran = [said(process) for process in [redis.hammer(QUOTA, lease, seconds, offset, rate) for offset in OFFSETS_MS]]
    return {what: sum(run[what] for run in ran) for what in ("asked", "admitted", "calls", "degraded")} | {
        "seconds": (max(run["last_us"] for run in ran) - min(run["first_us"] for run in ran)) / 1e6}


def promise(args, redis):
    """Four processes, one key, 3.2 times the limit, clocks 5 s apart: no more than the promise, and hardly less."""
    met = []
    for lease in ("auto", "off"):
        ran = nodes(redis, args.seconds, lease, PRESSURE_PER_S)
        bound = BURST + PER_S * ran["seconds"]
        part = ran["admitted"] / bound
        print(f"leases {lease}: {ran['admitted']:,} of {bound:,.0f} in {ran['seconds']:.2f} s, {ran['asked']:,} asked,"
              f" {ran['calls']:,} calls, {ran['degraded']:,} degraded")
        met.append(record(args, f"promise-kept-leases-{lease}", round(part, 5), "0.99 to 1", 0.99 <= part <= 1,
                          unit="of the bound", **ran))
    return all(met)


def trips(args, redis):
    """Four processes, one key, 60 % of the limit, leases on."""
    ran = nodes(redis, args.seconds, "auto", PER_S * 6 // 40)
    each = ran["calls"] / ran["asked"]
    denied = ran["asked"] - ran["admitted"]
    print(f"{ran['calls']:,} calls for {ran['asked']:,} decisions, {denied:,} of them denied")
    return record(args, "round-trips-per-decision", round(each, 4), 0.05, each <= 0.05, unit="calls", denied=denied, **ran)


def denied(args, redis):
    """One process, one key, as fast as it can, far beyond its limit."""
    redis.forget()
    limit, seconds = 10, min(args.seconds, 10)
    ran = said(redis.hammer(f"{limit} per second token-bucket", "off", seconds))
    each = ran["calls"] / seconds
    print(f"{ran['asked']:,} asked, {ran['admitted']:,} admitted, {ran['calls']:,} calls in {seconds} s")
    return record(args, "calls-of-a-denied-key", round(each, 2), 2 + limit, each <= 2 + limit, unit="calls per second", **ran)


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


FIGURES = {"promise": promise, "trips": trips, "denied": denied, "scripts": scripts, "black-hole": black_hole}


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
