#!/usr/bin/env python3
"""What wrong log-ins do to everybody else: p99 of other traffic beside its p99 in quiet, in one run.

Other traffic is wrk with 8 connections that pause between requests, so that its latency is not a queue of its own
making, on an API-key route that is proxied; its client has priority, as if it had a machine of its own. The log-ins
are 1,000 connections that post a wrong password at the same moment, each for a name and from an address of its own, so
that no limit on guessing spares the gateway a hash; their client has the lowest priority. In each round these take
turns, and a ratio is the median over the rounds' own:

    quiet       other traffic alone
    harmless    beside it the same 1,000 requests at one moment, to a path that is answered 404: what connections cost,
                and the client that makes them
    elsewhere   the same, and beside it a process of the lowest priority that hashes (scrypt, 16 MiB) for as long as the
                gateway did in the burst before: what such work costs on this machine wherever it is done
    burst       1,000 log-ins at one moment
    sustained   the same every second

What a log-in costs beside its hash is measured before all that, in CPU time of the gateway's threads but those that
hash, beside the same for a 404.

    bench/logins.py

Needs nginx, wrk, two cores, and `cargo build --release -p tollgate-cli`. As root, wrk gets its priority.
"""

import asyncio, collections, contextlib, hashlib, json, multiprocessing, os, statistics, subprocess, sys, time

import gateway
from gateway import Bench, held_by, record, spread

gateway.RESULTS = gateway.ROOT / "bench" / "results" / "logins.jsonl"
gateway.RULES = """
[server]
listen = "127.0.0.1:%(tollgate)d"
trusted_proxies = ["127.0.0.1/32"]

[[routes]]
match = "POST /login"
builtin = "login"
"""
CONNECTIONS, PAUSE_MS = 8, 5
BURST, EVERY_S = 1000, 1.0
BAR = 1.2
LOGIN, NOTHING = "/login", "/nothing"
# How long the burst's hashes take, until one has been seen; and bursts that the costs are measured with.
HASHED_S, COST_BURSTS = 0.7, 5
# Argon2id as the gateway has it, for each core, and room for what else is going on.
MEMORY_GROWTH_MAX_KIB = 19 * 1024 * (os.cpu_count() or 1) + 32 * 1024
WRK_SCRIPT = """
local keys, requests, turn = { %s }, {}, 0
function init()
  for i, key in ipairs(keys) do wrk.headers["X-Api-Key"] = key requests[i] = wrk.format() end
end
function delay() return %d end
function request() turn = turn %% #requests + 1 return requests[turn] end
function done(s, latency)
  local e = s.errors
  print(string.format('{"requests":%%d,"p50":%%d,"p99":%%d,"broken":%%d}', s.requests, latency:percentile(50),
    latency:percentile(99), e.status + e.connect + e.read + e.write + e.timeout))
end
"""


def step_forward():
    with contextlib.suppress(PermissionError):
        os.nice(-15)


def others(bench, seconds):
    """Latency of everybody else, in microseconds."""
    script = bench.dir / "others.lua"
    script.write_text(WRK_SCRIPT % (", ".join(f'"{key}"' for key in bench.keys), PAUSE_MS))
    url = f"http://127.0.0.1:{bench.ports['tollgate']}/limit"
    done = subprocess.run(["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", str(script), url], text=True,
                          check=True, capture_output=True, timeout=seconds + 30, preexec_fn=step_forward)
    return json.loads(next(line for line in done.stdout.splitlines() if line.startswith("{")))


def cpu_by_thread(pid):
    """CPU time of a process's threads in seconds, by name."""
    used = collections.Counter()
    for task in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{task}/comm") as name:
            with open(f"/proc/{pid}/task/{task}/schedstat") as stat:
                used[name.read().strip()] += int(stat.read().split()[0]) / 1e9
    return used


def hash_elsewhere(seconds):
    os.nice(19)
    while time.process_time() < seconds:
        hashlib.scrypt(b"wrong password", salt=b"salt", n=2**14, r=8, p=1, maxmem=64 << 20)


