"""What goes wrong around Fairlead: the API server ends, rights are missing, kinds are missing or too old. Nothing that is served is lost,
each thing is told, and all is well again when the cause is gone."""
import json
import os
import signal
import subprocess

from product import NAMESPACE, Product, Traffic

from fairlead_local import daemons
from support import cluster


class Trouble(Product):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        test = cls("setUp")
        test.shell(f"helm install fairlead charts/fairlead -n {NAMESPACE} --create-namespace --set gatewayAPI.install=standard --wait --timeout 90s")
        test.served()

    def restarts(self):
        pods = self.get(f"pods -n {NAMESPACE}")["items"]
        return {pod["metadata"]["name"]: pod["status"]["containerStatuses"][0]["restartCount"] for pod in pods}

    def condition(self, words, name):
        """(status, reason, message) of a condition."""
        conditions = self.get(words).get("status", {}).get("conditions", [])
        return next(((c["status"], c["reason"], c["message"]) for c in conditions if c["type"] == name), ("", "", ""))

    def roll(self):
        self.shell(f"kubectl -n {NAMESPACE} rollout restart deployment/fairlead-controller")

    def rolled(self):
        self.shell(f"kubectl -n {NAMESPACE} rollout status deployment/fairlead-controller --timeout=90s")

    def test_the_api_server_ends(self):
        before = self.restarts()
        with Traffic(self, self.address()) as traffic:
            os.kill(daemons.alive("kube-apiserver"), signal.SIGKILL)
            self.until("its end", lambda: not daemons.alive("kube-apiserver"), 10)
            cluster("up")
            self.says("after-restart")
        traffic.answered()
        self.assertEqual(self.restarts(), before)

    def test_a_right_is_missing(self):
        """A controller that may not read Secrets pushes nothing half-known: the old one stays, and the new one says why."""
        binding = f"clusterrolebinding {NAMESPACE}:fairlead-controller:secrets"
        held = self.get(binding)
        held["metadata"] = {key: held["metadata"][key] for key in ("name", "labels", "annotations")}
        with Traffic(self) as traffic:
            self.shell(f"kubectl delete {binding}")
            self.roll()
            logs = f"kubectl -n {NAMESPACE} logs -l app.kubernetes.io/component=controller --tail=-1"
            told = lambda: [line for line in self.shell(logs, check=False).stdout.splitlines() if "secrets" in line.lower() and "forbidden" in line.lower()]
            self.until("a message about it", told)
            self.apply(held, how="create")
            self.rolled()
            self.says("with-all-rights")
        traffic.answered()

    def test_the_gateway_api_is_too_old(self):
        crds = " ".join(name for name in self.shell("kubectl get crd -o name").split() if ".gateway.networking.k8s.io" in name)
        key = "gateway.networking.k8s.io/bundle-version"
        now = self.get("crd gateways.gateway.networking.k8s.io")["metadata"]["annotations"][key]
        supported = lambda: self.condition("gatewayclass fairlead", "SupportedVersion")
        self.assertEqual(supported()[0], "True", supported())
        self.shell(f"kubectl annotate --overwrite {crds} {key}=v0.8.1")
        self.until("SupportedVersion False", lambda: supported()[0] == "False")
        self.assertEqual(supported()[1], "UnsupportedVersion")
        self.assertIn("v0.8.1", supported()[2])
        self.shell(f"kubectl annotate --overwrite {crds} {key}={now}")
        self.until("SupportedVersion True", lambda: supported()[0] == "True")
        self.says("with-the-right-version")

    def test_a_kind_is_missing(self):
        """The CRD goes while the controller runs, and one starts without it; then it comes back."""
        name = "crd udproutes.gateway.networking.k8s.io"
        definition = self.get(name)
        del definition["status"]
        kept = ("name", "labels", "annotations")
        definition["metadata"] = {key: value for key, value in definition["metadata"].items() if key in kept}
        self.shell(f"kubectl delete {name}")
        self.says("without-a-kind")
        self.roll()
        self.rolled()
        self.says("started-without-it")
        self.apply(definition, how="create")
        self.shell(f"kubectl wait {name} --for=condition=Established --timeout=30s")
        gateway = {
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"name": "datagrams"},
            "spec": {"gatewayClassName": "fairlead", "listeners": [{"name": "udp", "protocol": "UDP", "port": 53}]},
        }  # fmt: skip
        route = {
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "UDPRoute", "metadata": {"name": "datagrams"},
            "spec": {"parentRefs": [{"name": "datagrams"}], "rules": [{"backendRefs": [{"name": "echo", "port": 80}]}]},
        }  # fmt: skip
        self.apply(gateway, route)
        parent = lambda: self.get("udproute datagrams").get("status", {}).get("parents", [])
        self.until("the route's status", lambda: parent() and parent()[0]["conditions"][0]["status"] == "True")

    def test_another_installation(self):
        """With a controllerName of its own: each serves its own class, and neither touches what is the other's."""
        objects = "kubectl get deployments,services,gateways,httproutes -n default -l app.kubernetes.io/instance!=fairlead-theirs -o json"
        versions = lambda: {o["metadata"]["name"]: o["metadata"]["resourceVersion"] for o in json.loads(self.shell(objects))["items"] if o["metadata"]["name"] != "theirs"}
        before = versions()
        self.addCleanup(self.shell, "helm uninstall other -n other --wait --ignore-not-found; kubectl delete gateway theirs --ignore-not-found")
        values = "controllerName=example.com/other,gatewayClass.name=other,crds.install=false,replicaCount=1"
        self.shell(f"helm install other charts/fairlead -n other --create-namespace --set {values} --wait --timeout 60s")
        gateway = {
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"name": "theirs"},
            "spec": {"gatewayClassName": "other", "listeners": [{"name": "http", "protocol": "HTTP", "port": 80}]},
        }  # fmt: skip
        self.apply(gateway)
        self.shell("kubectl wait gateway/theirs --for=condition=Programmed --timeout=60s")
        self.assertIn("other-fairlead-controller.other.svc", json.dumps(self.get("deployment fairlead-theirs")))
        self.assertEqual(versions(), before)
        self.says("still-the-first")
        self.shell("kubectl delete gateway theirs && helm uninstall other -n other --wait")
        self.says("after-the-other")

    def test_another_installation_of_the_same_name(self):
        """The younger one stands by and says so; it takes over when the older one stays away, and gives way when that is back. No request fails."""
        self.addCleanup(self.shell, "helm uninstall twin -n twin --wait --ignore-not-found")
        self.addCleanup(self.scale, 2)
        controller = lambda: json.dumps(self.get("deployment fairlead-quickstart")["spec"]["template"]["spec"]["containers"][0]["args"])
        values = "gatewayClass.create=false,crds.install=false,replicaCount=1"
        self.shell(f"helm install twin charts/fairlead -n twin --create-namespace --set {values} --wait --timeout 60s")
        events = "kubectl -n twin get events --field-selector reason=LeaderElection,type=Warning -o jsonpath='{.items[*].message}'"
        said = self.until("what the other says", lambda: self.shell(events))
        for part in (f"namespace {NAMESPACE}", "fairlead.dev/gateway-controller", "stands by", "Uninstall one"):
            self.assertIn(part, said)
        self.assertIn("stands by", self.shell("kubectl -n twin logs deployment/twin-fairlead-controller"))
        self.says("still-the-older")
        with Traffic(self) as traffic:
            self.scale(0)
            self.until("its proxies are the other's", lambda: "twin-fairlead-controller.twin.svc" in controller(), 120)
            self.shell("kubectl rollout status deployment/fairlead-quickstart --timeout=90s")
            self.says("by-the-younger")
            self.scale(2)
            self.until("they are the first's again", lambda: f"fairlead-controller.{NAMESPACE}.svc" in controller(), 60)
            self.shell("kubectl rollout status deployment/fairlead-quickstart --timeout=90s")
            self.says("by-the-older")
        traffic.answered()

    def scale(self, replicas):
        self.shell(f"kubectl -n {NAMESPACE} scale deployment/fairlead-controller --replicas={replicas}")
        if replicas:
            self.shell(f"kubectl -n {NAMESPACE} rollout status deployment/fairlead-controller --timeout=60s")

    def test_strangers(self):
        """A pod that is no proxy of a Gateway gets no certificate, and a proxy trusts no controller of another CA. Both say so; nobody else notices."""
        words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=other", "-keyout", "/dev/null"]
        other = subprocess.run(words, capture_output=True, text=True, check=True).stdout
        bundle = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "other-ca"}, "data": {"ca.crt": other}}
        proxy = self.get("deployment fairlead-quickstart")["spec"]["template"]["spec"]
        stranger, misled = json.loads(json.dumps(proxy)), json.loads(json.dumps(proxy))
        stranger["serviceAccountName"] = stranger["serviceAccount"] = "default"
        next(volume for volume in misled["volumes"] if "configMap" in volume)["configMap"]["name"] = "other-ca"
        pods = {"stranger": stranger, "misled": misled}
        with Traffic(self) as traffic:
            self.apply(bundle, *({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec} for name, spec in pods.items()))
            log = lambda name: self.shell(f"kubectl logs {name}", check=False).stdout
            self.until("what the stranger is told", lambda: "none of our Gateways" in log("stranger"))
            self.until("whom the other does not trust", lambda: "UnknownIssuer" in log("misled") or "unknown issuer" in log("misled").lower())
            for name in pods:
                conditions = {c["type"]: c["status"] for c in self.get(f"pod {name}")["status"]["conditions"]}
                self.assertEqual(conditions["Ready"], "False", name)
            self.says("among-strangers")
            self.shell("kubectl delete pod stranger misled --grace-period=1 && kubectl delete configmap other-ca")
        traffic.answered()

    def apply(self, *objects, how="apply"):
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        self.shell(f"kubectl {how} -f - <<'EOF'\n{text}\nEOF")
