#!/usr/bin/env python3
"""What a decision costs a Redis server, beside a token bucket in the fewest lines of Lua.

Both run on one server in turns; what counts is the processor time that the server took for each call, from /proc, and
the median of the ratios of all rounds. Keys are a hundred thousand, at random.
Results are added to bench/results/scripts.jsonl.
"""

import argparse
import datetime
import json
import os
import pathlib
import random
import socket
import statistics
import subprocess
import tempfile
import time

HERE = pathlib.Path(__file__).parent
SCRIPTS = HERE.parent / "crates/tollgate-redis/src/scripts"
MORE = "\n-- more\n"

# A bucket that refills by one unit in `interval` microseconds: the least that a script for it can do.
LEAST = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval, burst, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local full_at = tonumber(redis.call('GET', KEYS[1]) or now)
if full_at < now then full_at = now end
local after = full_at + interval * cost
local excess = after - now - interval * burst
if excess > 0 then return { 0, excess } end
redis.call('SET', KEYS[1], string.format('%.0f', after), 'PX', math.ceil((after - now) / 1000))
return { 1, math.floor((interval * burst - (after - now)) / interval) }
"""


def decide(*algorithms):
    """The script that decides under these algorithms, put together as src/scripts.rs does."""
    parts = [(SCRIPTS / f"{name}.lua").read_text().split(MORE, 1) for name in ("prelude", *algorithms)]
    rest = [(SCRIPTS / f"{name}.lua").read_text() for name in ("cells", "ask", "decide")]
    plain = (SCRIPTS / "plain.lua").read_text()
    return "".join(short for short, _ in parts) + plain + "".join(long for _, long in parts) + "".join(rest)


class Server:
    def __init__(self, directory):
        self.socket = f"{directory}/redis.sock"
        arguments = ["--port", "0", "--unixsocket", self.socket, "--save", "", "--dir", directory]
        self.process = subprocess.Popen(["redis-server", *arguments], stdout=subprocess.DEVNULL)
        while self.cli("PING") != "PONG":
            time.sleep(0.05)

    def cli(self, *words, text=None):
        command = ["redis-cli", "-s", self.socket, *(["-x"] if text else []), *words]
        return subprocess.run(command, input=text, capture_output=True, text=True).stdout.strip()

    def load(self, text):
        sha = self.cli("SCRIPT", "LOAD", text=text)
        assert len(sha) == 40, sha
        return sha

    def cpu(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def micros_each(self, calls, pipeline, words):
        """Processor time of the server for each call, in microseconds, over eight connections."""
        batches = [b"".join(command(words) for _ in range(pipeline)) for _ in range(64)]
        connections = [socket.socket(socket.AF_UNIX) for _ in range(8)]
        for connection in connections:
            connection.connect(self.socket)
        before, sent = self.cpu(), 0
        while sent < calls:
            for connection in connections:
                connection.sendall(random.choice(batches))
            for connection in connections:
                replies = 0
                while replies < pipeline:
                    replies += connection.recv(1 << 16).count(END)
            sent += pipeline * len(connections)
        used = self.cpu() - before
        for connection in connections:
            connection.close()
        return used / sent * 1e6


# Every reply of a script begins with an array of so many.
END = b"*"


def command(words):
    who = str(random.randrange(100_000)).encode()
    words = [word if isinstance(word, bytes) else word.encode() for word in words]
    words = [word.replace(b"__who__", who) for word in words]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


def bucket(burst, refill, price):
    """Head and numbers of a cell, as src/question.rs writes them, for one unit."""
    numbers = b"".join(number.to_bytes(7, "big") for number in (0, 1, burst, refill, price, 1))
    return [f"t {burst} {refill} {price} 1|v0|".encode(), numbers]


def cases(server):
    least, ours = server.load(LEAST), server.load(decide("token_bucket"))
    key = "tollgate:1:{}:{{__who__}}"
    one, other = bucket(1_000_000, 1, 100_000), bucket(300, 1, 12_000_000)
    single = ["evalsha", ours, "1", key.format("second"), "", *one]
    both = ["evalsha", ours, "2", key.format("second"), key.format("hour"), "", *one, *other]
    smallest = ["evalsha", least, "1", "least:__who__", "100000", "1000000", "1"]
    return [
        ("one-bucket", 1.3, single, smallest, 1),
        ("two-in-one-call", 0.7, both, single, 2),
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--calls", type=int, default=100_000)
    parser.add_argument("--pipeline", type=int, default=16)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        server = Server(directory)
        try:
            for name, bar, words, beside, times in cases(server):
                rounds = []
                for _ in range(asked.rounds):
                    mine = server.micros_each(asked.calls, asked.pipeline, words)
                    theirs = server.micros_each(asked.calls, asked.pipeline, beside) * times
                    rounds.append((mine / theirs, mine, theirs))
                ratio, mine, theirs = (statistics.median(column) for column in zip(*rounds))
                result = {
                    "at": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
                    "case": name, "pipeline": asked.pipeline, "ratio": round(ratio, 3), "bar": bar,
                    "micros": round(mine, 2), "beside_micros": round(theirs, 2), "rounds": asked.rounds,
                }
                print(json.dumps(result))
                with open(HERE / "results/scripts.jsonl", "a") as results:
                    results.write(json.dumps(result) + "\n")
        finally:
            server.process.kill()
            server.process.wait()


if __name__ == "__main__":
    main()
