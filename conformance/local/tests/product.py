"""Fairlead on the tests' cluster, and requests to it."""
import json
import os
import subprocess
import sys
import time
import unittest
from pathlib import Path

from support import CONFORMANCE, DIR, assert_as_before, clean_machine, cluster

ROOT = CONFORMANCE.parent
NAMESPACE = "fairlead-system"
QUICKSTART = "docs/examples/kubernetes/quickstart.yaml"


class Product(unittest.TestCase):
    """A cluster with the image loaded, and nothing installed."""

    @classmethod
    def setUpClass(cls):
        helm = subprocess.run([ROOT / "charts" / "helm", "--build"], capture_output=True, text=True, check=True).stdout.strip()
        binary = Path(os.environ.get("FAIRLEAD_BIN", ROOT / "target" / "release" / "fairlead"))
        cls.environment = {**os.environ, "PATH": f"{helm}:{binary.parent}:{os.environ['PATH']}"}
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

    def served(self):
        """Applies the quickstart, and waits for it."""
        self.shell(f"kubectl apply -f {QUICKSTART}")
        self.shell("kubectl wait gateway/quickstart --for=condition=Programmed --timeout=60s")
        self.shell("kubectl rollout status deployment/echo --timeout=30s")

    def address(self):
        return self.shell("kubectl get gateway quickstart -o jsonpath='{.status.addresses[0].value}'")

    def says(self, value):
        """Changes a header in the route, and waits until it is served and the status tells of it."""
        path = "/spec/rules/0/filters/0/responseHeaderModifier/set/0/value"
        patch = json.dumps([{"op": "replace", "path": path, "value": value}])
        self.shell(f"kubectl patch httproute hello --type=json -p '{patch}'")
        address = self.address()
        self.until("the new value", lambda: f"x-served-by: {value}" in self.shell(f"curl -si http://{address}/"))
        generations = "{.metadata.generation} {.status.parents[0].conditions[0].observedGeneration}"
        self.until("its status", lambda: len(set(self.shell(f"kubectl get httproute hello -o jsonpath='{generations}'").split())) == 1)


class Traffic:
    """Requests to the quickstart's Gateway while something else happens."""

    def __init__(self, test, address=None):
        self.test = test
        self.at = address or test.address()
        self.stop = DIR / "stop"

    def __enter__(self):
        self.stop.unlink(missing_ok=True)
        script = Path(__file__).parent / "traffic.py"
        command = [CONFORMANCE / "cluster", "exec", sys.executable, script, self.at, self.stop]
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
