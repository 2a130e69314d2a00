"""What is run of the commands that stand on pages, with what around them, and what is not run, and why.

A block is known by its page and its first line. Ports of the page are free ones when it is run.
"""

import dataclasses


@dataclasses.dataclass
class Scene:
    """How a block is run."""

    # Commands before it: servers go on.
    before: tuple[str, ...] = ()
    # Files in the directory in which it is run.
    files: dict[str, str] = dataclasses.field(default_factory=dict)
    # More commands behind it, in the same shell.
    after: str = ""
    # What its output has in it, as regular expressions.
    says: tuple[str, ...] = ()


SIGNED_UP = "curl -s http://127.0.0.1:8000/signup -d username=ann -d password=correct-horse"
ENVOY_FILE = "domain: edge\ndescriptors:\n  - key: remote_address\n    rate_limit: {unit: second, requests_per_unit: 5}\n"
UPSTREAM = "tollgate serve --preset hourly-module --listen 127.0.0.1:9000 --data upstream"

RUN = {
    ("README.md", "make run                      # a number API behind accounts, 5 calls a minute, on http://127.0.0.1:8000"): Scene(after="curl -si http://127.0.0.1:8000/call_api", says=("HTTP/1.1 40[13]",)),
    ("README.md", "B=http://127.0.0.1:8000"): Scene(
        before=("make run",), says=("HTTP/1.1 403 Forbidden", r"retry-after: \d+", "300", "HTTP/1.1 204")),
    ("README.md", 'target/release/tollgate serve --upstream http://127.0.0.1:9000 --limit "100 per minute by client-ip"'):
        Scene(before=(UPSTREAM,), after="curl -si http://127.0.0.1:8000/", says=("100;w=60", "Hello, World!")),
    ("README.md", "target/release/tollgate serve --resp 127.0.0.1:6380 --data service &   # its own data, beside `make run`"):
        Scene(before=("make run",), says=(r"^0\n16\n15\n-1\n2",)),
    ("README.md", 'tollgate limit set per-user "20 per minute"            # for everybody; --user ann, --key ID or --plan gold for some'):
        Scene(before=("make run", SIGNED_UP), says=("100 per minute; 1000 per hour", "plan-given")),
    ("docs/start.md", 'tollgate serve --upstream http://127.0.0.1:9000 --limit "5 per minute by client-ip" --listen 127.0.0.1:8000'):
        Scene(before=(UPSTREAM,), says=(r"(200\n){5}429", "HTTP/1.1 429", r'"rest.minute";q=5;w=60', r"retry-after: \d+")),
    ("docs/start.md", "tollgate init hello-by-ip"): Scene(says=('"token"',)),
    ("docs/start.md", "tollgate serve --preset per-api-key --listen 127.0.0.1:8000"): Scene(
        says=("HTTP/1.1 200", "per-user is 2 per second for the user ann", r"200\n(200|429)\n(200|429)")),
    ("docs/start.md", "tollgate serve --resp 127.0.0.1:6380"): Scene(says=(r"^0\n16\n15\n-1\n2",)),
    ("docs/operating.md", "tollgate limit show per-user ann      # where they stand, in every window; --json for programs"): Scene(
        before=("make run", SIGNED_UP), says=("per-user of ann", r"minute +0 +5 +5  now", "fixed-window")),
    ("docs/monitoring.md", "curl --unix-socket tollgate-data/admin.sock http://admin/monitor/overview"): Scene(
        before=("make run",), says=('"totals"',)),
    ("docs/monitoring.md", "tollgate top                  # live; --data DIR says of which gateway"): Scene(
        before=("make run PRESET=per-api-key",), says=('"heavy"',)),
    ("docs/service.md", "tollgate serve --resp 127.0.0.1:6380"): Scene(says=(r"^0\n16\n15\n-1\n2",)),
    ("docs/service.md", "printf '[service]\\nhttp = \"127.0.0.1:8090\"\\n[limits.per-user]\\nkey = \"user\"\\nquotas = [\"5 per minute\"]\\n' > service.toml"):
        Scene(says=("HTTP/1.1 200", '"remaining":4')),
    ("docs/service.md", "tollgate serve --grpc 127.0.0.1:8081 --envoy-config ratelimit.yaml     # as it is"): Scene(
        files={"ratelimit.yaml": ENVOY_FILE}, after="cat domain.toml", says=(r"\[service.domains.edge\]",)),
    ("examples/hello-by-ip/README.md", "make run PRESET=hello-by-ip                 # or: tollgate serve --preset hello-by-ip"): Scene(),
    ("examples/hello-by-ip/README.md", "B=http://127.0.0.1:8000"): Scene(
        before=("make run PRESET=hello-by-ip",), says=("Hello, World!", "HTTP/1.1 429", "Hello again", "HTTP/1.1 401")),
    ("examples/hourly-module/README.md", "make run PRESET=hourly-module               # or: tollgate serve --preset hourly-module"):
        Scene(says=(r"Rate limit exceeded. Try again in 3[456]\d\d seconds", "HTTP/1.1 429")),
    ("examples/pages/README.md", "make run PRESET=pages LISTEN=127.0.0.1:7000 # or: tollgate serve --preset pages"): Scene(),
    ("examples/pages/README.md", "B=http://127.0.0.1:7000"): Scene(
        before=("make run PRESET=pages LISTEN=127.0.0.1:7000",), says=("HTTP/1.1 503", "HTTP/1.1 403", "<html")),
    ("examples/per-api-key/README.md", "make run PRESET=per-api-key                 # or: tollgate serve --preset per-api-key"): Scene(),
    ("examples/per-api-key/README.md", "B=http://127.0.0.1:8000"): Scene(
        before=("make run PRESET=per-api-key",), says=(r"\d+ 200", "HTTP/1.1 401", "laptop")),
    ("examples/python/README.md", "printf '[service]\\nhttp = \"127.0.0.1:8090\"\\n[limits.per-address]\\nkey = \"client-ip\"\\nquotas = [\"5 per minute\"]\\n' > service.toml"):
        Scene(after="curl -s http://127.0.0.1:8090/v1/limits", says=("per-address",)),
    ("examples/random-number/README.md", "B=http://127.0.0.1:8000"): Scene(
        before=("make run",), says=("HTTP/1.1 403", "HTTP/1.1 204")),
}

