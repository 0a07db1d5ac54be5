"""The chart on a cluster, with the commands of the README: from nothing to the first 200, upgrades under traffic, and back to nothing."""
import json
import os
import re
import subprocess
import sys
import time
import unittest
from pathlib import Path

from support import CONFORMANCE, DIR, assert_as_before, clean_machine, cluster

ROOT = CONFORMANCE.parent
NAMESPACE = "fairlead-system"
QUICKSTART = "docs/examples/kubernetes/quickstart.yaml"
# What of a release is in no namespace, and what is in its own.
CLUSTER_KINDS = "gatewayclasses,clusterroles,clusterrolebindings"
KINDS = "all,configmaps,secrets,leases,serviceaccounts,roles,rolebindings,poddisruptionbudgets,networkpolicies,proxyclasses"


class Install(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        helm = subprocess.run([ROOT / "charts" / "helm", "--build"], capture_output=True, text=True, check=True).stdout.strip()
        cls.environment = {**os.environ, "PATH": f"{helm}:{ROOT / 'target' / 'release'}:{os.environ['PATH']}"}
        cls.before = clean_machine()
        cls.addClassCleanup(cls.ended)
        cluster("up")
        cluster("load-image", "fairlead")

    @classmethod
    def ended(cls):
        cluster("down")
        assert_as_before(cls.before)

    def shell(self, command, check=True):
        """What a shell command prints, in the repository's folder, where the cluster's addresses answer."""
        done = cluster("exec", "bash", "-c", command, check=False, env=self.environment, cwd=ROOT)
        if check and done.returncode != 0:
            self.fail(f"$ {command}\n{done.stdout}{done.stderr}\n{self.state()}")
        return done.stdout.strip() if check else done

    def state(self):
        """For whoever reads why a test failed."""
        words = "kubectl get pods -A -o wide; kubectl get events -A --field-selector=type=Warning; kubectl get gatewayclass,gateway -A -o yaml"
        shown = cluster("exec", "bash", "-c", words, check=False)
        return shown.stdout[-8000:]

    def until(self, what, condition, seconds=60):
        end = time.monotonic() + seconds
        while not (found := condition()):
            if time.monotonic() > end:
                self.fail(f"{what}: not within {seconds} s\n{self.state()}")
            time.sleep(0.2)
        return found

    def get(self, words):
        return json.loads(self.shell(f"kubectl get {words} -o json"))

    def test_from_nothing_to_nothing(self):
        for step in (
            self.the_readme, self.its_commands, self.uninstalled_at_once, self.installed_again, self.a_proxy_class,
            self.upgraded_under_traffic, self.without_a_controller, self.another_leader, self.uninstalled,
        ):  # fmt: skip
            began = time.monotonic()
            step()
            print(f"{step.__name__}: {time.monotonic() - began:.1f} s", file=sys.stderr, flush=True)

    def the_readme(self):
        """Every command of the section, as it stands there; the last one is the first request."""
        section = (ROOT / "README.md").read_text().partition("\n## In a cluster\n")[2].partition("\n## ")[0]
        block = next(block for block in re.findall(r"^```console\n(.*?)^```", section, re.M | re.S) if "helm install" in block)
        commands = re.findall(r"^\$ (.*(?:\\\n.*)*)", block, re.M)
        self.assertGreaterEqual(len(commands), 4, block)
        printed = [self.shell(command) for command in commands]
        self.assertRegex(printed[-1], r"^HTTP/1.1 200 OK\r?\n(.*\n)*x-served-by: fairlead")
        self.assertIn('"path":"/hello"', printed[-1])

    def its_commands(self):
        status = self.shell("fairlead status")
        self.assertRegex(status, r"default/quickstart +http +HTTP +80")
        proxy = self.get("pods -l gateway.networking.k8s.io/gateway-name=quickstart")["items"][0]["metadata"]["name"]
        self.assertIn(proxy, status)
        config = self.shell("fairlead config -n default gateway/quickstart")
        self.assertIn("x-served-by", config)
        self.assertEqual(config, self.shell(f"fairlead config -n default {proxy}"))

    def uninstalled_at_once(self):
        """What came as a hook goes, too; the proxies of Gateways that stay serve on."""
        with Traffic(self) as traffic:
            self.shell(f"helm uninstall fairlead -n {NAMESPACE} --wait")
            self.nothing_left()
            time.sleep(2)
        traffic.answered()
        self.shell(f"kubectl delete --wait -f {QUICKSTART}")
        self.until("the proxies' end", lambda: "fairlead-quickstart" not in self.shell("kubectl get all -o name"))

    def installed_again(self):
        """The kinds are there now: nothing is a hook."""
        values = "--set replicaCount=2,proxy.accessLog.format=off"
        self.shell(f"helm install fairlead charts/fairlead -n {NAMESPACE} --set gatewayAPI.install=standard {values} --wait --timeout 60s")
        self.assertEqual(self.shell(f"helm get hooks fairlead -n {NAMESPACE}"), "")
        self.shell(f"kubectl apply -f {QUICKSTART}")
        self.shell("kubectl wait gateway/quickstart --for=condition=Programmed && kubectl rollout status deployment/echo --timeout=30s")
        self.assertEqual(self.arguments("fairlead-quickstart")["--access-log"], "off")

    def arguments(self, deployment):
        """The options of a proxy's Deployment."""
        container = self.get(f"deployment {deployment}")["spec"]["template"]["spec"]["containers"][0]
        words = [*container.get("command", []), *container.get("args", [])]
        return dict(word.partition("=")[::2] for word in words if word.startswith("--"))

    def a_proxy_class(self):
        """The guide's manifest, on what it makes."""
        self.shell("kubectl apply -f docs/examples/proxies/")
        self.shell("kubectl wait gateway/busy --for=condition=Programmed --timeout=60s")
        deployment, service = self.get("deployment fairlead-busy"), self.get("service fairlead-busy")
        pod = deployment["spec"]["template"]
        container = pod["spec"]["containers"][0]
        self.assertEqual(deployment["spec"]["replicas"], 2)
        self.assertEqual(container["resources"]["requests"], {"cpu": "250m", "memory": "64Mi"})
        self.assertEqual(pod["spec"]["tolerations"][0]["key"], "edge")
        self.assertEqual(pod["spec"]["topologySpreadConstraints"][0]["topologyKey"], "kubernetes.io/hostname")
        self.assertEqual(pod["metadata"]["annotations"]["example.com/team"], "edge")
        self.assertEqual(pod["metadata"]["labels"]["example.com/tier"], "front")
        self.assertEqual(service["spec"]["externalTrafficPolicy"], "Local")
        self.assertEqual(service["metadata"]["annotations"]["example.com/load-balancer"], "internal")
        for thing in (deployment, service):
            self.assertEqual(thing["metadata"]["labels"]["example.com/cost-centre"], "1234")
        options = self.arguments("fairlead-busy")
        self.assertEqual((options["--workers"], options["--drain-timeout"]), ("2", "20s"))
        self.shell("kubectl patch proxyclass busy --type=merge -p '{\"spec\":{\"replicas\":1}}'")
        self.until("one replica", lambda: self.get("deployment fairlead-busy")["spec"]["replicas"] == 1)
        self.shell("kubectl delete -f docs/examples/proxies/")

    def upgraded_under_traffic(self):
        """Other values: the controllers and the proxies roll, and no request fails."""
        with Traffic(self) as traffic:
            values = "--set proxy.replicas=2,proxy.logLevel=debug,logLevel=debug"
            self.shell(f"helm upgrade fairlead charts/fairlead -n {NAMESPACE} --reuse-values {values} --wait --timeout 90s")
            self.until("the new proxies", lambda: self.get("deployment fairlead-quickstart")["spec"]["replicas"] == 2)
            self.shell("kubectl rollout status deployment/fairlead-quickstart --timeout=90s")
            pods = "kubectl get pods -l gateway.networking.k8s.io/gateway-name=quickstart -o name"
            self.until("the end of the old ones", lambda: len(self.shell(pods).split()) == 2, 90)
        self.assertGreater(traffic.answered(), 500)
        self.assertEqual(self.arguments("fairlead-quickstart")["--log-level"], "debug")
        self.assertEqual(self.arguments("fairlead-quickstart")["--access-log"], "off")

    def without_a_controller(self):
        """Proxies serve on."""
        self.shell(f"kubectl -n {NAMESPACE} scale deployment/fairlead-controller --replicas=0")
        pods = f"kubectl -n {NAMESPACE} get pods -o name"
        self.until("the controllers' end", lambda: not self.shell(pods), 40)
        with Traffic(self) as traffic:
            time.sleep(2)
        traffic.answered()
        self.shell(f"kubectl -n {NAMESPACE} scale deployment/fairlead-controller --replicas=2")
        self.shell(f"kubectl -n {NAMESPACE} rollout status deployment/fairlead-controller --timeout=60s")

    def another_leader(self):
        """The one that leads is killed: the other takes over, and serves a new route."""
        def holder():
            lease = self.get(f"lease fairlead-controller -n {NAMESPACE}")
            return lease["spec"].get("holderIdentity", "").partition("_")[0]

        first = self.until("a leader", holder)
        self.shell(f"kubectl -n {NAMESPACE} delete pod {first} --grace-period=0 --force")
        self.until("another leader", lambda: holder() not in ("", first))
        self.shell("kubectl patch httproute hello --type=json -p '[{\"op\":\"replace\",\"path\":\"/spec/rules/0/filters/0/responseHeaderModifier/set/0/value\",\"value\":\"another\"}]'")
        address = self.address()
        self.until("the new value", lambda: "x-served-by: another" in self.shell(f"curl -si http://{address}/"), 30)
        generation = "kubectl get httproute hello -o jsonpath='{.metadata.generation} {.status.parents[0].conditions[0].observedGeneration}'"
        self.until("its status", lambda: len(set(self.shell(generation).split())) == 1, 30)

    def uninstalled(self):
        """The regular way: Gateways first, then the release."""
        self.shell("kubectl delete gateways --all")
        self.until("the proxies' end", lambda: "fairlead-quickstart" not in self.shell("kubectl get all -o name"), 90)
        self.shell(f"helm uninstall fairlead -n {NAMESPACE} --wait")
        self.nothing_left()

    def nothing_left(self):
        """But the CRDs, and with them everybody's objects."""
        for words in (f"{CLUSTER_KINDS} -l app.kubernetes.io/instance=fairlead", f"gatewayclasses", f"{KINDS} -n {NAMESPACE}"):
            kept = ("configmap/kube-root-ca.crt", "serviceaccount/default")
            listed = lambda: [name for name in self.shell(f"kubectl get {words} -o name").split() if name not in kept and "pod/" not in name]
            self.until(f"nothing of {words} (left: {listed()})", lambda: not listed(), 40)
        crds = self.shell("kubectl get crd -o name")
        for kind in ("gateways.gateway.networking.k8s.io", "proxyclasses.fairlead.dev"):
            self.assertIn(f"/{kind}", crds)

    def address(self):
        return self.shell("kubectl get gateway quickstart -o jsonpath='{.status.addresses[0].value}'")


class Traffic:
    """Requests to the quickstart's Gateway while something else happens."""

    def __init__(self, test):
        self.test = test
        self.stop = DIR / "stop"

    def __enter__(self):
        self.stop.unlink(missing_ok=True)
        script = Path(__file__).parent / "traffic.py"
        command = [CONFORMANCE / "cluster", "exec", sys.executable, script, self.test.address(), self.stop]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        time.sleep(0.5)
        return self

    def __exit__(self, *_):
        self.stop.touch()
        self.output = self.process.communicate(timeout=30)[0]
        self.stop.unlink()

    def answered(self):
        """How many requests there were; none of them failed."""
        result = json.loads(self.output)
        self.test.assertEqual(result["failures"], {}, result)
        self.test.assertGreater(result["requests"], 100)
        return result["requests"]
