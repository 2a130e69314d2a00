#!/usr/bin/env python3
"""How long it takes from the start of the binary to its first answered request: the preset `random-number`, once with a
new data directory (its database, its secret and its tables of counters are made) and once with the one that is there.

A request is a connection that is tried until it is answered, from the moment at which the process is started; what is
asked for is `GET /` of the preset, which is a page. Both kinds take turns.

    bench/start.py

Needs `cargo build --release -p tollgate-cli`.
"""

import contextlib, http.client, os, pathlib, statistics, subprocess, sys, tempfile, time

import gateway
from gateway import free_ports, record, spread

gateway.RESULTS = gateway.ROOT / "bench" / "results" / "start.jsonl"
BAR_MS = 100
GIVE_UP_S = 10


def first_answer_ms(tollgate, data):
    """From the start of a process to the first answer, and ends it."""
    port = free_ports(1)[0]
    command = [tollgate, "serve", "--preset", "random-number", "--listen", f"127.0.0.1:{port}", "--data", data]
    begin = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            while not answered(port):
                if process.poll() is not None or time.monotonic() - begin > GIVE_UP_S:
                    sys.exit("it does not start")
            return (time.monotonic() - begin) * 1000
        finally:
            process.terminate()
            process.wait(20)


def answered(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=GIVE_UP_S)
    with contextlib.closing(connection):
        try:
            connection.request("GET", "/")
            return connection.getresponse().status == 200
        except OSError:
            return False


def main():
    args = gateway.arguments(__doc__, rounds=20, seconds=0)
    with tempfile.TemporaryDirectory(prefix="tollgate-bench-") as directory:
        rounds = []
        for number in range(args.rounds):
            data = pathlib.Path(directory) / str(number)
            rounds.append({kind: first_answer_ms(args.tollgate, data) for kind in ("new", "again")})
    met = []
    for kind in ("new", "again"):
        took = [each[kind] for each in rounds]
        print(f"{kind}: {spread(took, 1)} ms")
        median = round(statistics.median(took), 1)
        record(args, f"start-{kind}", median, BAR_MS, max(took) <= BAR_MS, unit="ms",
               low=round(min(took), 1), high=round(max(took), 1), rounds=len(took))
        met.append(max(took) <= BAR_MS)
    sys.exit(0 if all(met) else 1)


if __name__ == "__main__":
    main()
