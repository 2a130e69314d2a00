"""An engine for containers of its own: storage, runtime and networks in a directory that goes with the tests."""

import contextlib
import os
import pathlib
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
DIST = ROOT / "target" / "dist"
IMAGE = "localhost/tollgate:latest"
# runc and cgroupfs work without systemd; the limits may not be raised where CAP_SYS_RESOURCE is missing.
SETTINGS = """[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
[network]
network_backend = "netavark"
network_config_dir = "{directory}/networks"
"""


def must_be_there(*commands):
    """Ends the run, loudly, where a tool is missing: a test of containers that is skipped promises nothing."""
    paths = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/usr/lib/podman"])
    missing = [command for command in commands if not shutil.which(command, path=paths)]
    if missing:
        sys.exit(f"not on this machine: {', '.join(missing)}; `make tools-deploy` installs what these tests need")
    if not (DIST / "SHA256SUMS").exists():
        sys.exit("there is no target/dist; `make dist` makes it")


class Engine:
    """podman with a directory of its own."""

    def __init__(self):
        must_be_there("podman", "buildah", "runc", "netavark", "aardvark-dns", "iptables", "catatonit", "podman-compose")
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="tollgate-containers-"))
        (self.directory / "containers.conf").write_text(SETTINGS.format(directory=self.directory))
        # The scripts of the project find this podman first, and no docker.
        self.bin = self.directory / "bin"
        self.bin.mkdir()
        self.driver = "overlay"
        self.write_wrappers()
        if self.run("podman", "info", check=False).returncode != 0:
            self.driver = "vfs"  # no overlay upon an overlay
            self.write_wrappers()

    def write_wrappers(self):
        for command in ("podman", "buildah"):
            where = f"--root {self.directory}/root --runroot {self.directory}/run --storage-driver {self.driver}"
            wrapper = self.bin / command
            wrapper.write_text(f'#!/bin/sh\nexec {shutil.which(command)} {where} "$@"\n')
            wrapper.chmod(0o755)
        (self.bin / "docker").write_text("#!/bin/sh\nexit 1\n")
        (self.bin / "docker").chmod(0o755)

    def environment(self, **more):
        path = os.pathsep.join([str(self.bin), os.environ["PATH"], "/usr/sbin"])
        settings = {"CONTAINERS_CONF": str(self.directory / "containers.conf"), "BUILDAH_ISOLATION": "chroot"}
        return os.environ | settings | {"PATH": path} | more

    def run(self, *command, check=True, stdin="", **environment):
        """Runs a command of this engine and answers with what it wrote."""
        done = subprocess.run(
            command, cwd=ROOT, env=self.environment(**environment), input=stdin, capture_output=True, text=True, timeout=600)
        if check and done.returncode != 0:
            raise AssertionError(f"{' '.join(map(str, command))}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def podman(self, *arguments, **options):
        return self.run("podman", *arguments, **options).stdout.strip()

    def remove_everything(self):
        """Containers, networks, volumes and images, and the directory."""
        self.run("podman", "rm", "--all", "--force", "--time", "0", check=False)
        for network in self.podman("network", "ls", "--quiet", check=False).split():
            if network != "podman":
                self.run("podman", "network", "rm", "--force", network, check=False)
        self.run("podman", "volume", "prune", "--force", check=False)
        self.run("podman", "rmi", "--all", "--force", check=False)
        shutil.rmtree(self.directory, ignore_errors=True)


def until(what, said, seconds=120):
    """Waits for something to be true and answers with it."""
    end = time.monotonic() + seconds
    while True:
        found = what()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {said}")
        time.sleep(0.05)


GIVEN = set()


def free_port():
    """A port of the loopback interface that nobody listens on, below those of outgoing connections, and given only once."""
    while True:
        port = random.randrange(10_000, 32_000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            if port not in GIVEN:
                GIVEN.add(port)
                return port


class Reply:
    """An answer: its status, header fields and text."""

    def __init__(self, answer):
        self.status, self.headers = answer.status, answer.headers
        self.text = answer.read().decode()


def ask(url, form=None, headers=()):
    """One request; a form makes it a POST. An answer of 400 and more is an answer too."""
    request = urllib.request.Request(url, data=form and form.encode(), headers=dict(headers))
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return Reply(answer)
    except urllib.error.HTTPError as refused:
        return Reply(refused)


def answers(url):
    """Whether anybody answers there at all."""
    try:
        return ask(url)
    except OSError:
        return None


def token_of(base, username="ann", password="correct-horse"):
    """Logs in, and answers with the token."""
    reply = ask(f"{base}/login", f"username={username}&password={password}")
    return re.search(r'"token":"([^"]+)"', reply.text)[1]