IN_DEPLOY = "runs in tests/deploy/test_docs.py, which has an engine for containers"
BUILDS = "a build of minutes; `make help` lists it, and continuous integration runs what it tests"
NOT_RUN = {
    ("README.md", "make image                    # 19 MB: one static binary and nothing else"): IN_DEPLOY,
    ("README.md", "make test"): "it is what runs this",
    ("docs/start.md", "make build"): BUILDS,
    ("docs/monitoring.md", "OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318 OTEL_TRACES_SAMPLER=parentbased_traceidratio OTEL_TRACES_SAMPLER_ARG=0.05 \\"):
        "needs a collector; crates/tollgate-cli/tests/otlp has one",
    ("docs/deploying.md", "make dist"): BUILDS,
    ("docs/deploying.md", "make image"): IN_DEPLOY,
    ("docs/deploying.md", "make up PRESET=hourly-module LISTEN=127.0.0.1:8000"): IN_DEPLOY,
    ("docs/deploying.md", "helm install tollgate deploy/helm/tollgate --set image.repository=registry.example/tollgate --set-file rules=tollgate.toml"):
        "needs a cluster; tests/deploy renders the chart",
    ("docs/deploying.md", "tar xf target/dist/tollgate-*.tar.gz"): "installs on the machine itself, with systemd; tests/deploy checks the unit",
    ("examples/cluster/README.md", 'for n in 1 2 3; do for port in 8001 8002; do curl -s -o /dev/null -w "$port %{http_code}\\n" 127.0.0.1:$port/; done; done'):
        "runs in crates/tollgate-cli/tests/it/shared/example.rs, with the rules beside it",
    ("examples/envoy/README.md", "for n in 1 2 3 4; do curl -s -o /dev/null -w '%{http_code}\\n' 127.0.0.1:10000/random; done"):
        "runs in crates/tollgate-cli/tests/it/envoy/example.rs, with the configuration beside it",
    ("examples/hourly-module/README.md", "cargo run -p tollgate-tower --example hourly_axum"):
        "runs in crates/tollgate-tower/tests/it/examples.rs, without cargo",
    ("examples/node/README.md", "tollgate serve --resp 127.0.0.1:6380"): "runs in crates/tollgate-cli/tests/it/http_service/examples.rs, where the packages are installed",
    ("examples/random-number/README.md", "make run                                    # or: tollgate serve --preset random-number"):
        "its second line installs FastAPI and goes on; crates/tollgate-cli/tests/it/fastapi.rs runs both",
    ("examples/random-number/fastapi/README.md", "python3 -m venv .venv && .venv/bin/pip install -r requirements.txt"):
        "installs packages; crates/tollgate-cli/tests/it/fastapi.rs runs what it installs",
    ("examples/per-api-key/README.md", "mariadb -e \"CREATE DATABASE tollgate; CREATE USER tollgate IDENTIFIED BY 'correct-horse'; GRANT ALL ON tollgate.* TO tollgate\""):
        "needs a server that everybody on the machine may change; crates/tollgate-cli/tests/it/databases.rs has one of its own",
}

