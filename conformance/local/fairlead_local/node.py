"""The local cluster: one node, all of it in one network namespace of its own that has no way out."""
import json
import os
import re
import shutil
import signal
import subprocess
import time
from base64 import b64decode
from pathlib import Path

from . import build, configs, image, pki, requirements
from .daemons import NETNS, alive, in_network_namespaces, inside, known, send, start, stop, wait_for
from .paths import BIN, DIR, KUBECONFIG, LOG, STATE, Problem, say

COMPONENTS = (
    "etcd", "kube-apiserver", "containerd", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy",
    "coredns", "addresses",
)
CNI_CACHE = Path("/var/lib/cni/results")
CTR = ["ctr", "-a", str(configs.CONTAINERD_SOCKET), "-n", "k8s.io"]


def check():
    """Debian packages, and what no package gives."""
    requirements.install_packages()
    requirements.check()


def install():
    """Debian packages, and the programs that are built here."""
    requirements.install_packages()
    for name in ("pause", "coredns", "kube"):
        build.program(name)
    kubectl = BIN / "kubectl"
    if not kubectl.is_symlink():
        kubectl.symlink_to("kube")


def running():
    return all(map(alive, COMPONENTS)) and KUBECONFIG.exists()


def up():
    """Starts what does not run; True if that was anything."""
    requirements.need_root("for namespaces, mounts and cgroups")
    with build.locked("node"):
        if running():
            return False
        began = time.monotonic()
        install()
        requirements.check()
        if not any(map(alive, known())):
            clean()  # of a cluster that ended without `down`, as when the machine was restarted
        try:
            bring_up()
        except Problem as problem:
            raise Problem(f"{problem}\n  (`conformance/cluster down` cleans up; `up` tries again)") from None
        say(f"node ready after {time.monotonic() - began:.0f} s; KUBECONFIG={KUBECONFIG}, inside `conformance/cluster exec`")
        return True


def bring_up():
    for folder in (STATE, LOG):
        folder.mkdir(parents=True, exist_ok=True)
    make_network()
    pki.make()
    configs.write(requirements.plugin_folder())
    start("etcd", etcd())
    start("kube-apiserver", apiserver())
    start("containerd", [requirements.find("containerd"), "-c", STATE / "containerd.toml"])
    pause = image.pause()
    wait_for("containerd", lambda: quiet([*CTR, "version"]), 30, "containerd")
    load(pause)
    write_private(KUBECONFIG, (pki.PKI / "admin.conf").read_text())
    wait_for("API server", lambda: quiet(kubectl("get", "--raw", "/readyz")), 90, "kube-apiserver")
    start("kube-controller-manager", controller_manager())
    start("kube-scheduler", component("kube-scheduler", "--leader-elect=false"))
    start("kubelet", kubelet())
    start("kube-proxy", [BIN / "kube", "kube-proxy", f"--config={STATE}/kube-proxy.json"])
    apply(configs.dns_objects())
    start("coredns", [BIN / "coredns", "-conf", STATE / "coredns" / "Corefile"])
    start("addresses", [BIN / "kube", "addresses", f"-kubeconfig={pki.PKI}/admin.conf", f"-pool={configs.ADDRESSES}"])
    wait_for("ready node", node_ready, 60, "kubelet")
    wait_for("default service account", lambda: quiet(kubectl("get", "serviceaccount", "default")), 30)
    wait_for("cluster DNS", dns_ready, 30, "coredns")


def make_network():
    """The namespace, and in it the node's interface: a bridge with nothing on it, as not every kernel has dummies."""
    if not os.path.ismount(NETNS):
        NETNS.touch()
        run(["unshare", f"--net={NETNS}", "true"], "a network namespace")
    if quiet(inside(["ip", "link", "show", "node0"])):
        return
    for command in (
        "ip link set lo up",
        "ip link add node0 type bridge",
        f"ip addr add {configs.NODE}/24 dev node0",
        "ip link set node0 up",
        "ip route add default via 172.30.0.1 dev node0",
        "sysctl -qw net.ipv4.ip_forward=1",
    ):
        run(inside(command.split()), command)
    # Only some kernels have these; where they are missing, bridged packets pass kube-proxy's rules anyway.
    for setting in ("net.bridge.bridge-nf-call-iptables=1", "net.ipv4.conf.all.route_localnet=1"):
        quiet(inside(["sysctl", "-qw", setting]))


