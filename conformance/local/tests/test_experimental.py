"""What of the experimental channel the upstream suite has no tests for, in a cluster: a request and a condition each."""
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from product import NAMESPACE, ROOT, Product
from support import CONFORMANCE

MANIFESTS = "conformance/local/tests/experimental.yaml"

BUDGET = """
apiVersion: gateway.networking.x-k8s.io/v1alpha1
kind: XBackendTrafficPolicy
metadata: {name: orders}
spec:
  targetRefs: [{group: "", kind: Service, name: orders}]
  retryConstraint: {budget: {percent: 0, interval: 10s}, minRetryRate: {count: 1, interval: 1h}}
"""

BUNDLE = """
apiVersion: certificates.k8s.io/v1beta1
kind: ClusterTrustBundle
metadata: {name: "example.com:members:v1"}
spec:
  signerName: example.com/members
  trustBundle: |
"""

# Where the services of tests/testkit listen, which stand outside of the cluster as far as it is concerned.
OUTSIDE = {"authoriser": 3002, "collector": 4317}

SLICE = """---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: {name}, labels: {{kubernetes.io/service-name: {name}}}}}
addressType: IPv4
ports: [{{port: {port}}}]
endpoints: [{{addresses: ["{address}"]}}]
"""


class Experimental(Product):
    def test_what_the_suite_does_not(self):
        with tempfile.TemporaryDirectory() as folder:
            self.folder = Path(folder)
            for step in (
                self.installed, self.services, self.external_authorisation, self.grpc_authorisation, self.traces, self.listener_filters, self.destination_port, self.selected_pods,
                self.a_backend_that_is_refused, self.sessions, self.retry_budget, self.trust_bundle, self.other_client_certificates,
            ):  # fmt: skip
                began = time.monotonic()
                step()
                print(f"{step.__name__}: {time.monotonic() - began:.1f} s", file=sys.stderr, flush=True)

    def installed(self):
        values = "--set gatewayAPI.install=experimental,replicaCount=1"
        self.shell(f"helm install fairlead charts/fairlead -n {NAMESPACE} --create-namespace {values} --wait --timeout 90s")
        for name in ("server", "first", "second", "members"):
            self.authority(name)
        self.shell(f"kubectl create secret tls server --cert={self.folder}/server.crt --key={self.folder}/server.key")
        self.shell(f"kubectl create configmap clients --from-file=ca.crt={self.folder}/first-ca.crt")
        pem = (self.folder / "members-ca.crt").read_text()
        self.apply(BUNDLE + "".join(f"    {line}\n" for line in pem.splitlines()))
        self.shell(f"kubectl apply -f {MANIFESTS}")
        self.shell("kubectl wait gateway/web --for=condition=Programmed --timeout=60s")
        self.shell("kubectl rollout status deployment/echo --timeout=60s")
        self.at = self.shell("kubectl get gateway web -o jsonpath='{.status.addresses[0].value}'")
        for listener in self.get("gateway web")["status"]["listeners"]:
            wrong = [condition for condition in listener["conditions"] if condition["status"] != ("False" if condition["type"] == "Conflicted" else "True")]
            self.assertEqual(wrong, [], listener["name"])
        for route in ("authorised", "behind", "by-port", "selected", "sessions", "retried"):
            self.conditions(f"httproute {route}", Accepted="True", ResolvedRefs="True")
        self.until("the first answer", lambda: self.ask("selected.example.com")[0] == 200)

    def external_authorisation(self):
        self.assertEqual(self.ask("authorised.example.com", "/cart")[0], 200)
        self.assertEqual(self.ask("authorised.example.com", "/cart?status=403")[0], 403)
        self.assertEqual(self.ask("selected.example.com", "/cart?status=418")[0], 418, "what a backend says, where nobody is asked")

    def services(self):
        """An authorisation service and a collector, which the cluster's proxies reach at the node's address."""
        build = ["cargo", "build", "--quiet", "-p", "fairlead-testkit", "--bin", "services", "--message-format=json-render-diagnostics"]
        built = subprocess.run(build, capture_output=True, text=True, check=True, cwd=ROOT).stdout.splitlines()
        binary = next(path for line in built if (path := json.loads(line).get("executable")))
        self.spans = self.folder / "spans"
        command = [CONFORMANCE / "cluster", "exec", binary, *map(str, OUTSIDE.values())]
        with self.spans.open("w") as spans:
            running = subprocess.Popen(command, stdout=spans)
        self.addCleanup(lambda: (running.kill(), running.wait()))
        node = self.shell("""kubectl get nodes -o jsonpath='{.items[0].status.addresses[?(@.type=="InternalIP")].address}'""")
        self.apply("".join(SLICE.format(name=name, port=port, address=node) for name, port in OUTSIDE.items()))

    def grpc_authorisation(self):
        self.conditions("httproute authorised-by-grpc", Accepted="True", ResolvedRefs="True")
        self.until("the service's consent", lambda: self.ask("bank.example.com", "/cart")[0] == 200)
        user = json.loads(self.ask("bank.example.com", "/cart", more="-H 'x-user: eve'")[2])["headers"]["X-User"]
        self.assertEqual(user, ["ann"], "as the service says, not as the client says")
        status, _, body = self.ask("bank.example.com", "/forbidden")
        self.assertEqual((status, body), (451, "not here"))

    def traces(self):
        self.conditions("xtelemetrypolicy traces", Accepted="True")
        trace = "4bf92f3577b34da6a3ce929d0e0e4736"
        self.assertEqual(self.ask("bank.example.com", "/cart", more=f"-H 'traceparent: 00-{trace}-00f067aa0ba902b7-01'")[0], 200)
        spans = lambda: [span for line in self.spans.read_text().splitlines() if (span := json.loads(line))["trace"] == trace]
        self.until("the request's span and that of its check", lambda: len(spans()) >= 2)
        self.assertEqual({span["service"] for span in spans()}, {"web-edge"})
        self.assertIn("envoy.service.auth.v3.Authorization/Check", {span["name"] for span in spans()})

    def listener_filters(self):
        self.assertEqual(self.ask("any.example.com", port=8081)[0], 200)
        self.assertEqual(self.ask("any.example.com", "/?status=401", port=8081)[0], 401)

    def destination_port(self):
        self.assertEqual((self.ask("port.example.com", port=8080)[0], self.ask("port.example.com")[0]), (200, 404))
        attached = {listener["name"]: listener["attachedRoutes"] for listener in self.get("gateway web")["status"]["listeners"]}
        self.assertEqual((attached["other"], attached["guarded"]), (1, 1))

    def selected_pods(self):
        self.conditions("xbackend selected", Accepted="True", ResolvedRefs="True")
        self.until("answers of all pods", lambda: len(self.pods("selected.example.com", 30)) == 3)
        self.shell("kubectl scale deployment/echo --replicas=2")
        self.shell("kubectl rollout status deployment/echo --timeout=60s")
        self.until("answers of two", lambda: len(self.pods("selected.example.com", 30)) == 2)

    def a_backend_that_is_refused(self):
        self.assertEqual(self.ask("refused.example.com")[0], 500)
        message = self.conditions("xbackend refused", Accepted="False")["Accepted"]
        self.assertEqual(message["reason"], "Invalid")
        self.assertIn("is a name within the cluster", message["message"])
        self.conditions("httproute refused", Accepted="True", ResolvedRefs="False")

    def sessions(self):
        self.conditions("xbackend sessions", Accepted="True", ResolvedRefs="True")
        for _ in range(4):
            status, head, body = self.ask("sessions.example.com")
            self.assertEqual(status, 200)
            cookie = re.search(r"^set-cookie: (place=[^;\r\n]+)", head, re.M | re.I)
            self.assertTrue(cookie, head)
            again = self.pods("sessions.example.com", 15, f"-H 'cookie: {cookie[1]}'")
            self.assertEqual(again, {json.loads(body)["pod"]})
        self.assertEqual(len(self.pods("sessions.example.com", 30)), 2, "without a cookie all are asked")

    def retry_budget(self):
        ask = lambda: self.ask("retried.example.com", "/?status=500")[0]
        self.assertEqual([ask() for _ in range(5)], [500] * 5, "tried three times each")
        self.apply(BUDGET)
        self.until("the policy", lambda: ask() == 503)
        self.assertEqual([ask() for _ in range(5)], [503] * 5, "no retry is left")
        self.conditions("xbackendtrafficpolicy orders", Accepted="True")
        self.assertEqual(self.ask("retried.example.com")[0], 200)
        self.shell("kubectl delete xbackendtrafficpolicy orders")
        self.until("its end", lambda: ask() == 500)

    def trust_bundle(self):
        self.assertEqual(self.as_client("members", 8444), 200)
        self.assertEqual((self.as_client("first", 8444), self.as_client(None, 8444)), (0, 0))

    def other_client_certificates(self):
        """Another CA for clients, while others are served."""
        self.assertEqual((self.as_client("first", 8443), self.as_client("second", 8443), self.as_client(None, 8443)), (200, 0, 0))
        create = "kubectl create configmap clients --dry-run=client -o yaml"
        files = lambda *names: "".join((self.folder / f"{name}-ca.crt").read_text() for name in names)
        for names, wanted in ((("first", "second"), (200, 200)), (("second",), (0, 200))):
            (self.folder / "ca.crt").write_text(files(*names))
            began = time.monotonic()
            self.shell(f"{create} --from-file={self.folder}/ca.crt | kubectl apply -f -")
            self.until(f"{names}", lambda: (self.as_client("first", 8443), self.as_client("second", 8443)) == wanted)
            print(f"clients of {names} after {time.monotonic() - began:.1f} s", file=sys.stderr, flush=True)
        self.shell("kubectl delete configmap clients")
        self.until("nobody", lambda: self.as_client("second", 8443) == 0)
        wrong = lambda: [c["type"] for c in self.listener("clients")["conditions"] if c["type"] == "ResolvedRefs" and c["status"] == "False"]
        self.until("a condition", wrong)
        self.assertEqual(self.ask("selected.example.com")[0], 200)

    def listener(self, name):
        return next(one for one in self.get("gateway web")["status"]["listeners"] if one["name"] == name)

    def authority(self, name):
        """A CA, and a certificate of it."""
        at = f"{self.folder}/{name}"
        self.shell(
            f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN={name}-ca -keyout {at}-ca.key -out {at}-ca.crt && "
            f"openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN={name}.example.com -keyout {at}.key -out {at}.csr && "
            f"openssl x509 -req -in {at}.csr -CA {at}-ca.crt -CAkey {at}-ca.key -CAcreateserial -days 2 -out {at}.crt "
            f"-extfile <(echo subjectAltName=DNS:{name}.example.com)"
        )

    def apply(self, text):
        (self.folder / "manifest.yaml").write_text(text)
        self.shell(f"kubectl apply -f {self.folder}/manifest.yaml")

    def conditions(self, what, **wanted):
        """An object's conditions under its first parent or ancestor, once they are as wanted."""
        def found():
            status = self.get(what).get("status", {})
            entries = status.get("parents") or status.get("ancestors") or []
            all = {condition["type"]: condition for entry in entries for condition in entry["conditions"]}
            return all if {name: all.get(name, {}).get("status") for name in wanted} == wanted else None

        return self.until(f"{what} to be {wanted}", found, 20)

    def ask(self, host, path="/", port=80, more=""):
        """Status, head and body of the answer."""
        text = self.shell(f"curl -si --max-time 10 {more} -H 'host: {host}' 'http://{self.at}:{port}{path}'", check=False).stdout
        head, _, body = text.replace("\r\n", "\n").partition("\n\n")
        status = re.match(r"HTTP/[\d.]+ (\d+)", head)
        return int(status[1]) if status else 0, head, body.strip()

    def pods(self, host, count, more=""):
        """Which pods answer so many requests."""
        urls = " ".join([f"http://{self.at}/"] * count)
        text = self.shell(f"curl -s --max-time 10 {more} -H 'host: {host}' {urls}")
        return set(re.findall(r'"pod": ?"([^"]+)"', text))

    def as_client(self, name, port):
        """The status for a client with a certificate, or with none; 0 when it is turned away."""
        shown = f"--cert {self.folder}/{name}.crt --key {self.folder}/{name}.key" if name else ""
        to = f"--cacert {self.folder}/server-ca.crt --connect-to server.example.com:{port}:{self.at}:{port}"
        command = f"curl -s --max-time 10 -o /dev/null -w '%{{http_code}}' {to} {shown} https://server.example.com:{port}/"
        return int(self.shell(command, check=False).stdout or 0)