# What measures for minutes, and is not run: every line of such a block begins so, and the script is there.
MEASURES = r"(?:TOLLGATE_SEED=\d+ |QUICK=1 )*(?:python3 )?(bench/[\w/.-]+\.py|make bench[\w-]*|make soak|cargo build --release|cd bench && cargo)\b"

# Answers, grammars and drawings: nothing to run.
SHOWN = {
    ("README.md", "HTTP/1.1 403 Forbidden"): "an answer, shortened",
    ("docs/start.md", "HTTP/1.1 429 Too Many Requests"): "an answer, shortened; the commands above it are held to it",
    ("docs/concepts.md", "seconds   0                        9   9.5  10  10.5  11                       19"): "a drawing",
    ("docs/concepts.md", "seconds   0                        9   9.5  10  10.5  11  11.5                 20"): "a drawing",
    ("docs/concepts.md", "seconds   0    1    2    3.33      6.67       10"): "a drawing",
    ("docs/concepts.md", "5 per minute      300 per hour"): "a drawing",
    ("docs/concepts.md", 'RateLimit-Policy: "per-user.minute";q=5;w=60, "per-user.hour";q=300;w=3600      what holds'): "an answer",
    ("docs/concepts.md", "slot 1   [======= request A =======]"): "a drawing",
    ("docs/diagram.md", "flowchart LR"): "a drawing",
    ("docs/diagram.md", "browser   program                                        operator"): "a drawing",
    ("docs/diagram.md", "flowchart TD"): "a drawing",
    ("docs/diagram.md", "socket -> HTTP/1.1 head ------ cannot be parsed -------> bare 400 or 431, connection closed"): "a drawing",
    ("docs/rules.md", 'quota  = count ("per" | "/") [count] unit { "burst" count | algorithm | "calendar" [zone] }'): "a grammar",
    ("docs/rules.md", "error: `usr` is no part of a key"): "an answer, compared with what the binary says",
    ("docs/semantics.md", 'X-Forwarded-For is ignored: if this is your proxy, add trusted_proxies = ["192.0.2.10/32"] to [server]'): "a log line",
    ("docs/service.md", "> CL.THROTTLE user123 15 30 60"): "a reply; crates/tollgate-cli/tests/it/resp/clients.rs has it",
    ("docs/service.md", "> TOLLGATE.CHECK per-user ann COST 2"): "a reply; crates/tollgate-cli/tests/it/resp/clients.rs has it",
}

# Files of other programs, for comparison.
FOREIGN = {
    ("docs/migrating.md", "limit_req_zone $binary_remote_addr zone=perip:10m rate=10r/s;"): "tests/deploy/test_fronts.py has nginx read it",
    ("docs/migrating.md", "plugins:"): "Kong",
    ("docs/service.md", "forwardAuth:"): "Traefik",
    ("docs/migrating.md", 'limiter = Limiter(get_remote_address, app=app, default_limits=["200 per day", "50 per hour"], strategy="moving-window")'):
        "flask-limiter",
    ("docs/migrating.md", "let limiter = RateLimiter::keyed(Quota::per_second(nonzero!(10u32)).allow_burst(nonzero!(20u32)));"): "governor",
}

# Files of envoyproxy/ratelimit, which Tollgate reads.
ENVOY_FILES = {("docs/migrating.md", "domain: edge"): "the section that follows is what it becomes"}

# Rules with mistakes: the block that follows is what `tollgate validate wrong.toml` says.
WRONG_RULES = {("docs/rules.md", "[limits.per-user]")}

LISTS = {"RUN": RUN, "NOT_RUN": NOT_RUN, "SHOWN": SHOWN, "FOREIGN": FOREIGN, "ENVOY_FILES": ENVOY_FILES}
