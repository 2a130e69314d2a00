"""Manifests, chart, unit and task definition: right by the schema of whoever reads them, and of one mind with the binary."""

import json
import pathlib
import re
import subprocess
import tempfile
import unittest

import botocore.session
import botocore.validate
import kubernetes_validate
import yaml
from engine import DIST, ROOT, must_be_there
from helm_python import chart
from helm_python.errors import HelmRenderError, HelmValuesError

DEPLOY = ROOT / "deploy"
CHART = str(DEPLOY / "helm" / "tollgate")
# The oldest that the chart asks for, and the newest that there is a schema of.
KUBERNETES = ["1.30", "1.37"]
EXPOSURE_MAX = "20"  # of 100: what systemd itself calls OK ends at 43
FULL = {
    "replicas": 3,
    "rules": '[[routes]]\nmatch = "GET /"\nrespond = { text = "hello" }\n',
    "upstream": "http://api:80",
    "counters": {"existingSecret": "tollgate"},
    "accounts": {"existingSecret": "tollgate"},
    "tokenSecret": {"existingSecret": "tollgate"},
    "env": [{"name": "TOLLGATE_LISTEN", "value": "0.0.0.0:8000"}],
    "ingress": {"enabled": True, "className": "nginx", "host": "api.example.com", "tlsSecret": "tls", "annotations": {"a": "b"}},
    "persistence": {"storageClass": "fast"},
    "nodeSelector": {"disk": "ssd"},
    "tolerations": [{"key": "a", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
}


def tollgate(*arguments):
    binary = next(DIST.glob("tollgate-*/tollgate"))
    return subprocess.run([binary, *arguments], capture_output=True, text=True)


def objects(text):
    return [one for one in yaml.safe_load_all(text) if one]


def rendered(values):
    with chart.Chart.load(CHART) as loaded:
        files = loaded.render(values, name="tollgate")
    return [one for path, text in files.items() if not path.endswith(".txt") for one in objects(text)]


def plain():
    return [one for file in sorted((DEPLOY / "kubernetes").glob("*.yaml"))
            if file.name != "kustomization.yaml" for one in objects(file.read_text())]


def of_kind(found, kind):
    return next(one for one in found if one["kind"] == kind)


class Kubernetes(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        must_be_there()

    def each(self):
        """Every way to come to manifests, with what each gives."""
        return {"plain": plain(), "chart": rendered({}), "chart with every value": rendered(FULL)}

    def test_manifests_are_strictly_what_kubernetes_reads_and_a_wrong_key_is_found(self):
        for version in KUBERNETES:
            for name, found in self.each().items():
                for one in found:
                    with self.subTest(f"{name}: {one['kind']} {version}"):
                        kubernetes_validate.validate(one, version, strict=True)
        wrong = of_kind(plain(), "StatefulSet")
        wrong["spec"]["template"]["spec"]["containers"][0]["readinessprobe"] = {}
        with self.assertRaises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate(wrong, KUBERNETES[0], strict=True)

    def test_a_service_monitor_is_there_if_it_is_wanted_and_selects_the_port_of_metrics(self):
        self.assertFalse([one for one in rendered(FULL) if one["kind"] == "ServiceMonitor"])
        found = rendered({"metrics": {"serviceMonitor": True, "labels": {"release": "prometheus"}}})
        monitor = of_kind(found, "ServiceMonitor")
        self.assertEqual(monitor["metadata"]["labels"]["release"], "prometheus")
        selected = [one for one in found if one["kind"] == "Service"
                    and monitor["spec"]["selector"]["matchLabels"].items() <= one["metadata"]["labels"].items()]
        ports = {port["name"] for one in selected for port in one["spec"]["ports"]}
        self.assertIn(monitor["spec"]["endpoints"][0]["port"], ports)
        self.assertEqual(selected[0]["metadata"]["labels"][monitor["spec"]["jobLabel"]], "tollgate", "as alerts call the job")

    def test_the_chart_has_no_mistake(self):
        self.assertEqual(chart.lint(CHART)["errors"], [])

    def test_pods_are_probed_on_the_admin_port_keep_to_themselves_and_end_in_time(self):
        for name, found in self.each().items():
            pod = of_kind(found, "StatefulSet")["spec"]["template"]["spec"]
            gateway = pod["containers"][0]
            with self.subTest(name):
                self.assertEqual(gateway["livenessProbe"]["httpGet"], {"path": "/livez", "port": "admin"})
                self.assertEqual(gateway["readinessProbe"]["httpGet"], {"path": "/readyz", "port": "admin"})
                self.assertIn({"name": "admin", "containerPort": 9000}, gateway["ports"])
                self.assertIn({"name": "TOLLGATE_ADMIN", "value": "0.0.0.0:9000"}, gateway["env"])
                self.assertEqual((pod["securityContext"]["runAsUser"], pod["securityContext"]["fsGroup"]), (65532, 65532))
                self.assertEqual(gateway["securityContext"], {
                    "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}})
                pause = gateway["lifecycle"]["preStop"]["sleep"]["seconds"]
                self.assertGreater(pod["terminationGracePeriodSeconds"], pause + 10, "server.drain_timeout_s is 10")

    def test_services_and_budget_select_the_pods_and_nothing_secret_is_in_them(self):
        for name, found in self.each().items():
            labels = of_kind(found, "StatefulSet")["spec"]["template"]["metadata"]["labels"].items()
            selectors = [one["spec"]["selector"] for one in found if one["kind"] in ("Service", "PodDisruptionBudget")]
            with self.subTest(name):
                self.assertEqual(len(selectors), 3)
                for selector in selectors:
                    self.assertLessEqual(selector.get("matchLabels", selector).items(), labels)
        text = json.dumps(rendered(FULL))
        self.assertIn('"secretKeyRef": {"name": "tollgate", "key": "accounts-url"}', text)
        self.assertIn('"secretKeyRef": {"name": "tollgate", "key": "counters-url"}', text)
        self.assertIn('"subPath": "token.secret"', text)

    def test_more_than_one_replica_wants_shared_counters_and_shared_accounts(self):
        shared = {"existingSecret": "tollgate"}
        for values, why in [({}, "counters"), ({"counters": shared}, "accounts"), ({"accounts": shared}, "counters")]:
            with self.assertRaisesRegex(HelmRenderError, f"set {why}.existingSecret"):
                rendered({"replicas": 2} | values)
        rendered({"replicas": 2, "counters": shared, "accounts": shared})
        rendered({"replicas": 2, "counters": shared, "accounts": {"unused": True}})

    def test_a_value_that_is_not_known_is_a_mistake(self):
        for wrong in [{"replica": 2}, {"replicas": 0}, {"preset": "number"}, {"accounts": {"url": "mysql://u:p@h/d"}}]:
            with self.assertRaises(HelmValuesError, msg=str(wrong)):
                rendered(wrong)

    def test_other_rules_are_other_pods(self):
        def annotations(rules):
            return of_kind(rendered({"rules": rules}), "StatefulSet")["spec"]["template"]["metadata"]["annotations"]

        self.assertNotEqual(annotations("a"), annotations("b"))

    def test_kustomization_names_every_file_but_the_example_of_a_secret(self):
        folder = DEPLOY / "kubernetes"
        listed = yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]
        there = {file.name for file in folder.glob("*.yaml")} - {"kustomization.yaml", "secret.example.yaml"}
        self.assertEqual(set(listed), there)


class OfOneMind(unittest.TestCase):
    def test_rules_in_manifests_are_right(self):
        rules = of_kind(plain(), "ConfigMap")["data"]["tollgate.toml"]
        with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
            file.write(rules)
            file.flush()
            done = tollgate("validate", file.name)
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_every_variable_in_deploy_is_one_that_the_binary_reads(self):
        known = set(re.findall(r"\[env: (TOLLGATE_\w+)", tollgate("serve", "--help").stdout))
        self.assertIn("TOLLGATE_ACCOUNTS", known)
        # Those of the compose files and scripts themselves.
        known |= {"TOLLGATE_IMAGE", "TOLLGATE_TOOLS_IMAGE", "TOLLGATE_DB_PASSWORD", "TOLLGATE_PUBLISH", "TOLLGATE_PUBLISH_API"}
        known |= {"TOLLGATE_PUBLISH_1", "TOLLGATE_PUBLISH_2"}
        for file in DEPLOY.rglob("*"):
            if file.is_file():
                used = set(re.findall(r"TOLLGATE_\w+", file.read_text()))
                self.assertLessEqual(used, known, file)

    def test_versions_are_those_of_the_binary(self):
        version = tollgate("--version").stdout.split()[1]
        of_chart = yaml.safe_load((DEPLOY / "helm" / "tollgate" / "Chart.yaml").read_text())
        images = [of_kind(plain(), "StatefulSet")["spec"]["template"]["spec"]["containers"][0]["image"]]
        images.append(json.loads((DEPLOY / "ecs" / "task-definition.json").read_text())["containerDefinitions"][0]["image"])
        self.assertEqual(of_chart["appVersion"], version)
        self.assertEqual({image.rsplit(":", 1)[1] for image in images}, {version})


class Others(unittest.TestCase):
    def test_the_unit_is_what_systemd_reads_and_leaves_the_service_little_of_the_machine(self):
        must_be_there("systemd-analyze")
        with tempfile.TemporaryDirectory() as folder:
            unit = pathlib.Path(folder, "tollgate.service")
            # The binary is not installed here; that is all that may be wrong.
            unit.write_text((DEPLOY / "systemd" / unit.name).read_text().replace("/usr/local/bin/tollgate", "/bin/true"))
            verified = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True)
            self.assertEqual((verified.returncode, verified.stderr), (0, ""))
            security = ["systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE_MAX}", "--no-pager", unit]
            judged = subprocess.run(security, capture_output=True, text=True)
            self.assertEqual(judged.returncode, 0, judged.stdout)

    def test_the_task_definition_is_what_the_container_service_takes(self):
        model = botocore.session.get_session().get_service_model("ecs")
        shape = model.operation_model("RegisterTaskDefinition").input_shape
        task = json.loads((DEPLOY / "ecs" / "task-definition.json").read_text())
        self.assertEqual(botocore.validate.ParamValidator().validate(task, shape).generate_report(), "")
        gateway = task["containerDefinitions"][0]
        self.assertTrue(gateway["readonlyRootFilesystem"])
        self.assertEqual(gateway["healthCheck"]["command"], ["CMD", "/tollgate", "health"])
        gateway["stoptimeout"] = 1
        self.assertIn("stoptimeout", botocore.validate.ParamValidator().validate(task, shape).generate_report())


if __name__ == "__main__":
    unittest.main()
