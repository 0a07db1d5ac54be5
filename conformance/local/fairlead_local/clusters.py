"""The clusters that one can run the suite on, with one face: local (made here), kind (made by kind), existing."""
import os
import shutil
import subprocess
from pathlib import Path

from . import build, configs, node
from .daemons import inside
from .paths import BIN, DIR, KUBECONFIG, LOG, Problem, say


class Local:
    """See node.py."""

    name = "the local cluster"
    addresses = ("172.30.1.200", "192.0.2.99")

    def up(self):
        return node.up()

    def down(self):
        return node.down()

    def status(self):
        return node.status()

    def need(self):
        if not node.running():
            raise Problem("the cluster is not up (or not all of it, see `conformance/cluster status`): conformance/cluster up")

    def load(self, archive):
        self.need()
        node.load(archive)

    def command(self, words):
        """What runs a command where the cluster's addresses answer."""
        self.need()
        return inside(words)

    def environment(self):
        return {**os.environ, "KUBECONFIG": str(KUBECONFIG), "PATH": f"{BIN}:{os.environ.get('PATH', '')}"}

    def kubectl(self, *arguments):
        return self.command([BIN / "kubectl", *arguments])


class Existing:
    """Whatever $KUBECONFIG names. Images come from a registry, or through the command that `--load` gives."""

    addresses = (None, None)

    def __init__(self, loader=None):
        self.loader = loader
        self.name = "the cluster of $KUBECONFIG"

    def up(self):
        self.need()
        return False

    def down(self):
        say("an existing cluster is left as it is")
        return False

    def need(self):
        if not os.environ.get("KUBECONFIG"):
            raise Problem("--existing takes the cluster from KUBECONFIG, which is not set")
        answered = subprocess.run(
            self.kubectl("version", "--request-timeout=10s"), env=self.environment(), capture_output=True, text=True
        )
        if answered.returncode != 0:
            raise Problem(f"{self.name} does not answer: {answered.stderr.strip()}")

    def status(self):
        self.need()
        listed = subprocess.run(self.kubectl("get", "nodes"), env=self.environment(), capture_output=True, text=True)
        return listed.stdout.splitlines(), listed.returncode == 0

    def load(self, archive):
        if not self.loader:
            raise Problem(
                "nothing is known about how images get into this cluster: push them to a registry that it pulls from, or "
                "give a command that takes an archive, like --load 'minikube image load' or --load 'k3d image import'"
            )
        run([*self.loader.split(), str(archive)], f"loading {archive}")

    def command(self, words):
        return list(map(str, words))

    def environment(self):
        return dict(os.environ)

    def kubectl(self, *arguments):
        found = shutil.which("kubectl")
        if not found:
            raise Problem("no kubectl on the PATH")
        return self.command([found, *arguments])


class Kind(Existing):
    """Kubernetes in Docker. LoadBalancer addresses are given by the same controller as in the local cluster; a route
    through the node's container makes them reachable, which needs root."""

    addresses = Local.addresses

    def __init__(self, cluster):
        super().__init__()
        self.cluster = cluster
        self.name = f"the kind cluster {cluster}"
        self.kubeconfig = DIR / f"kind-{cluster}.kubeconfig"
        self.pid = DIR / f"kind-{cluster}.addresses.pid"

    def up(self):
        for tool in ("kind", "docker", "kubectl"):
            if not shutil.which(tool):
                raise Problem(f"--kind needs {tool} on the PATH")
        DIR.mkdir(parents=True, exist_ok=True)
        made = self.cluster not in output(["kind", "get", "clusters"]).split()
        if made:
            run(["kind", "create", "cluster", "--name", self.cluster, "--wait", "120s"], "kind create cluster")
        run(["kind", "export", "kubeconfig", "--name", self.cluster, "--kubeconfig", str(self.kubeconfig)], "kind export")
        self.route()
        self.give_addresses()
        return made

    def route(self):
        node_container = f"{self.cluster}-control-plane"
        address = output(
            ["docker", "inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", node_container]
        )
        sudo = [] if os.geteuid() == 0 else ["sudo"]
        run([*sudo, "ip", "route", "replace", configs.ADDRESSES, "via", address], "a route to LoadBalancer addresses")

    def give_addresses(self):
        if self.controller():
            return
        LOG.mkdir(parents=True, exist_ok=True)
        command = [build.program("kube"), "addresses", f"-kubeconfig={self.kubeconfig}", f"-pool={configs.ADDRESSES}"]
        with open(LOG / f"kind-{self.cluster}-addresses.log", "w") as log:
            started = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd="/"
            )
        self.pid.write_text(str(started.pid))

    def controller(self):
        """The id of the process that gives addresses, 0 if there is none."""
        try:
            pid = int(self.pid.read_text())
            return pid if b"addresses" in Path(f"/proc/{pid}/cmdline").read_bytes() else 0
        except (OSError, ValueError):
            return 0

    def down(self):
        if pid := self.controller():
            os.kill(pid, 15)
        self.pid.unlink(missing_ok=True)
        run(["kind", "delete", "cluster", "--name", self.cluster], "kind delete cluster")
        sudo = [] if os.geteuid() == 0 else ["sudo"]
        subprocess.run([*sudo, "ip", "route", "del", configs.ADDRESSES], stderr=subprocess.DEVNULL)
        self.kubeconfig.unlink(missing_ok=True)
        return True

    def need(self):
        if not self.kubeconfig.exists():
            raise Problem(f"{self.name} is not up: conformance/cluster --kind {self.cluster} up")
        super_environment = self.environment()
        os.environ["KUBECONFIG"] = super_environment["KUBECONFIG"]
        super().need()

    def load(self, archive):
        run(["kind", "load", "image-archive", str(archive), "--name", self.cluster], "kind load image-archive")

    def environment(self):
        return {**os.environ, "KUBECONFIG": str(self.kubeconfig)}


def chosen(options):
    """The cluster that the command line names."""
    if options.kind and options.existing:
        raise Problem("--kind and --existing exclude each other")
    if options.kind:
        return Kind(options.kind)
    return Existing(options.load) if options.existing else Local()


def add_options(parser):
    parser.add_argument("--existing", action="store_true", help="the cluster of $KUBECONFIG instead of a local one")
    parser.add_argument("--kind", metavar="NAME", help="a kind cluster of that name (needs kind and Docker)")
    parser.add_argument("--load", metavar="COMMAND", help="with --existing: what loads an image archive, given as last word")


def run(command, what):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise Problem(f"{what}: {done.stderr.strip() or done.stdout.strip()}")


def output(command):
    return subprocess.run(command, capture_output=True, text=True).stdout.strip()
