"""Scrape jobs, alerts and dashboard: right by Prometheus's own tool, and about metrics and labels that the binary exports."""

import contextlib
import json
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

import yaml
from engine import DIST, ROOT, answers, ask, free_port, must_be_there, until

PROMETHEUS = ROOT / "deploy" / "prometheus"
DASHBOARD = ROOT / "deploy" / "grafana" / "tollgate.json"
# What Prometheus adds to whatever it reads.
ADDED = {"job", "instance"}
# Of builds with the feature `otlp`, which target/dist is not; the tests of traces have them.
OF_TRACES = {"tollgate_spans_exported_total": set(), "tollgate_spans_dropped_total": set()}
RULES = """
[counters]
deadline_ms = 5000
[service]
grpc = "127.0.0.1:{grpc}"
http = "127.0.0.1:{http}"
[[service.domains.edge.descriptors]]
entries = ["key"]
quotas = ["5 per minute"]
[limits.few]
key = "global"
quotas = ["2 per hour"]
[[routes]]
match = "POST /signup"
builtin = "signup"
[[routes]]
match = "GET /few"
limits = ["few"]
respond = {{ text = "hello" }}
[[routes]]
match = "GET /away"
upstream = "http://127.0.0.1:{nobody}"
"""


def exported(text):
    """The labels of each series by its name, as the text of /metrics has them."""
    names = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            name, labels = re.match(r"([a-z_]+)(?:\{(.*)\})? ", line).groups()
            names.setdefault(name, set()).update(re.findall(r'([a-z_]+)="', labels or ""))
    return names


def asked(expression):
    """What an expression reads: names of series, and of labels that it selects, groups or keeps."""
    bare = re.sub(r'"[^"]*"', '""', expression)
    bare = re.sub(r"\$\w+", "", bare)
    groups = re.findall(r"\b(?:by|without|on|ignoring)\s*\(([^)]*)\)", bare)
    labels = {label.strip() for group in groups for label in group.split(",")}
    bare = re.sub(r"\b(?:by|without|on|ignoring)\s*\([^)]*\)", "", bare)
    selectors = re.findall(r"([a-z_]+)\{([^}]*)\}", bare)
    selected = {(name, label) for name, inner in selectors for label in re.findall(r"([a-z_]+)\s*[=!]", inner)}
    bare = re.sub(r"\{[^}]*\}|\[[^]]*\]", "", bare)
    names = set(re.findall(r"\b[a-z][a-z_]*\b(?!\s*\()", bare)) - {"or", "and", "unless", "by"}
    return names, labels, selected


def promtool(*arguments):
    return subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True)


