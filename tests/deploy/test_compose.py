"""The compose files: right by their specification, and started as `make up` and `make bash` start them."""

import concurrent.futures
import itertools
import json
import os
import re
import shutil
import unittest

import compose_spec
import servers
import yaml
from engine import ROOT, Engine, answers, ask, free_port, token_of, until

FILES = sorted((ROOT / "deploy" / "compose").glob("*.yaml"))
ACCOUNT = "username=ann&password=correct-horse"


class Files(unittest.TestCase):
    def test_every_preset_has_a_file_and_so_has_a_cluster(self):
        examples = {file.parent.name for file in (ROOT / "examples").glob("*/tollgate.toml")}
        # What shows Envoy in front is no preset.
        self.assertEqual({file.stem for file in FILES}, examples - {"envoy"})

    def test_every_file_is_right_by_the_specification_and_a_wrong_key_is_not(self):
        def filled(text):
            """The text with the default of every variable in its place, and without anchors, which the checker knows not."""
            text = re.sub(r"\$\{\w+(?::?([-?])([^}]*))?\}", lambda found: found[2] if found[1] == "-" else "secret", text)
            return json.dumps(yaml.safe_load(text))

        for file in FILES:
            with self.subTest(file.name):
                compose_spec.PyCompose.from_yaml(filled(file.read_text()))
        with self.assertRaises(Exception):
            compose_spec.PyCompose.from_yaml(filled(FILES[0].read_text().replace("read_only:", "readonly:", 1)))

    def test_gateways_may_write_nothing_but_their_volume_and_listen_for_this_machine_alone(self):
        for file in FILES:
            text = file.read_text()
            tollgates = text.count("image: ${TOLLGATE_IMAGE:-localhost/tollgate:latest}")
            for line in ["read_only: true", 'cap_drop: ["ALL"]', 'security_opt: ["no-new-privileges"]']:
                self.assertEqual(text.count(line), tollgates, f"{file.name}: {line}")
            published = re.findall(r'ports: \["(.*)"\]', text)
            self.assertTrue(published and all(":-127.0.0.1:" in port for port in published), f"{file.name}: {published}")