def etcd():
    return [
        BIN / "kube", "etcd", f"--data-dir={STATE}/etcd", "--unsafe-no-fsync",
        "--listen-client-urls=http://127.0.0.1:2379", "--advertise-client-urls=http://127.0.0.1:2379",
        "--listen-peer-urls=http://127.0.0.1:2380",
    ]  # fmt: skip


def apiserver():
    p = pki.PKI
    return [
        BIN / "kube", "kube-apiserver", "--etcd-servers=http://127.0.0.1:2379",
        f"--service-cluster-ip-range={configs.SERVICES}", f"--advertise-address={configs.NODE}", "--secure-port=6443",
        f"--client-ca-file={p}/ca.crt", f"--tls-cert-file={p}/apiserver.crt",
        f"--tls-private-key-file={p}/apiserver.key", f"--cert-dir={STATE}/apiserver",
        f"--service-account-key-file={p}/service-accounts.pub",
        f"--service-account-signing-key-file={p}/service-accounts.key",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local", "--authorization-mode=Node,RBAC",
        f"--kubelet-client-certificate={p}/admin.crt", f"--kubelet-client-key={p}/admin.key",
        f"--kubelet-certificate-authority={p}/ca.crt", "--kubelet-preferred-address-types=InternalIP",
        "--allow-privileged=true", "--feature-gates=ClusterTrustBundle=true",
        "--runtime-config=certificates.k8s.io/v1beta1/clustertrustbundles=true",
    ]  # fmt: skip


def component(name, *flags):
    return [BIN / "kube", name, f"--kubeconfig={pki.PKI}/{name}.conf", *flags]


def controller_manager():
    p = pki.PKI
    return component(
        "kube-controller-manager", f"--cluster-cidr={configs.PODS}", "--allocate-node-cidrs=false",
        f"--root-ca-file={p}/ca.crt", f"--service-account-private-key-file={p}/service-accounts.key",
        f"--cluster-signing-cert-file={p}/ca.crt", f"--cluster-signing-key-file={p}/ca.key",
        "--use-service-account-credentials", "--leader-elect=false",
        # Endpoints of thousands of Services within seconds: its default is 20 requests a second.
        "--kube-api-qps=500", "--kube-api-burst=1000", "--concurrent-service-endpoint-syncs=20",
    )  # fmt: skip


def kubelet():
    return component(
        "kubelet", f"--config={STATE}/kubelet.json", "--hostname-override=node0", f"--node-ip={configs.NODE}",
        f"--root-dir={STATE}/kubelet", f"--cert-dir={STATE}/kubelet-pki",
    )  # fmt: skip


def kubectl(*arguments):
    return inside([BIN / "kubectl", f"--kubeconfig={pki.PKI}/admin.conf", *arguments])


def apply(objects):
    command = kubectl("apply", "--server-side", "-f", "-")
    done = subprocess.run(command, input=json.dumps(objects), capture_output=True, text=True)
    if done.returncode != 0:
        raise Problem(f"kubectl apply: {done.stderr.strip()}")


def node_ready():
    path = '{.items[0].status.conditions[?(@.type=="Ready")].status}'
    return output(kubectl("get", "nodes", "-o", f"jsonpath={path}")) == "True"


def dns_ready():
    return quiet(inside(["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8054 && printf 'GET /ready HTTP/1.0\\r\\n\\r\\n' >&3 && grep -q '200 OK' <&3"]))


def load(archive):
    """Puts the images of an archive where the kubelet finds them."""
    done = subprocess.run([*CTR, "images", "import", archive], capture_output=True, text=True)
    if done.returncode != 0:
        raise Problem(f"importing {archive}: {done.stderr.strip()}")


def status():
    """Lines for a person, and whether all is well."""
    lines = [f"{'component':<26}{'pid':>8}{'memory':>10}  log"]
    for name in COMPONENTS:
        pid = alive(name)
        lines.append(f"{name:<26}{pid or '-':>8}{memory(pid) if pid else 'down':>10}  {LOG / name}.log")
    return lines, running()


def memory(pid):
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return f"{int(found[1]) // 1024} MiB" if found else "?"


def down():
    """Ends everything; True if there was anything."""
    requirements.need_root("to end the cluster")
    with build.locked("node"):
        there = STATE.exists() and (known() or NETNS.exists())
        clean()
        return bool(there)


