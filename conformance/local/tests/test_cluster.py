"""The local cluster from up to down: pods, DNS, Services, LoadBalancer addresses, logs, and that nothing is left."""
import json
import os
import re
import socket
import struct
import subprocess
import sys
import time
import unittest

from support import CONFORMANCE, DIR, IMAGE, assert_as_before, clean_machine, cluster

from fairlead_local import build, configs, daemons


class LocalCluster(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.before = clean_machine()
        cls.addClassCleanup(cls.ended)
        cls.bring_up()

    @classmethod
    def bring_up(cls):
        cluster("up")
        cluster("load-image", "echo")
        cls.apply(
            {
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {"name": "restricted", "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
            },
            deployment("echo", 2),
            service("echo"),
            service("balanced", type="LoadBalancer", externalTrafficPolicy="Local"),
            service("fixed", type="LoadBalancer", loadBalancerIP="172.30.1.200"),
            service("outside", type="LoadBalancer", loadBalancerIP="192.0.2.99"),
        )
        cluster("kubectl", "-n", "restricted", "rollout", "status", "deployment/echo", "--timeout=60s")

    @classmethod
    def ended(cls):
        """The last test: after `down` the machine is as it was."""
        sleeper = subprocess.Popen([CONFORMANCE / "cluster", "exec", "sleep", "1000"])
        time.sleep(0.5)
        assert "nothing" not in cluster("down").stderr
        assert sleeper.wait(5) != 0, "a command of `exec` outlived the cluster"
        assert_as_before(cls.before)
        assert not (DIR / "state").exists() and not (DIR / "kubeconfig").exists()
        assert cluster("status", check=False).returncode == 1
        assert "nothing" in cluster("down").stderr

    @classmethod
    def apply(cls, *objects):
        command = ["kubectl", "apply", "--server-side", "-f", "-"]
        cluster(*command, input=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))

    def get(self, *words):
        return cluster("kubectl", "-n", "restricted", "get", *words).stdout.strip()

    def address(self, name):
        """A Service's LoadBalancer address, waited for."""
        for _ in range(50):
            address = self.get("service", name, "-o", "jsonpath={.status.loadBalancer.ingress[0].ip}")
            if address:
                return address
            time.sleep(0.1)
        return None

    def request(self, url, *options):
        words = ["curl", "-sS", "--fail", "--max-time", "5", "--retry", "5", "--retry-connrefused", *options, url]
        return json.loads(cluster("exec", *words).stdout)

    def test_up_again_changes_nothing(self):
        before = cluster("status").stdout
        self.assertIn("up already", cluster("up").stderr)
        processes = re.compile(r"^(\S+) +(\d+) .*log$", re.M)
        self.assertEqual(processes.findall(before), processes.findall(cluster("status").stdout))
        self.assertEqual(len(processes.findall(before)), 9)

    def test_up_starts_what_died(self):
        pid = re.search(r"^coredns +(\d+)", cluster("status").stdout, re.M)[1]
        os.kill(int(pid), 9)
        for _ in range(50):
            if cluster("status", check=False).returncode == 1:
                break
            time.sleep(0.1)
        else:
            self.fail("status did not notice that coredns died")
        cluster("up")
        cluster("status")
        self.assertEqual(self.resolve("echo.restricted.svc.cluster.local"), [self.get("service", "echo", "-o", "jsonpath={.spec.clusterIP}")])

    def test_version(self):
        versions = json.loads(cluster("kubectl", "version", "-o", "json").stdout)
        self.assertEqual(versions["serverVersion"]["gitVersion"], f"v{build.KUBERNETES}")
        self.assertEqual(versions["serverVersion"]["minor"], build.KUBERNETES.split(".")[1])

    def test_service_reaches_all_pods(self):
        cluster_ip = self.get("service", "echo", "-o", "jsonpath={.spec.clusterIP}")
        pods = {self.request(f"http://{cluster_ip}/")["pod"] for _ in range(40)}
        self.assertEqual(len(pods), 2)

    def test_load_balancer_addresses(self):
        address = self.address("balanced")
        self.assertTrue(address and address.startswith("172.30.1."), address)
        self.assertEqual(self.request(f"http://{address}/hello")["path"], "/hello")
        self.assertEqual(self.address("fixed"), "172.30.1.200")
        self.assertEqual(self.request("http://172.30.1.200/")["namespace"], "restricted")
        self.assertEqual(self.get("service", "outside", "-o", "jsonpath={.status.loadBalancer.ingress}"), "")

    def test_nothing_leaves(self):
        done = cluster("exec", "curl", "-sS", "--max-time", "2", "http://192.0.2.1/", check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertEqual(self.resolve("example.com"), [])

    def test_dns(self):
        pods = self.get("pods", "-o", "jsonpath={.items[*].status.podIP}").split()
        self.assertEqual(self.resolve("echo.restricted.svc.cluster.local"), [self.get("service", "echo", "-o", "jsonpath={.spec.clusterIP}")])
        self.apply(service("headless", clusterIP="None"))
        for _ in range(80):
            found = sorted(self.resolve("headless.restricted.svc.cluster.local"))
            if found:
                break
            time.sleep(0.1)
        self.assertEqual(found, sorted(pods))

    def resolve(self, name):
        """The A records of a name, asked of the cluster's DNS."""
        question = b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0\0\1\0\1"
        query = struct.pack(">6H", 7, 0x100, 1, 0, 0, 0) + question
        script = (
            "import socket,sys; s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); s.settimeout(5);"
            f"s.sendto(bytes.fromhex('{query.hex()}'),('{configs.DNS}',53)); print(s.recv(4096).hex())"
        )
        reply = bytes.fromhex(cluster("exec", sys.executable, "-c", script).stdout)
        answers, place, found = struct.unpack(">H", reply[6:8])[0], len(query), []
        for _ in range(answers):
            while reply[place] and reply[place] < 0xC0:
                place += reply[place] + 1
            place += 2 if reply[place] else 1
            kind, _, _, length = struct.unpack(">HHIH", reply[place : place + 10])
            if kind == 1:
                found.append(socket.inet_ntoa(reply[place + 10 : place + 14]))
            place += 10 + length
        return found

    def test_logs_and_port_forward(self):
        pod = self.get("pods", "-o", "jsonpath={.items[0].metadata.name}")
        forward = ["kubectl", "-n", "restricted", "port-forward", pod, "18080:3000"]
        process = subprocess.Popen([CONFORMANCE / "cluster", *forward], stdout=subprocess.PIPE, text=True)
        try:
            self.assertIn("Forwarding", process.stdout.readline())
            self.assertEqual(self.request("http://127.0.0.1:18080/forwarded")["pod"], pod)
        finally:
            process.terminate()
            process.wait()
            process.stdout.close()
        self.assertIn("/forwarded", cluster("kubectl", "-n", "restricted", "logs", pod).stdout)

    def test_load_image_says_what_is_wrong(self):
        done = cluster("load-image", "no-such-file", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("no file no-such-file", done.stderr)


class CrashedCluster(unittest.TestCase):
    """The machine lost power, or somebody killed all processes: neither `up` nor `down` needs the rest."""

    def setUp(self):
        self.before = clean_machine()
        self.addCleanup(cluster, "down")
        LocalCluster.bring_up()
        for name in daemons.known():
            os.kill(daemons.alive(name), 9)

    def test_down(self):
        cluster("down")
        assert_as_before(self.before)

    def test_up(self):
        cluster("up")
        pods = cluster("kubectl", "get", "pods", "-A", "-o", "name").stdout
        self.assertEqual(pods, "", "pods of the cluster before")
        cluster("down")
        assert_as_before(self.before)


def deployment(name, replicas):
    labels = {"app": name}
    container = {
        "name": name,
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "env": [
            {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
        ],
        "readinessProbe": {"httpGet": {"path": "/health", "port": 3000}, "periodSeconds": 1},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "restricted"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }


def service(name, **spec):
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "restricted"},
        "spec": {"selector": {"app": "echo"}, "ports": [{"port": 80, "targetPort": 3000}], **spec},
    }