class Started(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.engine = Engine()
        cls.addClassCleanup(cls.engine.remove_everything)
        cls.engine.run("scripts/containers", "image")
        for server in (servers.debian, servers.mariadb, servers.postgres, servers.redis):
            server(cls.engine)

    ports = {}

    def compose(self, preset, *command, check=True, **environment):
        settings = servers.INSTEAD | {"TOLLGATE_DB_PASSWORD": "of-this-test"} | self.ports | environment
        return self.engine.run("scripts/containers", "compose", preset, *command, check=check, **settings)

    def up(self, preset):
        """Starts a preset on free ports and answers with where its gateway is."""
        self.ports = {name: f"127.0.0.1:{free_port()}" for name in ("TOLLGATE_PUBLISH", "TOLLGATE_PUBLISH_API")}
        self.addCleanup(self.compose, preset, "down", "--volumes", "--timeout", "5")
        self.compose(preset, "up", "--detach")
        base = f"http://{self.ports['TOLLGATE_PUBLISH']}"
        until(lambda: answers(f"{base}/"), f"{preset}: {self.compose(preset, 'logs').stdout}")
        return base

    def health(self, preset, gateway="gateway"):
        """What a gateway says of itself."""
        return self.compose(preset, "exec", "-T", gateway, "/tollgate", "health", check=False).stdout.strip()

    def test_random_number_answers(self):
        base = self.up("random-number")
        self.assertEqual(ask(f"{base}/signup", ACCOUNT).status, 201)
        who = {"authorization": f"Bearer {token_of(base)}"}
        self.assertEqual(ask(f"{base}/call_api", headers=who).status, 200)

    def test_hello_by_ip_answers(self):
        base = self.up("hello-by-ip")
        token = json.loads(ask(f"{base}/get-auth-token").text)["token"]
        self.assertIn("Hello", ask(f"{base}/", headers={"authorization": f"Bearer {token}"}).text)

    def test_hourly_module_answers(self):
        base = self.up("hourly-module")
        self.assertEqual(ask(f"{base}/").text, "Hello, World!")

    def test_pages_is_two_containers_of_which_one_calls_the_other(self):
        base = self.up("pages")
        api = f"http://{self.ports['TOLLGATE_PUBLISH_API']}"
        until(lambda: answers(f"{api}/docs"), "the number API")
        self.assertEqual(ask(f"{base}/signup", ACCOUNT).status, 201)
        who = {"authorization": f"Bearer {token_of(base)}"}
        self.assertEqual(ask(f"{base}/call_api", headers=who).status, 200)

    def test_per_api_key_keeps_its_users_in_mariadb_and_tools_is_a_shell_beside_it(self):
        base = self.up("per-api-key")
        until(lambda: self.health("per-api-key") == "ready", "the database is there")
        self.assertEqual(ask(f"{base}/signup", ACCOUNT).status, 201)
        self.engine.run("scripts/containers", "tools-image", DEBIAN=servers.DEBIAN)

        def shell(command):
            return self.compose("per-api-key", "--profile", "tools", "run", "--rm", "-T", "tools", "bash", "-c", command).stdout

        self.assertIn("ann", shell("tollgate user list"))
        key = re.search(r"tg_\w+", shell("tollgate key create ann"))[0]
        self.assertEqual(ask(f"{base}/limit", headers={"x-api-key": key}).status, 200)

        def at_once(count):
            with concurrent.futures.ThreadPoolExecutor(count) as threads:
                return list(threads.map(lambda _: ask(f"{base}/limit", headers={"x-api-key": key}).status, range(count)))

        until(lambda: set(at_once(20)) == {200, 429}, "more than ten within a second")
        self.assertIn("ready", shell("tollgate health"), "the gateway's own socket, on the volume")
        self.compose("per-api-key", "restart", "gateway")
        until(lambda: answers(f"{base}/"), "it is back")
        until(lambda: ask(f"{base}/limit", headers={"x-api-key": key}).status == 200, "the key is known, its second over")

    def test_two_gateways_of_the_cluster_are_one_and_its_servers_are_healthy(self):
        self.ports = {name: f"127.0.0.1:{free_port()}" for name in ("TOLLGATE_PUBLISH_1", "TOLLGATE_PUBLISH_2")}
        self.ports["PRESET"] = "random-number"
        self.addCleanup(self.compose, "cluster", "down", "--volumes", "--timeout", "5")
        self.compose("cluster", "up", "--detach", "redis", "postgres")
        for server in ("redis", "postgres"):
            check = ["healthcheck", "run", f"tollgate-cluster_{server}_1"]
            until(lambda: self.engine.run("podman", *check, check=False).returncode == 0, server)
        policy = self.compose("cluster", "exec", "-T", "redis", "redis-cli", "config", "get", "maxmemory-policy").stdout
        self.assertIn("noeviction", policy)
        self.compose("cluster", "up", "--detach", "gateway-1", "gateway-2")
        for gateway in ("gateway-1", "gateway-2"):
            until(lambda: self.health("cluster", gateway) == "ready", gateway)
        first, second = (f"http://{self.ports[name]}" for name in ("TOLLGATE_PUBLISH_1", "TOLLGATE_PUBLISH_2"))
        users = itertools.count()

        def six_calls():
            account = f"username=user-{next(users)}&password=correct-horse"
            self.assertEqual(ask(f"{first}/signup", account).status, 201)
            # A session is in the database, and so is what signs tokens.
            login = ask(f"{second}/login", account)
            bearer = {"authorization": f"Bearer {json.loads(login.text)['token']}"}
            cookie = {"cookie": login.headers["set-cookie"].split(";")[0]}
            return [ask(f"{base}/call_api", headers=who).status for base, who in ((first, bearer), (second, cookie)) * 3]

        # A call that the store does not answer within 25 ms is decided by one gateway's share, and another user is asked.
        until(lambda: six_calls() == [200] * 5 + [403], "five a minute, whichever of them is asked")

    def test_make_up_starts_it_make_bash_is_a_shell_beside_it_and_make_down_stops_it(self):
        listen = f"127.0.0.1:{free_port()}"
        # The binary is built already: `true` stands for cargo.
        make = ["make", "--no-print-directory", "CARGO=true", "PRESET=hourly-module", f"LISTEN={listen}", "DATA=target/none"]
        self.addCleanup(self.compose, "hourly-module", "down", "--volumes", TOLLGATE_PUBLISH=listen)
        self.assertIn("hourly-module runs in containers", self.engine.run(*make, "up").stdout)
        self.assertEqual(until(lambda: answers(f"http://{listen}/"), "it answers").text, "Hello, World!")
        shell = self.engine.run(*make, "bash", stdin="tollgate health; id -u", DEBIAN=servers.DEBIAN)
        self.assertEqual(shell.stdout.split(), ["ready", "65532"], shell.stderr)
        self.engine.run(*make, "down")
        self.assertIsNone(answers(f"http://{listen}/"))

    def test_with_an_upstream_on_this_machine_make_up_starts_a_process_and_make_down_stops_that(self):
        data, listen = self.engine.directory / "process", f"127.0.0.1:{free_port()}"
        make = ["make", "--no-print-directory", "CARGO=true", "PRESET=hourly-module", f"DATA={data}"]
        up = [*make, "up", f"LISTEN={listen}", "UPSTREAM=http://127.0.0.1:1"]
        binary = {"TOLLGATE": "target/dist/image/tollgate"}
        self.addCleanup(self.engine.run, *make, "down", check=False)
        self.assertIn(f"listens on http://{listen}", self.engine.run(*up, **binary).stdout)
        self.assertEqual(ask(f"http://{listen}/").text, "Hello, World!")
        again = self.engine.run(*up, check=False, **binary)
        self.assertIn("one is running", again.stdout)
        self.assertEqual(self.engine.run(*make, "bash", stdin="echo $TOLLGATE_DATA").stdout.strip(), str(data))
        self.assertEqual(self.engine.run(*make, "down").stdout.strip(), "stopped")
        until(lambda: answers(f"http://{listen}/") is None, "it has ended")

    def test_without_an_engine_that_is_said_and_make_bash_is_a_shell_of_this_machine(self):
        (self.engine.bin / "podman").rename(self.engine.bin / "podman-hidden")
        self.addCleanup((self.engine.bin / "podman-hidden").rename, self.engine.bin / "podman")
        alone = self.engine.directory / "alone"
        alone.mkdir()
        for command in ("bash", "dirname", "env", "make", "sed", "sh"):
            (alone / command).symlink_to(shutil.which(command))
        path = os.pathsep.join([str(self.engine.bin), str(alone)])
        done = self.engine.run("scripts/containers", "compose", "hourly-module", "up", check=False, PATH=path)
        self.assertEqual(done.returncode, 3)
        self.assertIn("there is no container engine", done.stderr)
        shell = self.engine.run("make", "--no-print-directory", "bash", "DATA=here", stdin="echo $TOLLGATE_DATA", PATH=path)
        self.assertEqual(shell.stdout.strip(), str(ROOT / "here"))


if __name__ == "__main__":
    unittest.main()