def clean():
    namespaces = pod_namespaces()
    inodes = {os.stat(path).st_ino for path in (*namespaces, NETNS) if path.exists() and is_namespace(path)}
    # All state is removed below: only containerd has something to put in order before it goes.
    stop([name for name in known() if name != "containerd"], grace=0)
    if alive("containerd"):
        end_containers()
    end_processes(inodes)
    stop(known())
    end_shims()
    unmount(namespaces)
    remove_leftovers()


def end_containers():
    """Through containerd, so that cgroups and mounts go with them."""
    def listed(kind):
        return output([*CTR, kind, "ls", "-q"]).split()

    for task in listed("tasks"):
        quiet([*CTR, "tasks", "kill", "-s", "9", task])
    until = time.monotonic() + 10
    while (tasks := listed("tasks")) and time.monotonic() < until:
        for task in tasks:
            quiet([*CTR, "tasks", "rm", "-f", task])
    for container in listed("containers"):
        quiet([*CTR, "containers", "rm", container])


def end_processes(inodes):
    """Whatever else runs in the cluster's network namespaces: pods without a containerd, commands of `exec`."""
    daemons = {alive(name) for name in known()}
    for sign in (signal.SIGTERM, signal.SIGKILL):
        left = [pid for pid in in_network_namespaces(inodes) if pid not in daemons]
        for pid in left:
            send(pid, sign)
        if left:
            time.sleep(0.3)


def end_shims():
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            words = Path(f"/proc/{entry}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"containerd-shim" in words[0] and str(configs.CONTAINERD_SOCKET).encode() in words:
            send(int(entry), signal.SIGKILL)


def pod_namespaces():
    """The network namespaces that containerd made for pods, as the CNI's cache knows them."""
    found = set()
    for file in cni_cache():
        interfaces = json.loads(file.read_text()).get("result", {}).get("interfaces", [])
        found.update(interface["sandbox"] for interface in interfaces if interface.get("sandbox"))
    return list(map(Path, sorted(found)))


def cni_cache():
    """What the CNI keeps of this cluster's pods; another cluster's configuration names another folder."""
    def ours(file):
        return str(STATE).encode() in b64decode(json.loads(file.read_text()).get("config", ""))

    return [file for file in CNI_CACHE.glob(f"{configs.NETWORK}-*") if ours(file)]


def is_namespace(path):
    return os.path.ismount(path)


def unmount(namespaces):
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    ours = [mount for mount in mounts if mount.startswith(f"{STATE}/")]
    for mount in sorted(ours, reverse=True):
        quiet(["umount", "-l", mount])
    for path in namespaces:
        quiet(["umount", "-l", path])
        path.unlink(missing_ok=True)


def remove_leftovers():
    for file in cni_cache():
        file.unlink()
    for folder in (CNI_CACHE, CNI_CACHE.parent):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
    # containerd leaves the mount of an empty folder behind.
    for folder in ("/run/netns", "/var/run/netns"):
        if os.path.ismount(folder) and not os.listdir(folder):
            quiet(["umount", folder])
    containers = Path("/var/log/containers")
    if containers.is_dir():
        for link in containers.iterdir():
            if link.is_symlink() and os.readlink(link).startswith(str(DIR)):
                link.unlink()
    remove_cgroups()
    shutil.rmtree(STATE, ignore_errors=True)
    KUBECONFIG.unlink(missing_ok=True)


def remove_cgroups():
    """Empty cgroups of pods that no containerd was left to remove; rmdir refuses those that have processes."""
    for root in ("/sys/fs/cgroup", *(str(path) for path in Path("/sys/fs/cgroup").iterdir() if path.is_dir())):
        for group in (*Path(root, "k8s.io").glob("*/"), Path(root, "k8s.io")):
            try:
                group.rmdir()
            except OSError:
                continue


def write_private(path, text):
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)


def run(command, what):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if done.returncode != 0:
        raise Problem(f"{what}: {done.stderr.strip()}")


def quiet(command):
    """Whether a command succeeds."""
    return subprocess.run(list(map(str, command)), stdin=subprocess.DEVNULL, capture_output=True).returncode == 0


def output(command):
    return subprocess.run(list(map(str, command)), stdin=subprocess.DEVNULL, capture_output=True, text=True).stdout.strip()
