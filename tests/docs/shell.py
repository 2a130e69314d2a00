"""Runs commands of a page as they stand there: in a directory of their own, on free ports, with `tollgate` on the path."""

import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from pages import ROOT

BINARY = pathlib.Path(os.environ.get("TOLLGATE", ROOT / "target/debug/tollgate")).resolve()
SERVES = re.compile(r"(make run\b|(target/release/)?tollgate serve\b)")
PATIENCE_S = 120


def free_ports(count):
    """Ports that nobody listens on, all different."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Shell:
    """A directory, and what was started in it. `close` ends all of it."""

    def __init__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="docs-"))
        for place in ["bin", "target/release"]:
            (self.directory / place).mkdir(parents=True)
            (self.directory / place / "tollgate").symlink_to(BINARY)
        self.ports = {}
        self.started = []

    def close(self):
        for server in self.started:
            if server.poll() is None:
                os.killpg(server.pid, signal.SIGTERM)
            server.wait(PATIENCE_S)
        shutil.rmtree(self.directory)

    def placed(self, command):
        """The same on ports that are free; one port of the page is one port here, in all of its commands."""
        known = {"0", *self.ports, *self.ports.values()}
        new = sorted(set(re.findall(r"127\.0\.0\.1:(\d+)", command)) - known)
        self.ports.update(zip(new, map(str, free_ports(len(new)))))
        for port, here in self.ports.items():
            command = re.sub(rf"(?<!\d){port}(?!\d)", here, command)
        return command

    def environment(self):
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TOLLGATE")}
        return kept | {"PATH": f"{self.directory}/bin:{os.environ['PATH']}"}

    def serve(self, command):
        """Starts a server, and waits until it listens wherever its command says."""
        command = re.sub(r"\s+#.*$", "", command).rstrip("& ")
        if command.startswith("make run"):
            words = dict(re.findall(r"(PRESET|LISTEN)=(\S+)", command))
            command = f"tollgate serve --preset {words.get('PRESET', 'random-number')} " + (
                f"--listen {words['LISTEN']}" if "LISTEN" in words else "")
        rules = re.search(r"--rules (\S+)", command)
        if rules:
            rules = self.directory / rules[1]
            rules.write_text(self.placed(rules.read_text()))
        elif not re.search(r"--(listen|resp|http|grpc)", command):
            command += " --listen 127.0.0.1:8000"
        if "--preset pages" in command:
            # The preset's own port for the number API may be somebody's.
            command += " --upstream demo:random"
        command = self.placed(command)
        path = self.directory / f"server-{len(self.started)}.log"
        with path.open("w") as log:
            server = subprocess.Popen(["bash", "-c", f"exec {command}"], cwd=self.directory, env=self.environment(),
                                      start_new_session=True, stdout=log, stderr=subprocess.STDOUT)
        self.started.append(server)
        meant = re.findall(r"--(?:listen|resp|http|grpc) 127\.0\.0\.1:(\d+)", command)
        if rules:
            meant += re.findall(r'(?:listen|resp|http|grpc) = "127\.0\.0\.1:(\d+)"', rules.read_text())
        data = re.search(r"--data (\S+)", command)
        health = [str(BINARY), "health", "--data", data[1] if data else "tollgate-data"]

        def is_ready():
            return subprocess.run(health, cwd=self.directory, env=self.environment(), capture_output=True).returncode == 0

        end = time.monotonic() + PATIENCE_S
        while not (all(listens(int(port)) for port in meant) and is_ready()):
            assert server.poll() is None and time.monotonic() < end, f"{command}: {path.read_text()}"
            time.sleep(0.05)

    def run(self, commands):
        """Runs commands in one shell, and answers with what they wrote. Fails if the last one does."""
        done = subprocess.run(["bash", "-c", self.placed(commands)], cwd=self.directory, env=self.environment(),
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120)
        wrote = done.stdout.decode(errors="replace")
        assert done.returncode == 0, f"{commands}\nended with {done.returncode}:\n{wrote}"
        return wrote

    def type(self, block):
        """A block of commands: those that serve go on in the background, the others run between them."""
        wrote, waiting = "", []
        for line in block.replace("\\\n", "").splitlines():
            if SERVES.match(line):
                wrote += self.run("\n".join(waiting)) if waiting else ""
                waiting = []
                self.serve(line)
            else:
                waiting.append(line)
        return wrote + (self.run("\n".join(waiting)) if waiting else "")
