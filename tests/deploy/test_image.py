"""The image: built, started, asked, stopped and started again."""

import contextlib
import json
import os
import pathlib
import socketserver
import threading
import time
import unittest

from engine import IMAGE, ROOT, Engine, answers, ask, free_port, token_of, until

# What the engine may not be asked to relax.
STRICT = ["--read-only", "--cap-drop=all", "--security-opt=no-new-privileges"]
IMAGE_BYTES_MAX = 25 * 1000 * 1000
ACCOUNT = "username=ann&password=correct-horse"


class Image(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.engine = Engine()
        cls.addClassCleanup(cls.engine.remove_everything)
        cls.engine.run("scripts/containers", "image")

    def start(self, *options, volume, command=()):
        """Starts a container with its port published, and answers with its name and address."""
        options = ["--publish=127.0.0.1::8000", f"--volume={volume}:/data", *STRICT, *options]
        name = self.engine.podman("run", "--detach", *options, IMAGE, *command)
        self.addCleanup(self.engine.podman, "rm", "--force", "--time=0", name, check=False)
        port = self.engine.podman("port", name, "8000/tcp").rsplit(":", 1)[1]
        base = f"http://127.0.0.1:{port}"
        until(lambda: answers(f"{base}/docs/"), self.engine.podman("logs", name, check=False))
        return name, base

    def stop(self, name):
        """Stops it as an engine does, and answers with how long that took and its exit code."""
        begun = time.monotonic()
        self.engine.podman("stop", "--time=120", name)
        took = time.monotonic() - begun
        return took, int(self.engine.podman("inspect", "--format={{.State.ExitCode}}", name))

    def test_a_container_is_the_number_api_behind_accounts_and_the_sixth_call_is_403(self):
        _, base = self.start(volume="numbers")
        self.assertEqual(ask(f"{base}/signup", ACCOUNT).status, 201)
        who = {"authorization": f"Bearer {token_of(base)}"}
        statuses = [ask(f"{base}/call_api", headers=who).status for _ in range(6)]
        self.assertEqual(statuses, [200] * 5 + [403])
        left = json.loads(ask(f"{base}/see_remaining_limits", headers=who).text)
        self.assertEqual((left["minute"]["remaining"], left["hour"]["remaining"]), (0, 295))

    def test_accounts_tokens_and_counters_survive_a_container_on_its_volume(self):
        name, base = self.start(volume="kept")
        ask(f"{base}/signup", ACCOUNT)
        who = {"authorization": f"Bearer {token_of(base)}"}
        self.assertEqual(ask(f"{base}/call_api", headers=who).status, 200)
        self.stop(name)
        self.engine.podman("rm", name)
        _, base = self.start(volume="kept")
        left = json.loads(ask(f"{base}/see_remaining_limits", headers=who).text)
        self.assertEqual(left["hour"]["remaining"], 299)

    def test_it_ends_at_sigterm_when_idle_as_process_1_of_a_numeric_user(self):
        name, _ = self.start(volume="idle")
        self.assertEqual(self.engine.podman("inspect", "--format={{.Config.User}}", name), "65532:65532")
        pid = self.engine.podman("inspect", "--format={{.State.Pid}}", name)
        status = dict(line.split(":\t", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())
        self.assertEqual((status["NSpid"].split()[-1], set(status["Uid"].split())), ("1", {"65532"}))
        took, code = self.stop(name)
        self.assertEqual(code, 0)
        self.assertLess(took, 10, "it waits for nobody: for requests it would, for ten seconds")

    def test_health_is_healthy_while_it_runs(self):
        name, _ = self.start(volume="health")
        check = ("podman", "healthcheck", "run", name)
        until(lambda: self.engine.run(*check, check=False).returncode == 0, "healthy")
        self.assertEqual(self.engine.podman("exec", name, "/tollgate", "health"), "ready")

    def test_a_stop_waits_for_the_answer_that_is_on_its_way(self):
        asked, go_on = threading.Event(), threading.Event()

        class Slow(socketserver.StreamRequestHandler):
            def handle(self):
                while self.rfile.readline().strip():
                    pass
                asked.set()
                go_on.wait(120)
                self.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nlate")

        with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Slow) as upstream, contextlib.ExitStack() as ended:
            threading.Thread(target=upstream.serve_forever, daemon=True).start()
            ended.callback(upstream.shutdown)
            # In the host's network, since the upstream listens on the host's loopback.
            listen, there = f"127.0.0.1:{free_port()}", f"http://127.0.0.1:{upstream.server_address[1]}"
            rules = self.engine.directory / "slow.toml"
            rules.write_text(f'[server]\nlisten = "{listen}"\ndrain_timeout_s = 3600\n'
                             f'[[routes]]\nmatch = "/{{*rest}}"\nlimits = ["9 per minute by client-ip"]\nupstream = "{there}"\n')
            mounted = f"--volume={rules}:/etc/tollgate/tollgate.toml:ro"
            name = self.engine.podman(
                "run", "--detach", "--network=host", *STRICT, mounted, "--volume=slow:/data", IMAGE, "serve", f"--listen={listen}")
            self.addCleanup(self.engine.podman, "rm", "--force", "--time=0", name, check=False)
            until(lambda: self.engine.run("podman", "exec", name, "/tollgate", "health", check=False).returncode == 0, "ready")
            replies, stops = [], []
            request = threading.Thread(target=lambda: replies.append(ask(f"http://{listen}/")))
            request.start()
            self.assertTrue(asked.wait(120), self.engine.podman("logs", name))
            stop = threading.Thread(target=lambda: stops.append(self.stop(name)))
            stop.start()
            until(lambda: "stopping" in self.engine.run("podman", "logs", name).stderr, "it has heard of the stop")
            self.assertEqual((replies, stops), ([], []), "it waits")
            go_on.set()
            request.join(120)
            stop.join(120)
        self.assertEqual([(reply.status, reply.text) for reply in replies], [(200, "late")])
        self.assertEqual([code for _, code in stops], [0])

    def test_rules_of_ones_own_are_mounted_and_another_preset_is_a_variable(self):
        rules = self.engine.directory / "tollgate.toml"
        rules.write_text('[server]\nlisten = "127.0.0.1:1"\n[[routes]]\nmatch = "GET /{*rest}"\nrespond = { text = "mine" }\n')
        _, base = self.start(f"--volume={rules}:/etc/tollgate/tollgate.toml:ro", volume="mine")
        self.assertEqual(ask(f"{base}/").text, "mine")
        _, base = self.start("--env=TOLLGATE_PRESET=hourly-module", volume="preset")
        self.assertEqual(ask(f"{base}/").text, "Hello, World!")

    def test_gateways_that_are_given_one_token_secret_take_each_others_tokens(self):
        secret = self.engine.directory / "token.secret"
        secret.write_bytes(bytes(range(32)))
        # For the user of the image alone to read, and as part of a volume, as a cluster mounts it.
        os.chown(secret, 65532, 65532)
        secret.chmod(0o400)
        options = [f"--volume={secret}:/data/token.secret:ro", "--env=TOLLGATE_PRESET=hello-by-ip"]
        _, one = self.start(*options, volume="one")
        _, other = self.start(*options, volume="other")
        _, stranger = self.start(options[1], volume="stranger")
        who = {"authorization": f"Bearer {json.loads(ask(f'{one}/get-auth-token').text)['token']}"}
        self.assertEqual([ask(f"{base}/", headers=who).status for base in (one, other, stranger)], [200, 200, 401])

    def test_it_is_small_and_holds_the_binary_and_licences_and_no_shell(self):
        size = int(self.engine.podman("image", "inspect", "--format={{.Size}}", IMAGE))
        self.assertLessEqual(size, IMAGE_BYTES_MAX)
        mounted = self.engine.podman("image", "mount", IMAGE)
        self.addCleanup(self.engine.podman, "image", "unmount", IMAGE)
        found = self.engine.run("find", mounted, "-type", "f", "-printf", "%P\n").stdout.split()
        licences = ["LICENSE", "LICENSE-APACHE", "LICENSE-MIT", "THIRD-PARTY-LICENCES"]
        self.assertEqual(sorted(found), sorted(["tollgate", *(f"licences/{name}" for name in licences)]))

    def test_the_image_from_sources_is_set_up_like_the_other(self):
        def set_up(file):
            lines = (ROOT / "deploy" / file).read_text().split("FROM scratch")[1].splitlines()
            return [line for line in lines if line and not line.startswith(("#", "COPY"))]

        self.assertEqual(set_up("Containerfile.source"), set_up("Containerfile"))


if __name__ == "__main__":
    unittest.main()
