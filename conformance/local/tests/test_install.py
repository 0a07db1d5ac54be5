"""The chart on a cluster, with the commands of the README: from nothing to the first 200, upgrades under traffic, and back to nothing."""
import re
import sys
import time

from product import NAMESPACE, QUICKSTART, ROOT, Product, Traffic

# What of a release is in no namespace, and what is in its own.
CLUSTER_KINDS = "gatewayclasses,clusterroles,clusterrolebindings"
KINDS = "all,configmaps,secrets,leases,serviceaccounts,roles,rolebindings,poddisruptionbudgets,networkpolicies,proxyclasses"


class Install(Product):
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
        self.assertRegex(printed[-1], '"path": ?"/hello"')

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
        self.served()
        self.assertEqual(self.arguments("fairlead-quickstart")["--access-log"], "off")

    def arguments(self, deployment):
        """The options of a proxy's Deployment."""
        container = self.get(f"deployment {deployment}")["spec"]["template"]["spec"]["containers"][0]
        words = [*container.get("command", []), *container.get("args", [])]
        return dict(word.partition("=")[::2] for word in words if word.startswith("--"))

    def a_proxy_class(self):
        """The guide's manifest, on what it makes."""
        self.shell("kubectl apply -f docs/examples/proxies/proxyclass.yaml")
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
        self.shell("kubectl delete -f docs/examples/proxies/proxyclass.yaml")

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
        self.says("another")

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
