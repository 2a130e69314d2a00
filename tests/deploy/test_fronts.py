"""nginx and Caddy in front, as deploy/ has them: TLS ends there, and the gateway still knows who asks; or they ask it."""

import contextlib
import http.client
import http.server
import pathlib
import shutil
import ssl
import subprocess
import tempfile
import threading
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
# Behind proxies that ask: the routes of a server that is not ours.
ASKED = """[server]
trusted_proxies = ["127.0.0.1/32"]
access_log = true
[limits.per-key]
key = "api-key"
quotas = ["5 per minute"]
[limits.per-tenant]
key = "query:tenant"
quotas = ["1 per minute"]
[[routes]]
match = "/v1/auth"
builtin = "forward-auth"
[[routes]]
match = ["GET /call", "POST /call"]
auth = ["api-key"]
limits = ["per-key"]
[[routes]]
match = "GET /tenants"
limits = ["per-tenant"]
[[routes]]
match = "GET /once"
limits = ["1 per minute by client-ip"]
[[routes]]
match = "/admin/{*rest}"
auth = ["api-key"]
[[routes]]
match = "/free/{*rest}"
"""
IDENTITY = ["x-user-id", "x-user-name", "x-api-key-id", "x-request-id"]
# What clients write to be taken for somebody else, to come from elsewhere, or to be asked about as something else.
LIES = ["X-User-Id", "X_User_Id", "X-User_Id", "X.User.Id", "X_Api_Key_Id", "X.Request-Id", "Forwarded", "X-Real-IP",
        "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Method", "X-Forwarded-Port", "X-Forwarded-Prefix",
        "X-Forwarded-Proto", "X-Forwarded-Uri", "X-Original-Method", "X-Original-URI", "X-Original-URL", "X-Rewrite-URL"]
# Each takes a route without `auth` in its one form, and may take another at a server that reads it as it stands.
SPELLINGS = ["/admin/secret/../../free/x", "/admin/%2e%2e/free/x", "//free/x", "/FREE/x", "/free/./x", "/fr%65e/x"]
FORM = {"content-type": "application/x-www-form-urlencoded"}
ACCOUNT = "username=ann&password=correct-horse"


class Fronts(unittest.TestCase):
    rules = RULES

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
        (self.folder / "tollgate.toml").write_text(self.rules)
        self.gateway = next(DIST.glob("tollgate-*/tollgate"))
        self.start([self.gateway, "serve", "--listen", f"127.0.0.1:{self.behind}"])

    def start(self, command):
        log = self.ended.enter_context(open(self.folder / "log", "ab"))
        process = subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=log)
        self.ended.callback(process.wait)
        self.ended.callback(process.terminate)

    def ask(self, method, path, body=None, headers=None, source="127.0.0.1"):
        """One request over TLS, from an address of the loopback network."""
        trust = ssl.create_default_context(cafile=self.folder / "fullchain.pem")
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self.port, context=trust, source_address=(source, 0), timeout=120)
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

    def site(self, path, changes):
        """A file of deploy/ as it is, but for names and addresses."""
        site = (ROOT / "deploy" / path).read_text()
        for there, here in changes:
            self.assertIn(there, site)
            site = site.replace(there, here)
        return site

    def start_nginx(self, site):
        temporary = "".join(f"{kind}_temp_path {self.folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        (self.folder / "nginx.conf").write_text(
            f"daemon off; pid {self.folder}/pid; error_log {self.folder}/error.log;\nevents {{}}\n"
            f"http {{ access_log off;\n{temporary}{site} }}\n")
        nginx = [shutil.which("nginx", path="/usr/sbin:/usr/bin"), "-c", self.folder / "nginx.conf"]
        tested = subprocess.run([*nginx, "-t"], capture_output=True, text=True)
        self.assertEqual(tested.returncode, 0, tested.stderr)
        self.assertNotIn("warn", tested.stderr)
        self.start(nginx)

    def start_caddy(self, file, changes):
        ours = ROOT / "deploy" / "caddy" / file
        validated = subprocess.run(["caddy", "validate", "--adapter=caddyfile", "--config", ours], capture_output=True, text=True)
        self.assertEqual(validated.returncode, 0, validated.stderr)
        tls = f"tls {self.folder}/fullchain.pem {self.folder}/privkey.pem"
        site = self.site(f"caddy/{file}", [
            ("api.example.com {", f"https://127.0.0.1:{self.port} {{\n{tls}"), ("127.0.0.1:8000", f"127.0.0.1:{self.behind}"), *changes])
        (self.folder / "Caddyfile").write_text("{\nadmin off\nauto_https disable_redirects\n}\n" + site)
        self.start(["caddy", "run", "--adapter=caddyfile", "--config", self.folder / "Caddyfile"])