async def one(port, path, number, answers):
    body = json.dumps({"username": f"nobody{number}", "password": "wrong password"})
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        writer.write((f"POST {path} HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: {address}\r\nConnection: close\r\n"
                      f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}").encode())
        status = (await reader.readline()).split()[1].decode()
        await reader.read()
        writer.close()
    except (OSError, IndexError) as error:
        status = type(error).__name__
    answers[status] += 1


async def bursts(port, path, count, first):
    answers = collections.Counter()
    for number in range(count):
        began = time.monotonic()
        first += BURST
        await asyncio.gather(*(one(port, path, first + place, answers) for place in range(BURST)))
        if number + 1 < count:
            await asyncio.sleep(max(0, EVERY_S - (time.monotonic() - began)))
    return answers


def attack(port, path, count, first, out):
    os.nice(19)
    out.put(asyncio.run(bursts(port, path, count, first)))


class Turn:
    """Other traffic beside so many bursts, and how these were answered; `hash_s` is spent on hashes elsewhere."""

    def __init__(self, bench, seconds, count, first, path=LOGIN, hash_s=0):
        pid, out = bench.processes["tollgate"].pid, multiprocessing.Queue()
        hashed = cpu_by_thread(pid)["hashing"]
        attacker = multiprocessing.Process(target=attack, args=(bench.ports["tollgate"], path, count, first, out))
        hasher = multiprocessing.Process(target=hash_elsewhere, args=(hash_s,))
        attacker.start()
        hasher.start()
        self.others = others(bench, seconds)
        self.rss_kib, _ = held_by(pid)
        self.answers = out.get(timeout=60)
        attacker.join()
        hasher.join()
        self.hashed_s = cpu_by_thread(pid)["hashing"] - hashed


def cost_us(bench, path, first):
    """CPU time of the gateway for each request of some bursts, without that of its hashes."""
    pid = bench.processes["tollgate"].pid
    before = cpu_by_thread(pid)
    for number in range(COST_BURSTS):
        asyncio.run(bursts(bench.ports["tollgate"], path, 1, first + number * BURST))
    spent = cpu_by_thread(pid) - before
    return sum(seconds for name, seconds in spent.items() if name != "hashing") * 1e6 / (COST_BURSTS * BURST)


def main():
    args = gateway.arguments(__doc__, rounds=9, seconds=6)
    quotas = [("token-bucket", "token-bucket", "1000000 per second", "/limit")]
    with contextlib.ExitStack() as stack:
        bench = Bench(stack, args.tollgate, quotas)
        pid = bench.processes["tollgate"].pid
        for task in os.listdir(f"/proc/{pid}/task"):
            os.sched_setaffinity(int(task), range(os.cpu_count()))
        names = iter(range(0, 1 << 24, BURST * (args.seconds + COST_BURSTS)))
        # Both once before they are measured: tables grow, threads start.
        for path in (LOGIN, NOTHING):
            cost_us(bench, path, next(names))
        costs = {path: cost_us(bench, path, next(names)) for path in (LOGIN, NOTHING)}
        rounds, hashed_s = [], HASHED_S
        for number in range(args.rounds):
            turn = lambda count, **more: Turn(bench, args.seconds, count, next(names), **more)
            ran = {"quiet": turn(0), "harmless": turn(1, path=NOTHING),
                   "elsewhere": turn(1, path=NOTHING, hash_s=hashed_s), "burst": turn(1), "sustained": turn(args.seconds)}
            hashed_s = ran["burst"].hashed_s
            rounds.append(ran)
            shown = "  ".join(f"{name} p50 {each.others['p50']} p99 {each.others['p99']} us {each.rss_kib} KiB"
                              f" {dict(each.answers) or ''}" for name, each in ran.items())
            print(f"round {number:2}: {shown}, hashed for {hashed_s:.2f} s", flush=True)
    warm, rounds = rounds[0], rounds[1:]
    broken = sum(each.others["broken"] for ran in rounds for each in ran.values())
    growth = max(each.rss_kib for ran in rounds for each in ran.values()) - warm["quiet"].rss_kib
    quiet = [ran["quiet"].others["p99"] for ran in rounds]
    met = [record(args, "logins-memory-growth", growth, MEMORY_GROWTH_MAX_KIB, growth <= MEMORY_GROWTH_MAX_KIB, unit="KiB")]
    record(args, "logins-cpu-beside-404", round(costs[LOGIN] / costs[NOTHING], 3), None, None, unit="times a 404",
           us=round(costs[LOGIN], 1), beside_us=round(costs[NOTHING], 1), bursts=COST_BURSTS)
    for name, bar in (("harmless", None), ("elsewhere", None), ("burst", BAR), ("sustained", None)):
        p99 = [ran[name].others["p99"] for ran in rounds]
        ratios = [loud / still for loud, still in zip(p99, quiet)]
        answers = dict(sum((ran[name].answers for ran in rounds), collections.Counter()))
        print(f"{name}: p99 quiet {spread(quiet, 0)} us, then {spread(p99, 0)} us, ratio {spread(ratios)}; {answers}")
        ratio = round(statistics.median(ratios), 3)
        # Without a bar there is nothing to meet, but errors fail a run all the same.
        verdict = broken == 0 and ratio <= bar if bar else None
        record(args, f"logins-{name}-p99-of-others", ratio, bar, verdict,
               unit="times quiet", low=round(min(ratios), 3), high=round(max(ratios), 3),
               quiet_us=statistics.median(quiet), us=statistics.median(p99), socket_errors=broken,
               rounds=len(ratios), seconds=args.seconds, answers=answers)
        met.append(broken == 0 if verdict is None else verdict)
    sys.exit(0 if all(met) else 1)


if __name__ == "__main__":
    main()
