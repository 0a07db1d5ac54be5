"""--kind and --existing, with stand-ins for kind, docker, ip and kubectl that write down what they are asked."""
import os
import shutil
import unittest

from support import DIR, cluster

from fairlead_local import build

STAND_IN = """#!/bin/sh
echo "${0##*/} $*" >> "$ASKED"
case "${0##*/} $*" in
"kind get clusters") cat "$ASKED.clusters" 2>/dev/null ;;
"kind create cluster"*) echo trial > "$ASKED.clusters" ;;
"kind export kubeconfig"*) echo "{}" > "$6" ;;
"kind delete cluster"*) rm -f "$ASKED.clusters" ;;
"docker inspect"*) echo 172.18.0.2 ;;
esac
"""


class StandIns(unittest.TestCase):
    def setUp(self):
        build.program("kube")
        self.folder = DIR / "stand-ins"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.addCleanup(shutil.rmtree, self.folder)
        for name in ("kind", "docker", "ip", "kubectl", "minikube", "sudo"):
            (self.folder / name).write_text(STAND_IN)
            (self.folder / name).chmod(0o755)
        self.asked = self.folder / "asked"
        self.environment = {**os.environ, "PATH": f"{self.folder}:{os.environ['PATH']}", "ASKED": str(self.asked)}
        self.archive = self.folder / "image.tar"
        self.archive.touch()

    def asks(self, *words):
        """What the stand-ins were asked by a command."""
        self.asked.unlink(missing_ok=True)
        cluster(*words, env=self.environment)
        return [line.replace("sudo ", "") for line in self.asked.read_text().splitlines()]

    def test_kind(self):
        kubeconfig = DIR / "kind-trial.kubeconfig"
        export = f"kind export kubeconfig --name trial --kubeconfig {kubeconfig}"
        find = "docker inspect -f {{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}} trial-control-plane"
        route = "ip route replace 172.30.1.0/24 via 172.18.0.2"
        self.assertEqual(
            self.asks("--kind", "trial", "up"),
            ["kind get clusters", "kind create cluster --name trial --wait 120s", export, find, route],
        )
        self.assertEqual(self.asks("--kind", "trial", "up"), ["kind get clusters", export, find, route])
        self.assertEqual(
            self.asks("--kind", "trial", "load-image", str(self.archive)),
            [f"kind load image-archive {self.archive} --name trial"],
        )
        self.assertEqual(self.asks("--kind", "trial", "kubectl", "get", "pods"), ["kubectl get pods"])
        self.assertEqual(
            self.asks("--kind", "trial", "down"),
            ["kind delete cluster --name trial", "ip route del 172.30.1.0/24"],
        )
        self.assertFalse(kubeconfig.exists())

    def test_existing(self):
        self.environment["KUBECONFIG"] = "/dev/null"
        self.assertEqual(self.asks("--existing", "up"), ["kubectl version --request-timeout=10s"])
        self.assertEqual(self.asks("--existing", "kubectl", "get", "-A", "pods"), ["kubectl get -A pods"])
        self.assertEqual(
            self.asks("--existing", "--load", "minikube image load", "load-image", str(self.archive)),
            [f"minikube image load {self.archive}"],
        )