class InFront(Fronts):
    """The gateway sends requests on; a proxy stands before it."""

    def test_behind_nginx_clients_are_told_apart_and_cannot_say_who_they_are(self):
        self.start_nginx(self.site("nginx/tollgate.conf", [
            ("127.0.0.1:8000;", f"127.0.0.1:{self.behind};"), ("listen 443 ssl;", f"listen 127.0.0.1:{self.port} ssl;"),
            ("/etc/ssl/tollgate", str(self.folder))]))
        self.assert_the_gateway_knows_who_asks()

    def test_behind_caddy_clients_are_told_apart_and_cannot_say_who_they_are(self):
        self.start_caddy("Caddyfile", [])
        self.assert_the_gateway_knows_who_asks()


class Server(http.server.ThreadingHTTPServer):
    """What stands behind a proxy that asks: it notes every request."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.seen = []
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        self.server.seen.append((self.command, self.path, {name.lower(): value for name, value in self.headers.items()}, body))
        status = 403 if self.path == "/once?own" else 200
        self.send_response(status)
        self.send_header("content-length", "6")
        self.end_headers()
        self.wfile.write(b"behind")

    do_POST = do_GET

    def log_message(self, *_):
        pass


class Asked(Fronts):
    """The proxy asks the gateway, and sends requests on by itself."""

    rules = ASKED

    def setUp(self):
        super().setUp()
        self.server = Server()
        self.ended.callback(self.server.server_close)
        self.ended.callback(self.server.shutdown)
        self.api = f"127.0.0.1:{self.server.server_port}"

    def is_up(self):
        # A question that no route takes: nothing is charged.
        try:
            return self.ask("GET", "/nowhere").status == 404
        except OSError:
            return False

    def key(self):
        """An API key of somebody new."""
        command = [self.gateway, "user", "create", "ann", "--data", "tollgate-data"]
        subprocess.run(command, cwd=self.folder, input="correct-horse", text=True, check=True, capture_output=True)
        command = [self.gateway, "key", "create", "ann", "--data", "tollgate-data"]
        return subprocess.run(command, cwd=self.folder, text=True, check=True, capture_output=True).stdout.strip()

    def assert_the_gateway_decides(self):
        until(self.is_up, "it answers")
        secret = self.key()
        key = {"x-api-key": secret}
        lies = {**dict.fromkeys(IDENTITY, "root"), "x-forwarded-for": "192.0.2.7", **key}
        self.assertEqual(self.ask("GET", "/call").status, 401)
        self.assertIn("Bearer", self.ask("GET", "/call").getheader("www-authenticate"))
        self.assertEqual(self.server.seen, [], "nobody came through")
        allowed = self.ask("GET", "/call?token=in-the-query", headers=lies)
        self.assertEqual((allowed.status, allowed.text), (200, "behind"))
        method, path, fields, _ = self.server.seen.pop()
        self.assertEqual((method, path, fields["x-user-name"]), ("GET", "/call?token=in-the-query", "ann"))
        self.assertTrue(all(fields[name] not in ("", "root") for name in IDENTITY), fields)
        # A body goes to the server, and no part of it to the gateway.
        self.assertEqual(self.ask("POST", "/call", "x" * 10_000, key).status, 200)
        self.assertEqual(len(self.server.seen.pop()[3]), 10_000)
        for _ in range(3):
            self.assertEqual(self.ask("GET", "/call", headers=key).status, 200)
        denied = self.ask("GET", "/call", headers=key)
        self.assertEqual((denied.status, denied.getheader("content-type")), (429, "application/problem+json"))
        self.assertIn(int(denied.getheader("retry-after")), range(1, 61))
        self.assertIn('"per-key.minute";r=0', denied.getheader("ratelimit"))
        self.assertEqual(len(self.server.seen), 3, "who is denied gets no further")
        # The client's own query and address, whatever it says of itself.
        statuses = [self.ask("GET", f"/tenants?tenant={name}").status for name in ("a", "a", "b")]
        self.assertEqual(statuses, [200, 429, 200])
        self.assertEqual(self.ask("GET", "/once?own", source="127.0.0.2").status, 403, "the server's own answer")
        forged = {"x-forwarded-for": "192.0.2.8", "x-real-ip": "192.0.2.8", "forwarded": "for=192.0.2.8"}
        self.assertEqual(self.ask("GET", "/once", headers=forged, source="127.0.0.2").status, 429)
        self.assertEqual(self.ask("GET", "/once", source="127.0.0.3").status, 200)
        # A client that speaks as a proxy is asked about as what it is, or not at all.
        count = len(self.server.seen)
        for name, value in [("x-original-uri", "/once"), ("x-forwarded-uri", "/once"), ("x-original-method", "POST"),
                            ("x-forwarded-method", "POST")]:
            spoken = self.ask("GET", "/call", headers={name: value}, source="127.0.0.4")
            self.assertIn(spoken.status, (400, 401), name)
        self.assertEqual(len(self.server.seen), count)
        for path in SPELLINGS:
            self.assertEqual(self.ask("GET", path).status, 400, path)
        self.assertEqual(len(self.server.seen), count, "no spelling goes on that was not judged")
        self.assertEqual(self.ask("GET", "/nowhere", headers=key).status, 404)
        self.assertEqual(self.ask("GET", "/v1/auth", headers=key).status, 404, "not through the proxy")
        def log():
            return (self.folder / "log").read_text(errors="replace")

        # Lines come in the order of their requests: with that of one more all others are there.
        lines = log().count("GET /call")
        self.ask("GET", "/call", headers=key)
        until(lambda: log().count("GET /call") > lines, "the log has a line of each request")
        text = log()
        for unseen in (secret, "in-the-query"):
            self.assertNotIn(unseen, "".join(line for line in text.splitlines() if "request_id" in line))

    def assert_the_server_hears_no_lie(self):
        until(self.is_up, "it answers")
        for name in LIES:
            # Alone, and with what a proxy takes away on its way.
            for more in ({}, {"connection": f"close, {', '.join(IDENTITY)}"}):
                self.assertEqual(self.ask("GET", "/free/x", headers={name: "lie", **more}).status, 200, name)
                fields = self.server.seen.pop()[2]
                self.assertNotIn("lie", ",".join(fields.values()), name)
                self.assertEqual([known for known in IDENTITY if known in fields], ["x-request-id"], "it is nobody")
        named = {"x-api-key": self.key(), "connection": f"close, {', '.join(IDENTITY)}"}
        self.assertEqual(self.ask("GET", "/admin/x", headers=named).status, 200)
        fields = self.server.seen.pop()[2]
        self.assertEqual([known for known in IDENTITY if not fields.get(known)], [], "nobody becomes nobody")

    def assert_a_question_has_nothing_that_a_client_decides(self):
        until(self.answers_at_all, "it answers")
        self.asker.seen.clear()
        trace = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate": "a=b"}
        self.assertEqual(self.ask("GET", "/free/x?deny=403&a=b", headers=trace).status, 200)
        _, path, fields, _ = self.asker.seen.pop()
        self.assertNotIn("traceparent", fields)
        self.assertNotIn("tracestate", fields)
        self.assertEqual(self.server.seen.pop()[2]["traceparent"], trace["traceparent"], "the server is not ours")
        return path, fields

    def answers_at_all(self):
        try:
            return self.ask("GET", "/free/x").status == 200
        except OSError:
            return False

    def ask_another(self):
        """Has the proxy ask somebody who notes its questions, and says yes."""
        self.asker = Server()
        self.ended.callback(self.asker.server_close)
        self.ended.callback(self.asker.shutdown)
        self.behind = self.asker.server_port

    def start_asking_nginx(self):
        self.start_nginx(self.site("nginx/forward-auth.conf", [
            ("127.0.0.1:8000;", f"127.0.0.1:{self.behind};"), ("127.0.0.1:9000;", f"{self.api};"),
            ("listen 80;", f"listen 127.0.0.1:{self.port} ssl;\nssl_certificate {self.folder}/fullchain.pem;\n"
             f"ssl_certificate_key {self.folder}/privkey.pem;")]))

    def start_asking_caddy(self):
        self.start_caddy("forward-auth.Caddyfile", [("127.0.0.1:9000", self.api)])

    def test_nginx_asks_and_tells_its_clients_the_true_status(self):
        self.start_asking_nginx()
        self.assert_the_gateway_decides()
        for host in ("a,b", "a@b"):
            self.assertEqual(self.ask("GET", "/free/x", headers={"host": host}).status, 400, host)

    def test_caddy_asks_and_hands_on_what_is_refused(self):
        self.start_asking_caddy()
        self.assert_the_gateway_decides()
        self.assertEqual(self.ask("GET", "/once?deny=403", source="127.0.0.3").status, 429)

    def test_behind_an_nginx_that_asks_a_server_hears_no_lie(self):
        self.start_asking_nginx()
        self.assert_the_server_hears_no_lie()

    def test_behind_a_caddy_that_asks_a_server_hears_no_lie(self):
        self.start_asking_caddy()
        self.assert_the_server_hears_no_lie()

    def test_of_upgrades_caddy_sends_websocket_alone_on(self):
        # On a connection that has become HTTP/2 nobody would be asked about anything.
        self.start_asking_caddy()
        until(self.is_up, "it answers")
        for said, heard in [("h2c", None), ("websocket, h2c", None), ("WebSocket", "websocket")]:
            fields = {"connection": "Upgrade, HTTP2-Settings", "upgrade": said, "http2-settings": "AAMAAABkAAQAAP__"}
            self.assertEqual(self.ask("GET", "/free/x", headers=fields).status, 200, said)
            fields = self.server.seen.pop()[2]
            self.assertEqual((fields.get("upgrade"), fields.get("http2-settings")), (heard, None), said)

    def test_in_what_nginx_asks_clients_decide_on_no_trace_and_no_host(self):
        self.ask_another()
        self.start_asking_nginx()
        path, fields = self.assert_a_question_has_nothing_that_a_client_decides()
        self.assertEqual((path, fields["host"]), ("/v1/auth?deny=403", "tollgate"))

    def test_in_what_caddy_asks_clients_decide_on_no_trace_and_no_query(self):
        self.ask_another()
        self.start_asking_caddy()
        path, _ = self.assert_a_question_has_nothing_that_a_client_decides()
        self.assertEqual(path, "/v1/auth")


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
