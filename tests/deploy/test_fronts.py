"""nginx and Caddy in front, as deploy/ has them: TLS ends there, and the gateway still knows who asks."""

import contextlib
import http.client
import pathlib
import shutil
import ssl
import subprocess
import tempfile
import unittest

from engine import DIST, ROOT, free_port, must_be_there, until

RULES = """[server]
trusted_proxies = ["127.0.0.1/32"]
[accounts]
[[routes]]
match = ["GET /signup", "POST /signup"]
builtin = "signup"
[[routes]]
match = ["GET /login", "POST /login"]
builtin = "login"
[[routes]]
match = "GET /once"
limits = ["1 per minute by client-ip"]
respond = { text = "once" }
"""
FORM = {"content-type": "application/x-www-form-urlencoded"}
ACCOUNT = "username=ann&password=correct-horse"


class Fronts(unittest.TestCase):
    def setUp(self):
        must_be_there("nginx", "caddy", "openssl")
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tollgate-fronts-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.ended = contextlib.ExitStack()
        self.addCleanup(self.ended.close)
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1",
             "-subj", "/CN=api.example.com", "-addext", "subjectAltName=DNS:api.example.com,IP:127.0.0.1",
             "-keyout", "privkey.pem", "-out", "fullchain.pem"], cwd=self.folder, check=True, capture_output=True)
        self.behind, self.port = free_port(), free_port()
        (self.folder / "tollgate.toml").write_text(RULES)
        gateway = next(DIST.glob("tollgate-*/tollgate"))
        self.start([gateway, "serve", "--listen", f"127.0.0.1:{self.behind}"])

    def start(self, command):
        process = subprocess.Popen(command, cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.ended.callback(process.wait)
        self.ended.callback(process.terminate)

    def ask(self, method, path, body=None, headers=None, source="127.0.0.1"):
        """One request over TLS, from an address of the loopback network."""
        trust = ssl.create_default_context(cafile=self.folder / "fullchain.pem")
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self.port, context=trust, source_address=(source, 0), timeout=10)
        with contextlib.closing(connection):
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            answer.text = answer.read().decode()
            return answer

    def is_up(self):
        try:
            return self.ask("GET", "/login").status == 200
        except OSError:
            return False

    def assert_the_gateway_knows_who_asks(self):
        until(self.is_up, "it answers")
        self.assertEqual(self.ask("POST", "/signup", ACCOUNT, FORM).status, 201)
        cookie = self.ask("POST", "/login", ACCOUNT, FORM).getheader("set-cookie")
        self.assertIn("Secure", cookie, "the client came by https")
        forged = {"x-forwarded-for": "192.0.2.7"}
        self.assertEqual(self.ask("GET", "/once", source="127.0.0.2").status, 200)
        self.assertEqual(self.ask("GET", "/once", source="127.0.0.2", headers=forged).status, 429, "nobody is believed")
        self.assertEqual(self.ask("GET", "/once", source="127.0.0.3").status, 200, "another client")

    def test_behind_nginx_clients_are_told_apart_and_cannot_say_who_they_are(self):
        site = (ROOT / "deploy" / "nginx" / "tollgate.conf").read_text()
        for ours, here in [("127.0.0.1:8000;", f"127.0.0.1:{self.behind};"), ("listen 443 ssl;", f"listen 127.0.0.1:{self.port} ssl;"),
                           ("/etc/ssl/tollgate", str(self.folder))]:
            self.assertIn(ours, site)
            site = site.replace(ours, here)
        temporary = "".join(f"{kind}_temp_path {self.folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        (self.folder / "nginx.conf").write_text(
            f"daemon off; pid {self.folder}/pid; error_log {self.folder}/error.log;\nevents {{}}\n"
            f"http {{ access_log off;\n{temporary}{site} }}\n")
        nginx = [shutil.which("nginx", path="/usr/sbin:/usr/bin"), "-c", self.folder / "nginx.conf"]
        tested = subprocess.run([*nginx, "-t"], capture_output=True, text=True)
        self.assertEqual(tested.returncode, 0, tested.stderr)
        self.assertNotIn("warn", tested.stderr)
        self.start(nginx)
        self.assert_the_gateway_knows_who_asks()

    def test_behind_caddy_clients_are_told_apart_and_cannot_say_who_they_are(self):
        ours = ROOT / "deploy" / "caddy" / "Caddyfile"
        validated = subprocess.run(["caddy", "validate", "--adapter=caddyfile", "--config", ours], capture_output=True, text=True)
        self.assertEqual(validated.returncode, 0, validated.stderr)
        site = ours.read_text()
        tls = f"tls {self.folder}/fullchain.pem {self.folder}/privkey.pem"
        for there, here in [("api.example.com {", f"https://127.0.0.1:{self.port} {{\n{tls}"),
                            ("reverse_proxy 127.0.0.1:8000", f"reverse_proxy 127.0.0.1:{self.behind}")]:
            self.assertIn(there, site)
            site = site.replace(there, here)
        (self.folder / "Caddyfile").write_text("{\nadmin off\nauto_https disable_redirects\n}\n" + site)
        self.start(["caddy", "run", "--adapter=caddyfile", "--config", self.folder / "Caddyfile"])
        self.assert_the_gateway_knows_who_asks()


class Migrating(unittest.TestCase):
    def test_nginx_reads_what_the_page_says_people_have(self):
        must_be_there("nginx")
        page = (ROOT / "docs" / "migrating.md").read_text()
        server = page.split("```nginx\n")[1].split("```")[0]
        with tempfile.TemporaryDirectory(prefix="tollgate-nginx-") as folder:
            paths = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in
                            ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"])
            whole = f"pid {folder}/pid; error_log stderr; events {{}} http {{ access_log off;\n{paths}{server}}}"
            pathlib.Path(folder, "nginx.conf").write_text(whole.replace("server {", f"server {{ listen 127.0.0.1:{free_port()};"))
            tried = subprocess.run(["nginx", "-t", "-p", folder, "-c", f"{folder}/nginx.conf"], capture_output=True, text=True)
        self.assertEqual(tried.returncode, 0, tried.stderr)


if __name__ == "__main__":
    unittest.main()