class Monitoring(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        must_be_there("promtool", "redis-server")
        cls.alerts = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"][0]["rules"]
        cls.dashboard = json.loads(DASHBOARD.read_text())
        cls.exported = {"up": set()} | OF_TRACES
        with contextlib.ExitStack() as ended:
            for shared in (False, True):
                cls.exported |= exported(cls.metrics(ended, shared))

    @classmethod
    def metrics(cls, ended, shared):
        """What a gateway says of itself that has had something to do, over its own counters or over shared ones."""
        directory = pathlib.Path(tempfile.mkdtemp(prefix="tollgate-monitoring-"))
        ended.callback(shutil.rmtree, directory)
        gateway, admin, grpc, http, store, nobody = (free_port() for _ in range(6))
        (directory / "tollgate.toml").write_text(RULES.format(grpc=grpc, http=http, nobody=nobody))
        options = []
        if shared:
            command = ["redis-server", "--port", str(store), "--save", "", "--dir", str(directory)]
            ended.enter_context(running(command))
            options = ["--counters", f"redis://127.0.0.1:{store}"]
        binary = next(DIST.glob("tollgate-*/tollgate"))
        ended.enter_context(running([
            str(binary), "serve", "--rules", str(directory / "tollgate.toml"), "--data", str(directory / "data"),
            "--listen", f"127.0.0.1:{gateway}", "--admin", f"127.0.0.1:{admin}", *options]))
        until(lambda: answers(f"http://127.0.0.1:{admin}/readyz"), "ready")
        if shared:
            # One that started before its store is degraded for a moment.
            until(lambda: ask(f"http://127.0.0.1:{admin}/readyz").text == "ready\n", "the store is reached")
        statuses = [ask(f"http://127.0.0.1:{gateway}{path}").status for path in ("/few", "/few", "/few", "/away")]
        assert statuses == [200, 200, 429, 502], statuses
        return ask(f"http://127.0.0.1:{admin}/metrics").text

    def expressions(self):
        """Every expression with its place."""
        for alert in self.alerts:
            yield alert["alert"], alert["expr"]
        for panel in self.dashboard["panels"]:
            for target in panel.get("targets", []):
                yield panel["title"], target["expr"]
        for note in self.dashboard["annotations"]["list"]:
            yield note["name"], note["expr"]

    def test_expressions_ask_for_what_is_exported(self):
        for place, expression in self.expressions():
            names, labels, selected = asked(expression)
            with self.subTest(place, expression=expression):
                self.assertTrue(names, "reads something")
                self.assertLessEqual(names, self.exported.keys())
                known = ADDED.union(*(self.exported[name] for name in names))
                self.assertLessEqual(labels, known)
                for name, label in selected:
                    self.assertIn(label, self.exported[name] | ADDED)

    def test_texts_name_labels_that_their_alerts_have(self):
        for alert in self.alerts:
            names, labels, _ = asked(alert["expr"])
            known = labels or ADDED.union(*(self.exported[name] for name in names))
            said = set(re.findall(r"\$labels\.(\w+)", alert["annotations"]["summary"]))
            with self.subTest(alert["alert"]):
                self.assertLessEqual(said, known)

    def test_variables_of_the_dashboard_ask_for_what_is_exported(self):
        for variable in self.dashboard["templating"]["list"]:
            found = re.match(r"label_values\((\w+)[^,]*, (\w+)\)", variable.get("definition", ""))
            if found:
                self.assertIn(found[2], self.exported[found[1]] | ADDED)

    def test_prometheus_takes_scrape_jobs_and_alerts_and_a_wrong_expression_is_found(self):
        with tempfile.TemporaryDirectory() as directory:
            for name in ("scrape.yml", "scrape-kubernetes.yml"):
                config = yaml.safe_load((PROMETHEUS / name).read_text())
                for job in config["scrape_configs"]:
                    # Debian's Prometheus is built without the ways to ask clusters who is there.
                    job.pop("kubernetes_sd_configs", None)
                config["rule_files"] = [str(PROMETHEUS / file) for file in config["rule_files"]]
                file = pathlib.Path(directory) / name
                file.write_text(yaml.safe_dump(config))
                checked = promtool("check", "config", file)
                self.assertEqual(checked.returncode, 0, checked.stderr)
            wrong = pathlib.Path(directory) / "wrong.yml"
            text = (PROMETHEUS / "alerts.yml").read_text()
            wrong.write_text(text.replace("tollgate_store_up == 0", "tollgate_store_up = 0"))
            self.assertNotEqual(promtool("check", "rules", wrong).returncode, 0)

    def test_prometheus_takes_every_expression_of_the_dashboard(self):
        expressions = [re.sub(r"\$__rate_interval", "5m", one) for _, one in self.expressions()]
        rules = [{"record": f"of:panel:{at}", "expr": one} for at, one in enumerate(expressions)]
        with tempfile.TemporaryDirectory() as directory:
            file = pathlib.Path(directory) / "panels.yml"
            file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
            checked = promtool("check", "rules", file)
            self.assertEqual(checked.returncode, 0, checked.stderr)

    def test_alerts_are_raised_by_what_they_are_for_and_end(self):
        with tempfile.TemporaryDirectory() as directory:
            file = pathlib.Path(directory) / "played.yml"
            played = pathlib.Path(__file__).with_name("alerts.yml").read_text()
            file.write_text(played.replace("ALERTS", str(PROMETHEUS / "alerts.yml")))
            tested = promtool("test", "rules", file)
            self.assertEqual(tested.returncode, 0, tested.stdout + tested.stderr)

    def test_every_alert_is_in_the_runbook_and_every_panel_fits(self):
        page = (ROOT / "docs" / "monitoring.md").read_text()
        listed = set(re.findall(r"^\| `(Tollgate\w+)` \|", page, re.M))
        self.assertEqual(listed, {alert["alert"] for alert in self.alerts})
        taken = set()
        for panel in self.dashboard["panels"]:
            place = panel["gridPos"]
            cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
            with self.subTest(panel["title"]):
                self.assertLessEqual(place["x"] + place["w"], 24)
                self.assertFalse(cells & taken, "nothing lies under another")
            taken |= cells
        ids = [panel["id"] for panel in self.dashboard["panels"]]
        self.assertEqual(len(ids), len(set(ids)))


@contextlib.contextmanager
def running(command):
    """A process that ends with the test."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    unittest.main()
