"""The pods of chart and manifests, run by an engine: without a cluster, but as they are written."""

import unittest

import yaml
from engine import IMAGE, Engine, answers, ask, free_port, until
from test_manifests import of_kind, plain, rendered

RULES = '[server]\n[[routes]]\nmatch = "GET /"\nrespond = { text = "of the chart" }\n'


class Pod(unittest.TestCase):
    def setUp(self):
        self.engine = Engine()
        self.addCleanup(self.engine.remove_everything)
        self.engine.run("scripts/containers", "image")

    def run_pod(self, found):
        """Runs the pod of a StatefulSet, and answers with where its two ports are and what its container is called."""
        stateful = of_kind(found, "StatefulSet")
        pod = stateful["spec"]["template"] | {"apiVersion": "v1", "kind": "Pod"}
        pod["metadata"]["name"] = "pod"
        claim = stateful["spec"]["volumeClaimTemplates"][0] | {"apiVersion": "v1", "kind": "PersistentVolumeClaim"}
        pod["spec"].setdefault("volumes", []).append({"name": "data", "persistentVolumeClaim": {"claimName": "data"}})
        gateway = pod["spec"]["containers"][0] | {"image": IMAGE, "imagePullPolicy": "Never"}
        pod["spec"]["containers"] = [gateway]
        where = {}
        for port in gateway["ports"]:
            port |= {"hostIP": "127.0.0.1", "hostPort": free_port()}
            where[port["name"]] = f"http://127.0.0.1:{port['hostPort']}"
        # The engine would ask by a shell within the container; here it is asked from outside.
        self.probes = [gateway.pop(probe)["httpGet"] for probe in ("livenessProbe", "readinessProbe")]
        gateway.pop("lifecycle")
        file = self.engine.directory / "pod.yaml"
        file.write_text(yaml.dump_all([of_kind(found, "ConfigMap"), claim, pod]))
        self.engine.podman("play", "kube", str(file))
        self.addCleanup(self.engine.podman, "pod", "rm", "--force", "--time=0", "--all", check=False)
        until(lambda: answers(where["http"]), "the gateway")
        return where, f"pod-{gateway['name']}"

    def assert_it_is_probed_and_strict(self, where, name):
        for probe in self.probes:
            self.assertEqual(ask(where[probe["port"]] + probe["path"]).status, 200, probe)
        shown = "{{.HostConfig.ReadonlyRootfs}} {{.Config.User}} {{.EffectiveCaps}}"
        self.assertEqual(self.engine.podman("inspect", f"--format={shown}", name), "true 65532:65532 []")

    def test_the_pod_of_the_chart_serves_its_rules_and_answers_its_probes(self):
        where, name = self.run_pod(rendered({"rules": RULES}))
        self.assertEqual(ask(where["http"]).text, "of the chart")
        self.assert_it_is_probed_and_strict(where, name)

    def test_the_pod_of_the_plain_manifests_limits_what_comes_and_answers_its_probes(self):
        where, name = self.run_pod(plain())
        reply = ask(where["http"])
        self.assertIn(reply.status, (502, 504), "there is no such upstream here; the name may be looked for in vain for long")
        self.assertIn("q=100", reply.headers["ratelimit-policy"])
        self.assert_it_is_probed_and_strict(where, name)


if __name__ == "__main__":
    unittest.main()
